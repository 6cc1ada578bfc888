//! Look-ups of many tasks at once.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};

use sora_core::provider::{BoxFuture, DynProvider};
use sora_core::read::ReadReport;
use sora_core::write::{Outcome, Target};
use sora_core::{Binding, Column, Result, RowBuffer, Schema, Type, Value};
use sora_sqlite::{Clock, Sqlite};
use tokio::task::JoinSet;

use crate::support::{Store, bind, fill, lines, lookup, patch, read, rows_of, text, write};

const ROWS: i64 = 64;

async fn names(sqlite: &Sqlite) -> Arc<Binding> {
    let schema = Schema::builder("names")
        .column(Column::new("id", Type::I64))
        .column(Column::new("name", Type::Text))
        .key(["id"])
        .build()
        .expect("a schema");
    let binding = bind(sqlite, schema).await;
    let rows: Vec<[Value; 2]> =
        (0..ROWS).map(|id| [Value::I64(id), text(&format!("name {id}"))]).collect();
    let rows: Vec<&[Value]> = rows.iter().map(|row| &row[..]).collect();
    fill(sqlite, &binding, &rows).await;
    binding
}

/// A clock that stands still: nothing is slow, whatever the machine does.
async fn store() -> (Arc<Store>, Arc<Binding>) {
    let store = Store::with(|config| config.clock(Clock::new(|| 0))).await;
    let binding = names(&store.sqlite).await;
    (Arc::new(store), binding)
}

fn expected(id: i64) -> Vec<String> {
    if id < ROWS { vec![format!("{id}|name {id}")] } else { Vec::new() }
}

/// Returns how many look-ups 16 tasks ended at most between two polls of another one, once they
/// have made some.
#[tokio::test]
async fn many_tasks_on_one_thread_read_together() {
    let (store, binding) = store().await;
    let ended = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let (store, binding, ended) = (store.clone(), binding.clone(), ended.clone());
        tasks.spawn(async move {
            for nth in 0..1_000 {
                // Some of the keys are of no row.
                let id = (task * 7 + nth) % (ROWS + 5);
                let one = lookup(&binding, &[&[Value::I64(id)]]);
                assert_eq!(read(&store.sqlite, &one).await.expect("read"), expected(id));
                ended.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let (mut last, mut most) = (0, 0);
    while last < 16_000 {
        tokio::task::yield_now().await;
        let now = ended.load(Ordering::Relaxed);
        if last > 4_000 && now < 15_000 {
            most = most.max(now - last);
        }
        last = now;
    }
    tasks.join_all().await;
    // Each alone, they would make 64 before they let the others run. A task may be polled twice.
    assert!((9..=32).contains(&most), "{most} look-ups between two polls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_task_reads_what_it_has_written() {
    let (store, binding) = store().await;
    let mut tasks = JoinSet::new();
    for id in 0..ROWS {
        let (store, binding) = (store.clone(), binding.clone());
        tasks.spawn(async move {
            for nth in 0..200 {
                let one = lookup(&binding, &[&[Value::I64(id)]]);
                if nth % 100 == 99 {
                    let target = Target::keys(rows_of(&[&[Value::I64(id)]]));
                    let change = [("name", false, text(&format!("{id} at {nth}")))];
                    let report = write(&store.sqlite, &patch(&binding, target, &change)).await;
                    assert!(report.outcomes.iter().all(Outcome::is_written));
                }
                let name = match nth {
                    0..99 => format!("{id}|name {id}"),
                    99..199 => format!("{id}|{id} at 99"),
                    _ => format!("{id}|{id} at 199"),
                };
                assert_eq!(read(&store.sqlite, &one).await.expect("read"), [name]);
            }
        });
    }
    tasks.join_all().await;
}

/// Polls a look-up once, whose caller is never woken.
fn is_over(look_up: Pin<&mut BoxFuture<'_, Result<ReadReport>>>) -> bool {
    look_up.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Half of the tasks give look-ups up once they have begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_that_is_given_up_holds_up_nobody() {
    let (store, binding) = store().await;
    let mut tasks = JoinSet::new();
    for task in 0..32 {
        let (store, binding) = (store.clone(), binding.clone());
        tasks.spawn(async move {
            for nth in 0..1_000 {
                let id = (task + nth) % ROWS;
                let one = lookup(&binding, &[&[Value::I64(id)]]);
                if task % 2 == 0 {
                    let mut rows = RowBuffer::new(2);
                    let provider: &dyn DynProvider = &store.sqlite;
                    let is_over = {
                        let mut begun = pin!(provider.read(&one, &mut rows));
                        let is_over = is_over(begun.as_mut());
                        if nth % 4 == 0 {
                            tokio::task::yield_now().await;
                        }
                        is_over
                    };
                    if is_over {
                        assert_eq!(lines(&rows), expected(id));
                    }
                    continue;
                }
                assert_eq!(read(&store.sqlite, &one).await.expect("read"), expected(id));
            }
        });
    }
    tasks.join_all().await;
}
