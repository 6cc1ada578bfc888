//! Callers that go away: after every poll, and at random.
//!
//! `SORA_DROPS=10000 cargo test -p sora --features postgres --test postgres drops` gives up 10,000
//! calls at random instead of 300.

mod transactions;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sora::write::Outcome;
use sora::{BatchCounts, BatchMode, BatchOptions, Filter, Repository, Result, Sora, StreamOptions};
use tokio::task::JoinSet;

use crate::support::{
    Each, Item, Place, Random, Told, count_of, gauges, in_time, item, polled, until,
};

/// What is done and given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Get,
    Upsert,
    InsertMany,
    UpsertMany,
    Batch,
    Transaction,
    Guard,
    Stream,
}

const CALLS: [Call; 8] = [
    Call::Get,
    Call::Upsert,
    Call::InsertMany,
    Call::UpsertMany,
    Call::Batch,
    Call::Transaction,
    Call::Guard,
    Call::Stream,
];

/// Rows of one call: those with the numbers from its own on.
const ROWS: i64 = 5;

impl Call {
    /// Rows that it writes: all or none.
    fn rows(self) -> i64 {
        match self {
            Self::Get | Self::Stream => 0,
            Self::Upsert => 1,
            _ => ROWS,
        }
    }

    async fn run(self, store: &Sora, items: &Repository<Item>, base: i64) -> Result<()> {
        let rows = || (base..base + self.rows()).map(item);
        match self {
            Self::Get => items.get(base).await.map(drop),
            Self::Upsert => items.upsert(item(base)).await.map(drop),
            Self::InsertMany => whole(&items.insert_many(rows()).await?.outcomes),
            Self::UpsertMany => whole(&items.upsert_many(rows()).await?.outcomes),
            Self::Batch => {
                let batch = rows().fold(items.batch(), sora::EntityBatch::insert);
                batch.commit().await.map(drop)
            }
            Self::Transaction => {
                store
                    .transaction(|transaction| async move {
                        let inside = items.within(&transaction);
                        for id in base..base + ROWS - 1 {
                            inside.insert(item(id)).await?;
                        }
                        inside.get_for_update(base).await?;
                        transaction
                            .transaction(|inner| async move {
                                items.within(&inner).insert(item(base + ROWS - 1)).await.map(drop)
                            })
                            .await
                    })
                    .await
            }
            Self::Guard => {
                let transaction = store.begin().await?;
                let inside = items.within(&transaction);
                whole(&inside.insert_many(rows()).await?.outcomes)?;
                inside.patch(base, [Item::AMOUNT.add(1)]).await?;
                transaction.commit().await
            }
            Self::Stream => {
                let pages = StreamOptions { page_rows: 10 };
                let mut stream = items.query(Filter::all()).stream_with(pages);
                let mut rows = 0;
                while let Some(row) = stream.next().await {
                    row?;
                    rows += 1;
                    if rows == 50 {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

fn whole(outcomes: &[Outcome]) -> Result<()> {
    outcomes.iter().try_for_each(|outcome| outcome.effect().map(drop))
}

/// What its caller knows of a call; nothing if it went away.
type Calls = Vec<(Call, i64, Option<Told>)>;

/// Checks that what is told is so, and that no call is half done.
async fn check(place: &Place, calls: &Calls) {
    place.watcher.check_quiet().await;
    let ids = place.ids().await;
    for (call, base, told) in calls {
        let rows = i64::try_from(ids.range(*base..base + call.rows()).count()).expect("small");
        let at = format!("{call:?} of {base} was told {told:?}, and {rows} rows are there");
        assert!(rows == 0 || rows == call.rows(), "half done: {at}");
        match told {
            Some(Told::Applied) => assert_eq!(rows, call.rows(), "{at}"),
            None => {}
            // Nothing breaks here: all that is asked is answered.
            Some(_) => panic!("{at}"),
        }
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_after_any_poll_leaves_nothing_behind() {
    let place = Place::open("connections_max=3").await;
    place.put(0..100).await;
    let mut base = 1_000;
    for call in CALLS {
        let mut calls = Calls::new();
        let mut polls_max = 0;
        loop {
            let run = call.run(&place.store, &place.items, base);
            let told = in_time("the call", polled(run, polls_max)).await;
            let told = told.map(|done| Told::of_result(&done));
            calls.push((call, base, told));
            // The next one finds the connection as it would be new.
            place.items.get(1).await.expect("it reads");
            base += ROWS;
            polls_max += 1;
            if told.is_some() {
                break;
            }
        }
        assert!(polls_max > 2, "{call:?} was given up at least once after it was sent");
        check(&place, &calls).await;
    }
    place.check_healthy(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_at_random_leave_nothing_behind() {
    let drops = count_of("SORA_DROPS", 300);
    let place = Place::open("connections_max=4").await;
    place.put(0..100).await;
    let (next, left) = (Arc::new(AtomicU64::new(1_000)), Arc::new(AtomicU64::new(drops)));
    let calls = Arc::new(Mutex::new(Calls::new()));
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let (store, items, calls) = (place.store.clone(), place.items.clone(), calls.clone());
        let (next, left) = (next.clone(), left.clone());
        tasks.spawn(async move {
            let mut random = Random(task);
            while left.load(Ordering::Relaxed) > 0 {
                let base = next.fetch_add(u64::try_from(ROWS).expect("small"), Ordering::Relaxed);
                let base = i64::try_from(base).expect("small");
                let call = CALLS[usize::try_from(random.below(8)).expect("small")];
                let run = call.run(&store, &items, base);
                let done = match random.below(2) {
                    0 => polled(run, random.below(14)).await,
                    _ => {
                        let time = Duration::from_micros(random.below(8_000));
                        tokio::time::timeout(time, run).await.ok()
                    }
                };
                let told = done.map(|done| Told::of_result(&done));
                calls.lock().expect("no panic").push((call, base, told));
                if told.is_none() {
                    let take = |left: u64| left.checked_sub(1);
                    let _ = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
                }
            }
        });
    }
    in_time_of(drops, tasks.join_all()).await;
    let calls = std::mem::take(&mut *calls.lock().expect("no panic"));
    let given_up = calls.iter().filter(|(_, _, told)| told.is_none()).count();
    assert!(given_up as u64 >= drops);
    check(&place, &calls).await;
    place.check_healthy(4).await;
    let pool = gauges(&place.store).await;
    say(&format!("{} calls, {given_up} given up; {pool:?}", calls.len()));
}

/// Waits longer for a long run.
async fn in_time_of<F: Future>(drops: u64, future: F) -> F::Output {
    let time = Duration::from_secs(60 + drops / 10);
    tokio::time::timeout(time, future).await.expect("the calls end")
}

/// Says what a long run has done.
fn say(what: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{what}");
}

#[tokio::test]
async fn a_batch_writer_that_is_dropped_after_any_poll_tells_all_its_rows() {
    let place = Place::open("connections_max=3").await;
    let mut base = 1_000;
    for polls_max in 0.. {
        let counts = Arc::new(Mutex::new((0, BatchCounts::default(), false)));
        let mut applied = Vec::new();
        let options = BatchOptions { rows_per_chunk: Some(10), ..BatchOptions::default() };
        let rows = (base..base + 40).map(item);
        let kept = counts.clone();
        let write = place.items.write_stream(Each(rows)).mode(BatchMode::Insert).options(options);
        let write = write.on_progress(move |progress| {
            *kept.lock().expect("no panic") = (progress.taken, progress.counts, progress.is_final);
        });
        let write = write.on_settled(|settled| {
            let first = base + i64::try_from(settled.indexes().start).expect("small");
            let told = settled.outcomes().iter().map(Told::of);
            applied.extend((first..).zip(told).filter(|(_, told)| *told == Told::Applied));
        });
        let ended = in_time("the batch", polled(write.into_future(), polls_max)).await.is_some();
        place.watcher.check_quiet().await;
        let ids = place.ids().await;
        for (id, _) in &applied {
            assert!(ids.contains(id), "row {id} was told to be applied");
        }
        let (taken, counts, is_final) = *counts.lock().expect("no panic");
        if polls_max > 0 {
            assert!(is_final, "its end was told");
            assert_eq!(counts.sum(), taken, "after {polls_max} polls: {counts:?}");
            let stored = ids.range(base..base + 40).count() as u64;
            assert!(stored >= counts.inserted && stored <= counts.inserted + counts.unknown);
            assert!(counts.unknown <= 20, "more than two chunks are unknown: {counts:?}");
        }
        base += 40;
        if ended {
            assert!(polls_max > 2, "it was dropped at least once");
            assert_eq!(counts.inserted, 40);
            break;
        }
    }
    place.check_healthy(3).await;
}

#[tokio::test]
async fn a_caller_that_goes_away_before_its_turn_leaves_its_place() {
    let place = Place::open("connections_max=1").await;
    let open = place.store.begin().await.expect("begun");
    for _ in 0..3 {
        tokio::select! {
            told = place.items.insert_many([item(1)]) => panic!("it did not wait: {told:?}"),
            () = until("it to wait", async || gauges(&place.store).await.waiting == 1) => {}
        }
    }
    until("nobody to wait", async || gauges(&place.store).await.waiting == 0).await;
    open.commit().await.expect("committed");
    assert!(place.ids().await.is_empty());
    place.check_healthy(1).await;
}
