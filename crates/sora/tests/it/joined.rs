//! Look-ups and single writes that join while others are under way.

pub(crate) mod gated;

use std::sync::Arc;

use sora::write::Effect;
use sora::{Entity, ErrorKind, Repository, Sora};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use self::gated::{Gate, Gated};

#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "counters", unique(name))]
struct Counter {
    #[sora(key)]
    id: i64,
    name: String,
    count: i64,
}

fn counter(id: i64) -> Counter {
    Counter { id, name: format!("n{id}"), count: id * 10 }
}

/// A repository of counters 0 to 99, whose store answers as the gate lets it.
async fn counters() -> (Repository<Counter>, Arc<Gate>) {
    let gate = Arc::new(Gate::new());
    let store = Sora::builder().layer(Gated(gate.clone())).open("memory:").await.expect("a store");
    store.ensure_schema::<Counter>().await.expect("a table");
    let counters = store.repository::<Counter>().await.expect("a repository");
    let rows: Vec<Counter> = (0..100).map(counter).collect();
    counters.insert_many(&rows).await.expect("rows");
    gate.forget();
    (counters, gate)
}

/// Starts look-ups in order and lets each come as far as it can.
async fn look_up(
    counters: &Repository<Counter>,
    ids: impl IntoIterator<Item = i64>,
) -> Vec<JoinHandle<sora::Result<Option<Arc<Counter>>>>> {
    let mut tasks = Vec::new();
    for id in ids {
        let counters = counters.clone();
        tasks.push(tokio::spawn(async move { counters.get(id).await }));
    }
    settle().await;
    tasks
}

/// The same behind 0 and 1, which come one after the other, so that each has one of the two lanes.
async fn look_up_behind_two(
    counters: &Repository<Counter>,
    ids: impl IntoIterator<Item = i64>,
) -> Vec<JoinHandle<sora::Result<Option<Arc<Counter>>>>> {
    let mut tasks = look_up(counters, [0]).await;
    tasks.extend(look_up(counters, [1]).await);
    tasks.extend(look_up(counters, ids).await);
    tasks
}

/// Lets every task run until it waits for the gate.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_look_up_that_finds_the_store_idle_goes_at_once_and_alone() {
    let (counters, gate) = counters().await;
    gate.open();
    for id in 0..3 {
        assert_eq!(counters.get(id).await.expect("a row").map(|row| row.count), Some(id * 10));
    }
    assert_eq!(gate.reads(), [vec![0], vec![1], vec![2]]);
}

#[tokio::test]
async fn look_ups_that_wait_go_together_and_equal_keys_are_asked_once() {
    let (counters, gate) = counters().await;
    // Two lanes: the first two go at once, what comes behind waits for one of them.
    let tasks = look_up_behind_two(&counters, [5, 5, 6, 7, 200, 5]).await;
    assert_eq!(gate.reads(), [vec![0], vec![1]]);
    gate.let_through(1);
    settle().await;
    assert_eq!(gate.reads()[2..], [vec![5, 6, 7, 200]]);
    gate.open();
    let mut counts = Vec::new();
    for task in tasks {
        counts.push(task.await.expect("a task").expect("an answer").map(|row| row.count));
    }
    let rows = [0, 10, 50, 50, 60, 70].map(Some).into_iter().chain([None, Some(50)]);
    assert_eq!(counts, rows.collect::<Vec<_>>());
    assert_eq!(gate.reads().len(), 3);
}

#[tokio::test]
async fn look_ups_that_come_together_go_together_in_a_lane_that_is_free() {
    let (counters, gate) = counters().await;
    let mut tasks = look_up(&counters, [0]).await;
    tasks.extend(look_up(&counters, [1, 2, 3]).await);
    assert_eq!(gate.reads(), [vec![0], vec![1, 2, 3]], "none waits for the first");
    gate.open();
    for task in tasks {
        assert!(task.await.expect("a task").expect("an answer").is_some());
    }
}

#[tokio::test]
async fn few_wait_for_more_before_they_go_beside_many() {
    let (counters, gate) = counters().await;
    let mut tasks = look_up_behind_two(&counters, [2, 3, 4, 5]).await;
    gate.let_through(1);
    settle().await;
    assert_eq!(gate.reads()[2..], [vec![2, 3, 4, 5]], "beside the one with 1");
    tasks.extend(look_up(&counters, [6]).await);
    gate.let_through(1);
    tasks.extend(look_up(&counters, [7, 8]).await);
    assert_eq!(
        gate.reads().len(),
        3,
        "the lane that is free now is not used for three beside four"
    );
    tasks.extend(look_up(&counters, [9]).await);
    assert_eq!(gate.reads()[3..], [vec![6, 7, 8, 9]]);
    gate.open();
    for task in tasks {
        assert!(task.await.expect("a task").expect("an answer").is_some());
    }
}

#[tokio::test]
async fn a_statement_has_a_bounded_number_of_keys() {
    let (counters, gate) = counters().await;
    let tasks = look_up_behind_two(&counters, 2..602).await;
    gate.open();
    for task in tasks {
        task.await.expect("a task").expect("an answer");
    }
    let lens: Vec<usize> = gate.reads().iter().map(Vec::len).collect();
    assert_eq!(lens, [1, 1, 256, 256, 88]);
}

#[tokio::test]
async fn a_batch_that_fails_fails_only_those_who_are_in_it() {
    let (counters, gate) = counters().await;
    let first = look_up_behind_two(&counters, [13, 14]).await;
    gate.fail_reads_of(13);
    gate.let_through(1);
    settle().await;
    // These came when the batch with 13 was sent, and are in none yet.
    let second = look_up(&counters, [15, 16]).await;
    gate.open();
    let mut kinds = Vec::new();
    for task in first.into_iter().chain(second) {
        kinds.push(task.await.expect("a task").err().map(|error| error.kind()));
    }
    let failed = Some(ErrorKind::Store);
    assert_eq!(kinds, [None, None, failed, failed, None, None]);
}

#[tokio::test]
async fn a_panic_in_a_round_trip_is_told_and_the_lane_goes_on() {
    let (counters, gate) = counters().await;
    let tasks = look_up_behind_two(&counters, [66, 2]).await;
    gate.panic_at_reads_of(66);
    gate.open();
    let mut kinds = Vec::new();
    for task in tasks {
        kinds.push(task.await.expect("a task").err().map(|error| error.kind()));
    }
    let cut = Some(ErrorKind::Cancelled);
    assert_eq!(kinds, [None, None, cut, cut]);
    assert!(counters.get(3).await.expect("an answer").is_some());
    let together = look_up(&counters, [4, 5, 6, 7]).await;
    for task in together {
        assert!(task.await.expect("a task").expect("an answer").is_some());
    }
}

/// A runtime that runs only while a test waits in it.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn who_waits_is_answered_though_the_runtime_of_the_lanes_is_shut_down() {
    let (first, second, third) = (runtime(), runtime(), runtime());
    let (counters, gate) = second.block_on(counters());
    // The first has both lanes: one by a call that went alone, one by a task that drives it.
    let cut = first.block_on(look_up(&counters, [0]));
    let driven = first.block_on(look_up(&counters, [1]));
    let waiting = second.block_on(look_up(&counters, [2, 3]));
    let gone = third.block_on(look_up(&counters, [4]));
    assert_eq!(gate.reads(), [vec![0], vec![1]]);
    // The last that waits is gone with its runtime, too.
    third.shutdown_background();
    first.shutdown_background();
    gate.open();
    second.block_on(async {
        for task in waiting {
            assert!(task.await.expect("a task").expect("an answer").is_some());
        }
        for task in cut.into_iter().chain(driven).chain(gone) {
            assert!(task.await.expect_err("cut off").is_cancelled());
        }
        assert!(counters.get(5).await.expect("an answer").is_some());
    });
    assert_eq!(gate.reads()[2..], [vec![2, 3], vec![5]]);
}

#[test]
fn a_runtime_is_shut_down_while_many_wait_in_it() {
    let (first, second) = (runtime(), runtime());
    let (counters, gate) = second.block_on(counters());
    first.block_on(look_up_behind_two(&counters, 2..50));
    assert_eq!(gate.reads(), [vec![0], vec![1]]);
    first.shutdown_background();
    gate.open();
    assert!(second.block_on(counters.get(5)).expect("an answer").is_some());
    assert_eq!(gate.reads()[2..], [vec![5]], "nothing is left of those who waited");
}

#[tokio::test]
async fn a_caller_who_goes_away_stops_nobody_else() {
    let (counters, gate) = counters().await;
    let mut tasks = look_up_behind_two(&counters, [2, 3, 4]).await;
    // One that went alone, and one that waits.
    tasks.remove(2).abort();
    tasks.remove(0).abort();
    settle().await;
    assert_eq!(gate.reads(), [vec![0], vec![1], vec![3, 4]], "2 is asked for by nobody");
    gate.open();
    for task in tasks {
        assert!(task.await.expect("a task").expect("an answer").is_some());
    }
}

#[tokio::test]
async fn a_look_up_never_joins_a_statement_that_was_sent() {
    let (counters, gate) = counters().await;
    let before = look_up_behind_two(&counters, [9]).await;
    gate.let_through(1);
    settle().await;
    assert_eq!(gate.reads()[2..], [vec![9]], "sent, and not answered");
    let after = look_up(&counters, [9]).await;
    gate.let_through(1);
    settle().await;
    assert_eq!(gate.reads()[2..], [vec![9], vec![9]], "asked for again");
    gate.open();
    for task in before.into_iter().chain(after) {
        task.await.expect("a task").expect("an answer");
    }
}

#[tokio::test]
async fn writes_that_wait_are_one_write_and_each_has_its_own_outcome() {
    let (counters, gate) = counters().await;
    let upsert = |row: Counter| {
        let counters = counters.clone();
        tokio::spawn(async move { counters.upsert(&row).await })
    };
    let mut tasks = vec![upsert(counter(100))];
    settle().await;
    assert_eq!(gate.writes(), [1], "the first goes at once");
    // The name of 103 is taken by row 5; row 1 is there already.
    let taken = Counter { id: 103, name: "n5".into(), count: 0 };
    for row in [counter(101), counter(102), taken, counter(1)] {
        tasks.push(upsert(row));
    }
    settle().await;
    gate.open();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.expect("a task").map_err(|error| error.kind()));
    }
    assert_eq!(outcomes.len(), 5);
    assert_eq!(outcomes[3], Err(ErrorKind::Conflict));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 4);
    assert_eq!(outcomes[4], Ok(Effect::Updated));
    assert!(gate.writes().len() <= 4, "grouped: {:?}", gate.writes());
    assert!(counters.get(103).await.expect("an answer").is_none());
    assert!(counters.get(102).await.expect("an answer").is_some());
}

#[tokio::test]
async fn a_row_is_in_one_group_at_a_time_and_in_order() {
    let (counters, gate) = counters().await;
    let mut tasks = Vec::new();
    for count in 0..50 {
        let counters = counters.clone();
        let row = Counter { count, ..counter(7) };
        tasks.push(tokio::spawn(async move { counters.upsert(&row).await }));
        settle().await;
    }
    gate.open();
    for task in tasks {
        task.await.expect("a task").expect("written");
    }
    assert!(gate.writes().iter().all(|rows| *rows == 1), "{:?}", gate.writes());
    let row = counters.get(7).await.expect("an answer").expect("a row");
    assert_eq!(row.count, 49, "the last in order wins");
}

#[tokio::test]
async fn a_write_that_joined_returns_its_own_row() {
    let (counters, gate) = counters().await;
    let mut tasks = Vec::new();
    for id in 300..320 {
        let counters = counters.clone();
        tasks.push(tokio::spawn(async move { counters.insert(&counter(id)).await }));
    }
    settle().await;
    gate.open();
    for (id, task) in (300..).zip(tasks) {
        assert_eq!(task.await.expect("a task").expect("inserted"), counter(id));
    }
    assert!(gate.writes().len() < 20, "grouped: {:?}", gate.writes());
}

#[tokio::test]
async fn the_event_says_how_many_shared_the_round_trip() {
    let seen = Arc::new(gated::Shared::default());
    let gate = Arc::new(Gate::new());
    let store = Sora::builder().layer(Gated(gate.clone())).observer(seen.clone());
    let store = store.open("memory:").await.expect("a store");
    store.ensure_schema::<Counter>().await.expect("a table");
    let counters = store.repository::<Counter>().await.expect("a repository");
    gate.forget();
    let tasks = look_up_behind_two(&counters, [2, 3, 4]).await;
    gate.open();
    for task in tasks {
        task.await.expect("a task").expect("an answer");
    }
    let mut shared = seen.take();
    shared.sort_unstable();
    assert_eq!(shared, [1, 1, 3, 3, 3]);
}
