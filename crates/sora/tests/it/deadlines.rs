//! Operations that have not ended by the deadline of their task.

use std::sync::Arc;
use std::time::Duration;

use sora::{Entity, ErrorKind, Retry, Sora, with_deadline};

use crate::joined::gated::{Gate, Gated};

#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "notes")]
struct Note {
    #[sora(key)]
    id: i64,
}

const SECOND: Duration = Duration::from_secs(1);

async fn notes() -> (sora::Repository<Note>, Arc<Gate>) {
    let gate = Arc::new(Gate::new());
    let store = Sora::builder().layer(Gated(gate.clone())).open("memory:").await.expect("a store");
    store.ensure_schema::<Note>().await.expect("a table");
    let notes = store.repository::<Note>().await.expect("a repository");
    gate.forget();
    (notes, gate)
}

#[tokio::test(start_paused = true)]
async fn a_read_that_has_not_ended_fails_and_may_be_repeated() {
    let (notes, _gate) = notes().await;
    for _ in 0..2 {
        let error = with_deadline(SECOND, notes.query(Note::ID.ge(0)).fetch()).await;
        let error = error.expect_err("no answer comes");
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::Safe));
    }
}

#[tokio::test(start_paused = true)]
async fn look_ups_that_wait_for_each_other_end_at_their_own_deadlines() {
    let (notes, gate) = notes().await;
    let get = |seconds: u32, id: i64| {
        let notes = notes.clone();
        tokio::spawn(with_deadline(SECOND * seconds, async move { notes.get(id).await }))
    };
    let tasks = [get(9, 1), get(9, 2), get(1, 3), get(9, 4)];
    tokio::time::sleep(SECOND * 2).await;
    gate.open();
    let mut kinds = Vec::new();
    for task in tasks {
        kinds.push(task.await.expect("a task").err().map(|error| error.kind()));
    }
    assert_eq!(kinds, [None, None, Some(ErrorKind::Timeout), None]);
}

#[tokio::test(start_paused = true)]
async fn of_a_write_that_has_not_ended_it_is_not_known_whether_it_was_done() {
    let (notes, gate) = notes().await;
    let error = with_deadline(SECOND, notes.insert(&Note { id: 1 })).await.expect_err("too late");
    assert_eq!((error.kind(), error.is_unknown()), (ErrorKind::Timeout, true));
    gate.open();
    notes.upsert(&Note { id: 1 }).await.expect("nothing is held");
}

#[tokio::test(start_paused = true)]
async fn the_earlier_of_two_deadlines_holds() {
    let (notes, _gate) = notes().await;
    let start = tokio::time::Instant::now();
    let inner = with_deadline(SECOND * 60, notes.get(1));
    with_deadline(SECOND, inner).await.expect_err("too late");
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_one_error() {
    let (notes, _gate) = notes().await;
    let mut stream = with_deadline(SECOND, async { notes.table().stream(&all(), options()) }).await;
    let error = stream.next().await.expect("not the end").expect_err("too late");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(stream.next().await.is_none());
}

fn all() -> sora::Query {
    sora::Query::new(sora::Predicate::And(Vec::new()))
}

fn options() -> sora::StreamOptions {
    sora::StreamOptions::default()
}
