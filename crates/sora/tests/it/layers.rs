//! Retries and timeouts around a store that fails as the test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sora::layers::{RetryLayer, TimeoutLayer};
use sora::plan::Negotiation;
use sora::provider::{
    Administer, Administered, Capability, Layer, Provider, Session, SessionOptions, SharedProvider,
};
use sora::read::{Read, ReadReport};
use sora::write::{Write, WriteReport};
use sora::{
    Backoff, Entity, Error, ErrorKind, Event, LiveTable, Observer, Operation, Repository, Result,
    Retry, RowSink, Sora, SoraBuilder,
};
use tokio::time::Instant;

#[derive(Debug, Entity, PartialEq)]
#[sora(table = "things")]
struct Thing {
    #[sora(key)]
    id: i64,
    size: i64,
}

/// What the store does with the next call, then with the one after it.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Fails before anything is done.
    Refuse(ErrorKind),
    /// Does it, and fails all the same: its outcome is unknown.
    Lose,
    /// Never answers.
    Hang,
    /// Hands out what it has, and fails then.
    Break,
    /// Does it.
    Pass,
}

#[derive(Clone, Debug, Default)]
struct Script {
    steps: Arc<Mutex<VecDeque<Step>>>,
    calls: Arc<Mutex<usize>>,
}

impl Script {
    fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        let script = Self::default();
        script.steps.lock().expect("a lock").extend(steps);
        script
    }

    fn next(&self) -> Option<Step> {
        *self.calls.lock().expect("a lock") += 1;
        self.steps.lock().expect("a lock").pop_front()
    }

    fn calls(&self) -> usize {
        *self.calls.lock().expect("a lock")
    }

    async fn before(&self) -> Result<Option<Step>> {
        match self.next() {
            Some(Step::Refuse(kind)) => Err(Error::new(kind, "as the test wants it")),
            Some(Step::Hang) => std::future::pending().await,
            step => Ok(step),
        }
    }
}

impl Layer for Script {
    fn layer(&self, inner: SharedProvider) -> SharedProvider {
        Arc::new(Scripted { script: self.clone(), inner })
    }
}

#[derive(Debug)]
struct Scripted {
    script: Script,
    inner: SharedProvider,
}

impl Provider for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn capability(&self) -> Capability {
        let mut capability = self.inner.capability();
        capability.keys_max = 4;
        capability
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        self.inner.negotiate(ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        let step = self.script.before().await?;
        let report = self.inner.read(read, sink).await?;
        match step {
            Some(Step::Break) => Err(Error::new(ErrorKind::Unavailable, "cut off")),
            _ => Ok(report),
        }
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        let step = self.script.before().await?;
        let report = self.inner.write(write, sink).await?;
        match step {
            Some(Step::Lose) => {
                Err(Error::new(ErrorKind::Unavailable, "cut off").with_retry(Retry::IfIdempotent))
            }
            _ => Ok(report),
        }
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        self.inner.describe(table).await
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        self.inner.administer(task).await
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        self.script.before().await?;
        self.inner.open(options).await
    }
}

async fn things(builder: SoraBuilder) -> Repository<Thing> {
    let store = builder.open("memory:").await.expect("a store");
    store.ensure_schema::<Thing>().await.expect("a table");
    store.repository::<Thing>().await.expect("a repository")
}

async fn retried(script: &Script, layer: RetryLayer) -> Repository<Thing> {
    things(Sora::builder().layer(script.clone()).layer(layer)).await
}

const BUSY: Step = Step::Refuse(ErrorKind::Busy);

#[tokio::test(start_paused = true)]
async fn what_failed_without_effect_is_done_again() {
    let script = Script::of([BUSY, Step::Refuse(ErrorKind::Unavailable)]);
    let things = retried(&script, RetryLayer::new()).await;
    things.upsert(&Thing { id: 1, size: 1 }).await.expect("written");
    assert_eq!(script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_can_never_succeed_is_not_done_again() {
    let script = Script::of([Step::Refuse(ErrorKind::Constraint)]);
    let things = retried(&script, RetryLayer::new()).await;
    let error = things.upsert(&Thing { id: 1, size: 1 }).await.expect_err("refused");
    assert_eq!((error.kind(), script.calls()), (ErrorKind::Constraint, 1));
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_is_replayed_only_if_that_changes_nothing() {
    let script = Script::of([Step::Lose]);
    let things = retried(&script, RetryLayer::new()).await;
    things.upsert(&Thing { id: 1, size: 1 }).await.expect("written");
    assert_eq!(script.calls(), 2);

    for adds in [true, false] {
        let script = Script::of([Step::Lose]);
        let things = retried(&script, RetryLayer::new()).await;
        let error = match adds {
            true => {
                things.insert(&Thing { id: 1, size: 1 }).await.expect_err("lost");
                *script.steps.lock().expect("a lock") = VecDeque::from([Step::Lose]);
                things.patch(1, [Thing::SIZE.add(1)]).await.expect_err("lost")
            }
            false => things.insert(&Thing { id: 1, size: 1 }).await.expect_err("lost"),
        };
        assert!(error.is_unknown());
        let row = things.get(1).await.expect("a read").expect("it was written");
        assert_eq!(row.size, if adds { 2 } else { 1 }, "once, not twice");
    }
}

#[tokio::test(start_paused = true)]
async fn it_waits_before_each_retry_as_long_as_the_backoff_says() {
    let script = Script::of([BUSY; 4]);
    let backoff = Backoff::new(100, 400).random(|| 0.5);
    let things = retried(&script, RetryLayer::new().attempts_max(5).backoff(backoff)).await;
    let start = Instant::now();
    things.get(1).await.expect("a read");
    // Half of each: 100, 200, 400, and 400 because it is the bound.
    assert_eq!(start.elapsed(), Duration::from_millis(50 + 100 + 200 + 200));
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_the_retries_of_all_calls_together() {
    let script = Script::of([BUSY; 100]);
    let things = retried(&script, RetryLayer::new().budget_max(2)).await;
    for _ in 0..10 {
        things.get(1).await.expect_err("busy");
    }
    // Ten calls, two retries of the budget; what the calls add is a tenth each.
    assert_eq!(script.calls(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_page_starts_over_without_rows_of_the_broken_attempt() {
    let script = Script::default();
    let things = retried(&script, RetryLayer::new()).await;
    let rows: Vec<Thing> = (0..10).map(|id| Thing { id, size: id }).collect();
    things.upsert_many(&rows).await.expect("rows");
    script.steps.lock().expect("a lock").push_back(Step::Break);
    let page = things.query(Thing::ID.ge(5)).limit(10).fetch().await.expect("a page");
    assert_eq!(page.iter().map(|row| row.id).collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
}

#[tokio::test(start_paused = true)]
async fn look_ups_of_many_keys_start_over_where_they_were_broken() {
    #[derive(Debug, Default)]
    struct Returned(Mutex<u64>);

    impl Observer for Returned {
        fn observe(&self, event: &Event<'_>) {
            if event.operation == Operation::GetMany {
                *self.0.lock().expect("a lock") += event.returned;
            }
        }
    }

    let (script, returned) = (Script::default(), Arc::new(Returned::default()));
    let builder = Sora::builder().layer(script.clone()).layer(RetryLayer::new());
    let things = things(builder.observer(returned.clone())).await;
    let rows: Vec<Thing> = (0..10).map(|id| Thing { id, size: id }).collect();
    things.upsert_many(&rows).await.expect("rows");
    // Three reads, of which the second is broken when it has handed out its rows.
    script.steps.lock().expect("a lock").extend([Step::Pass, Step::Break]);
    let found = things.get_many(0..10).await.expect("look-ups");
    assert_eq!(
        found.iter().flatten().map(|thing| thing.id).collect::<Vec<_>>(),
        (0..10).collect::<Vec<_>>()
    );
    assert_eq!(*returned.0.lock().expect("a lock"), 10, "each row is counted once");
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_has_handed_out_rows_is_not_repeated() {
    let script = Script::default();
    let things = retried(&script, RetryLayer::new()).await;
    things.upsert(&Thing { id: 1, size: 1 }).await.expect("a row");
    script.steps.lock().expect("a lock").push_back(Step::Break);
    let calls = script.calls();
    let error = things.query(Thing::ID.ge(0)).fetch().await.expect_err("cut off");
    assert_eq!((error.kind(), script.calls() - calls), (ErrorKind::Unavailable, 1));
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_ended_and_says_what_may_have_happened() {
    let script = Script::of([Step::Hang, Step::Hang]);
    let layer = TimeoutLayer::new().read_ms(50).write_ms(80);
    let things = things(Sora::builder().layer(script.clone()).layer(layer)).await;
    let error = things.get(1).await.expect_err("too long");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::Safe));
    let error = things.insert(&Thing { id: 1, size: 1 }).await.expect_err("too long");
    assert_eq!((error.kind(), error.is_unknown()), (ErrorKind::Timeout, true));
    assert!(error.message().contains("80 ms"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_followed_by_another() {
    let script = Script::of([Step::Hang]);
    let builder = Sora::builder()
        .layer(script.clone())
        .layer(TimeoutLayer::new().read_ms(50))
        .layer(RetryLayer::new());
    let things = things(builder).await;
    assert_eq!(things.get(1).await.expect("an answer"), None);
    assert_eq!(script.calls(), 2);
}
