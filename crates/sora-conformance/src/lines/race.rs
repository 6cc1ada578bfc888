//! Calls at the same time, and calls that are given up.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use sora_core::provider::{BoxFuture, SessionOptions};
use sora_core::write::{Change, OnConflict, Write, WriteReport};
use sora_core::{Assignment, Column, Result, RowBuffer, Schema, Type, Value};

use crate::report::{Verdict, check, same};
use crate::store::{Cells, Fixture, Store, words};

/// Calls at the same time.
const CALLS: i64 = 16;

/// A table with one row whose version is 1.
async fn one_row<'s>(store: &'s Store, name: &str) -> Verdict<Fixture<'s>> {
    let schema = Schema::builder(name)
        .column(Column::new("id", Type::I64))
        .column(Column::new("n", Type::I64))
        .column(Column::new("version", Type::I64))
        .key(["id"])
        .version("version")
        .build()?;
    let fixture = store.table(schema).await?;
    fixture.fill(&[row(1, 0)]).await?;
    Ok(fixture)
}

fn row(id: i64, n: i64) -> Cells {
    vec![Value::I64(id), Value::I64(n), Value::I64(1)]
}

pub(crate) async fn each_once(store: &Store) -> Verdict {
    let fixture = one_row(store, "at once").await?;
    let mut writes = Vec::new();
    for call in 0..CALLS {
        let add = Assignment { column: 1, add: true, value: Value::I64(1) };
        let target = fixture.ids(&[1])?;
        let change = Change::Patch { target, assignments: [add].into(), version: None };
        writes.push(Write::new(fixture.binding.clone(), change));
        writes.push(fixture.insert(&[row(call + 2, call)], OnConflict::Fail)?);
    }
    for report in all(&fixture, &writes).await {
        let report = report?;
        check(report.first_error().is_none(), || format!("{:?}", report.first_error()))?;
    }
    let stored = fixture.stored().await?;
    same("rows", &stored.len(), &usize::try_from(CALLS + 1).unwrap_or(0))?;
    let sum = [Value::I64(1), Value::I64(CALLS), Value::I64(CALLS + 1)];
    same("a row that many added to", &stored[0], &sum.into())
}

pub(crate) async fn one_wins(store: &Store) -> Verdict {
    let fixture = one_row(store, "raced for").await?;
    let mut writes = Vec::new();
    for call in 1..=CALLS {
        writes.push(fixture.update(&[0, 1, 2], &[row(1, call)], true)?);
    }
    let mut winners = Vec::new();
    for (call, report) in (1..).zip(all(&fixture, &writes).await) {
        match &*words(&report?) {
            [word] if word == "Updated" => winners.push(call),
            [word] if word == "Version" => {}
            other => return same("outcomes", &other.to_vec(), &vec!["Version".into()]),
        }
    }
    same("changes that were done", &winners.len(), &1)?;
    let expected = vec![Value::I64(1), Value::I64(winners[0]), Value::I64(2)];
    same("the row", &fixture.stored().await?, &vec![expected])
}

/// Runs all writes at the same time.
async fn all(fixture: &Fixture<'_>, writes: &[Write]) -> Vec<Result<WriteReport>> {
    let mut running: Vec<BoxFuture<'_, _>> = Vec::new();
    for write in writes {
        running.push(Box::pin(fixture.write(write)));
    }
    let mut ended: Vec<Option<Result<WriteReport>>> = writes.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, ended) in running.iter_mut().zip(&mut ended) {
            if ended.is_none()
                && let Poll::Ready(report) = future.as_mut().poll(context)
            {
                *ended = Some(report);
            }
        }
        if ended.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    ended.into_iter().flatten().collect()
}

pub(crate) async fn given_up(store: &Store) -> Verdict {
    /// Polls before a call is given up.
    const POLLS_MAX: i64 = 4;
    let atomic = store.capability().atomic_writes && store.capability().rows_max >= 3;
    let fixture = one_row(store, "given up").await?;
    for polls in 0..=POLLS_MAX {
        let first = 10 * (polls + 1);
        let rows: Vec<Cells> = (first..first + 3).map(|id| row(id, polls)).collect();
        let mut write =
            fixture.insert(if atomic { &rows } else { &rows[..1] }, OnConflict::Fail)?;
        write.atomic = atomic;
        give_up(Box::pin(fixture.write(&write)), polls);
        let scan = fixture.scan();
        give_up(Box::pin(fixture.read(&scan)), polls);
        if store.capability().transactions {
            give_up(Box::pin(store.provider.open(SessionOptions::default())), polls);
            let mut session = store.provider.open(SessionOptions::default()).await?;
            let inside = fixture.insert(&[row(1_000 + polls, 0)], OnConflict::Fail)?;
            give_up(session.write(&inside, &mut RowBuffer::new(0)), polls);
            drop(session);
        }
        // The store goes on, and what was given up is whole or not there.
        fixture.fill(&[row(100 + polls, 0)]).await?;
        let stored = fixture.stored().await?;
        let of_call =
            |row: &&Cells| matches!(row[0], Value::I64(id) if (first..first + 3).contains(&id));
        let found = stored.iter().filter(of_call).count();
        let is_whole = found == 0 || found == if atomic { 3 } else { 1 };
        check(is_whole, || format!("{found} of 3 rows of a write given up after {polls} polls"))?;
        let of_session = |row: &Cells| row[0] == Value::I64(1_000 + polls);
        check(!stored.iter().any(of_session), || {
            format!("a row of a session that was dropped after {polls} polls")
        })?;
    }
    Ok(())
}

/// Polls a future so many times and drops it.
pub(crate) fn give_up<T>(mut future: Pin<Box<dyn Future<Output = T> + Send + '_>>, polls: i64) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if future.as_mut().poll(&mut context).is_ready() {
            return;
        }
        // The store's threads go on meanwhile.
        std::thread::yield_now();
    }
}
