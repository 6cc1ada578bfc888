//! Transactions.

use sora_core::provider::SessionOptions;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use sora_core::provider::Session;
use sora_core::write::OnConflict;
use sora_core::{Result, RowBuffer};

use super::insert::{player, three};
use super::scan::refused;
use crate::report::{Verdict, check, same};
use crate::store::{Cells, Fixture, Store, words};

/// Opens a session that has added player 4.
pub(crate) async fn begun(store: &Store) -> Verdict<(Fixture<'_>, Box<dyn Session>)> {
    store.needs_sessions()?;
    let fixture = three(store).await?;
    let mut session = store.provider.open(SessionOptions::default()).await?;
    add(&fixture, &mut session, &player(4, "d", 40)).await?;
    Ok((fixture, session))
}

pub(crate) async fn add(
    fixture: &Fixture<'_>,
    session: &mut Box<dyn Session>,
    row: &Cells,
) -> Verdict {
    let insert = fixture.insert(std::slice::from_ref(row), OnConflict::Fail)?;
    let report = session.write(&insert, &mut RowBuffer::new(0)).await?;
    same("outcomes", &words(&report), &vec!["Inserted".into()])
}

pub(crate) async fn declared(store: &Store) -> Verdict {
    let opened = store.provider.open(SessionOptions::default()).await;
    if !store.capability().transactions {
        return refused("a session", opened);
    }
    opened?.rollback().await?;
    // One after another, each on a connection that works.
    for _ in 0..20 {
        store.provider.open(SessionOptions::default()).await?.commit().await?;
    }
    Ok(())
}

pub(crate) async fn sees_its_own(store: &Store) -> Verdict {
    let (fixture, mut session) = begun(store).await?;
    let seen = fixture.stored_in(&mut session).await?;
    session.rollback().await?;
    same("rows that the session sees", &seen.len(), &4)
}

pub(crate) async fn unseen(store: &Store) -> Verdict {
    let (fixture, session) = begun(store).await?;
    let mut outside = pin!(fixture.stored());
    let seen = within(Duration::from_secs(2), outside.as_mut()).await;
    session.rollback().await?;
    let seen = match seen {
        Some(seen) => seen?,
        // One connection for all: the reader waits for the session's end, and sees nothing of it.
        None => outside.await?,
    };
    same("rows that others see before the commit", &seen.len(), &3)
}

pub(crate) async fn committed(store: &Store) -> Verdict {
    let (fixture, mut session) = begun(store).await?;
    session.write(&fixture.delete(fixture.ids(&[1])?), &mut RowBuffer::new(0)).await?;
    session.commit().await?;
    let expected = vec![player(2, "b", 20), player(3, "", 30), player(4, "d", 40)];
    same("rows", &fixture.stored().await?, &expected)
}

pub(crate) async fn rolled_back(store: &Store) -> Verdict {
    let (fixture, mut session) = begun(store).await?;
    session.write(&fixture.delete(fixture.ids(&[1])?), &mut RowBuffer::new(0)).await?;
    session.rollback().await?;
    let expected = vec![player(1, "a", 10), player(2, "b", 20), player(3, "", 30)];
    same("rows", &fixture.stored().await?, &expected)
}

pub(crate) async fn dropped(store: &Store) -> Verdict {
    let (fixture, session) = begun(store).await?;
    drop(session);
    let expected = vec![player(1, "a", 10), player(2, "b", 20), player(3, "", 30)];
    same("rows", &fixture.stored().await?, &expected)?;
    // What it held is free: the next one can write and is a transaction of its own.
    let mut next = store.provider.open(SessionOptions::default()).await?;
    same("rows that the next session sees", &fixture.stored_in(&mut next).await?, &expected)?;
    add(&fixture, &mut next, &player(4, "d", 40)).await?;
    next.commit().await?;
    same("rows", &fixture.stored().await?.len(), &4)
}

pub(crate) async fn goes_on(store: &Store) -> Verdict {
    let (fixture, mut session) = begun(store).await?;
    let taken = fixture.insert(&[player(1, "x", 0)], OnConflict::Fail)?;
    let report = session.write(&taken, &mut RowBuffer::new(0)).await?;
    same("outcomes", &words(&report), &vec!["Conflict".into()])?;
    add(&fixture, &mut session, &player(5, "e", 50)).await?;
    session.commit().await?;
    let ids: Vec<_> = fixture.stored().await?.into_iter().map(|row| row[0].clone()).collect();
    check(ids.len() == 5, || format!("players 1 to 5 are expected, found {ids:?}"))
}

/// Waits for a future for a bounded time.
pub(crate) async fn within<T>(
    limit: Duration,
    mut future: std::pin::Pin<&mut impl Future<Output = Result<T>>>,
) -> Option<Result<T>> {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut is_timed = false;
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        if is_over.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        if !is_timed {
            is_timed = true;
            let (is_over, waker) = (is_over.clone(), context.waker().clone());
            std::thread::spawn(move || {
                std::thread::sleep(limit);
                is_over.store(true, Ordering::Release);
                waker.wake();
            });
        }
        Poll::Pending
    })
    .await
}
