//! A store in memory that fails as a script says.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sora::memory::Memory;
use sora::plan::Negotiation;
use sora::provider::{
    Administer, Administered, BoxFuture, Capability, Isolation, Provider, Savepoint, Session,
    SessionOptions, SharedProvider,
};
use sora::read::{Read, ReadReport};
use sora::write::{Change, Outcome, Target, Write, WriteReport};
use sora::{Cell, Clock, Error, ErrorKind, LiveTable, Result, Retry, RowBuffer, RowSink, Sora};

/// What becomes of one write.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It is done.
    Done,
    /// It is refused as a whole; nothing is written.
    Refused(Error),
    /// Each row with one of these keys fails, the others are done.
    Poisoned(BTreeSet<i64>, Error),
    /// It is refused as a whole, without saying why, if it has a row with one of these keys.
    Spoiled(BTreeSet<i64>, Error),
    /// It is done, or not, and nobody is told.
    Unanswered { is_done: bool },
    /// It is done, and an outcome is missing.
    Miscounted,
    /// It is done when others had their chance: other writes run meanwhile.
    Slow,
    /// It is done when so many writes were asked for; if that never happens, it is refused.
    After(usize),
    /// No answer ever comes.
    Never,
    /// The task that runs it panics.
    Panics,
}

type Script = Box<dyn FnMut(&Call) -> Fate + Send>;

/// A write or a commit, as the store was asked it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// Its number, from 0.
    pub(crate) number: usize,
    /// The keys, in the order in which they were sent; none of a commit.
    pub(crate) keys: Vec<i64>,
    pub(crate) is_atomic: bool,
    pub(crate) is_commit: bool,
}

/// A store that asks a script before each write, and remembers all of them.
#[derive(Clone)]
pub(crate) struct Scripted {
    inner: SharedProvider,
    state: Arc<State>,
    pub(crate) capability: Capability,
}

struct State {
    script: Mutex<Script>,
    calls: Mutex<Vec<Call>>,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Scripted {
    pub(crate) fn new(script: impl FnMut(&Call) -> Fate + Send + 'static) -> Self {
        let inner: SharedProvider = Arc::new(Memory::new());
        let state = State {
            script: Mutex::new(Box::new(script)),
            calls: Mutex::default(),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        };
        Self { capability: inner.capability(), inner, state: Arc::new(state) }
    }

    pub(crate) fn store(&self) -> Sora {
        Sora::builder().provider(Arc::new(self.clone()))
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().expect("no panic").clone()
    }

    /// The most writes that ran at the same time.
    pub(crate) fn most(&self) -> usize {
        self.state.most.load(Ordering::SeqCst)
    }

    fn fate(&self, keys: Vec<i64>, is_atomic: bool, is_commit: bool) -> Fate {
        let mut calls = self.state.calls.lock().expect("no panic");
        let call = Call { number: calls.len(), keys, is_atomic, is_commit };
        calls.push(call.clone());
        drop(calls);
        (self.state.script.lock().expect("no panic"))(&call)
    }
}

/// Where a scripted write goes.
enum Place<'a> {
    Store(&'a SharedProvider),
    Session(&'a mut dyn Session),
}

impl Place<'_> {
    async fn write(&mut self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        match self {
            Self::Store(store) => store.write(write, sink).await,
            Self::Session(session) => session.write(write, sink).await,
        }
    }
}

async fn scripted(
    script: &Scripted,
    mut place: Place<'_>,
    write: &Write,
    sink: &mut dyn RowSink,
) -> Result<WriteReport> {
    let keys = keys_of(&write.change);
    let running = script.state.running.fetch_add(1, Ordering::SeqCst) + 1;
    script.state.most.fetch_max(running, Ordering::SeqCst);
    let fate = script.fate(keys.clone(), write.atomic, false);
    let _running = Running(&script.state.running);
    match fate {
        Fate::Done => place.write(write, sink).await,
        Fate::Refused(error) => Err(error),
        Fate::Spoiled(spoiled, error) => match keys.iter().any(|key| spoiled.contains(key)) {
            true => Err(error),
            false => place.write(write, sink).await,
        },
        Fate::Unanswered { is_done } => {
            if is_done {
                place.write(write, sink).await?;
            }
            Err(unanswered())
        }
        Fate::Miscounted => {
            let mut report = place.write(write, sink).await?;
            report.outcomes.pop();
            Ok(report)
        }
        Fate::Slow => {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            place.write(write, sink).await
        }
        Fate::After(calls) => {
            for _ in 0..10_000 {
                if script.calls().len() >= calls {
                    return place.write(write, sink).await;
                }
                tokio::task::yield_now().await;
            }
            let message = "the other writes were never asked for";
            Err(Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Never))
        }
        Fate::Never => std::future::pending().await,
        Fate::Panics => panic!("as the script says"),
        Fate::Poisoned(poisoned, error) => {
            let is_poisoned = |key: &i64| poisoned.contains(key);
            let mut report = WriteReport::default();
            if let Some(at) = keys.iter().position(is_poisoned).filter(|_| write.atomic) {
                report.undo(keys.len(), at, error);
                return Ok(report);
            }
            let mut healthy = write.clone();
            healthy.change = without(&write.change, &poisoned);
            let done = place.write(&healthy, sink).await?;
            let mut done = done.outcomes.into_iter();
            for key in &keys {
                report.push(match is_poisoned(key) {
                    true => Outcome::Failed(error.clone()),
                    false => done.next().expect("an outcome of each row"),
                });
            }
            Ok(report)
        }
    }
}

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The error of a write of which nobody knows what became of it.
pub(crate) fn unanswered() -> Error {
    Error::new(ErrorKind::Unavailable, "the connection was cut").with_retry(Retry::IfIdempotent)
}

fn rows_of(change: &Change) -> &Arc<RowBuffer> {
    match change {
        Change::Insert { rows, .. } | Change::Update { rows, .. } => rows,
        Change::Delete { target: Target { keys: Some(keys), .. }, .. } => keys,
        other => panic!("no batch writes {other:?}"),
    }
}

/// The first column is the key.
fn keys_of(change: &Change) -> Vec<i64> {
    let key = |cell| match cell {
        Cell::I64(key) => key,
        other => panic!("no key: {other}"),
    };
    rows_of(change).iter().map(|row| key(row.get(0))).collect()
}

fn without(change: &Change, poisoned: &BTreeSet<i64>) -> Change {
    let all = rows_of(change);
    let mut left = RowBuffer::new(all.width());
    for (row, key) in all.iter().zip(keys_of(change)) {
        if !poisoned.contains(&key) {
            left.push(&row).expect("a row");
        }
    }
    let mut change = change.clone();
    match &mut change {
        Change::Insert { rows, .. } | Change::Update { rows, .. } => *rows = Arc::new(left),
        Change::Delete { target, .. } => target.keys = Some(Arc::new(left)),
        _ => {}
    }
    change
}

impl Provider for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn capability(&self) -> Capability {
        self.capability
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        self.inner.negotiate(ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        self.inner.read(read, sink).await
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        scripted(self, Place::Store(&self.inner), write, sink).await
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        self.inner.describe(table).await
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        self.inner.administer(task).await
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        let inner = self.inner.open(options).await?;
        Ok(Box::new(ScriptedSession { script: self.clone(), inner }))
    }
}

#[derive(Debug)]
struct ScriptedSession {
    script: Scripted,
    inner: Box<dyn Session>,
}

impl Session for ScriptedSession {
    fn isolation(&self) -> Isolation {
        self.inner.isolation()
    }

    fn read<'a>(
        &'a mut self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>> {
        self.inner.read(read, sink)
    }

    fn write<'a>(
        &'a mut self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>> {
        Box::pin(scripted(&self.script, Place::Session(&mut *self.inner), write, sink))
    }

    fn savepoint(&mut self, step: Savepoint) -> BoxFuture<'_, Result<()>> {
        self.inner.savepoint(step)
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            match self.script.fate(Vec::new(), true, true) {
                Fate::Refused(error) => self.inner.rollback().await.and(Err(error)),
                Fate::Unanswered { is_done: true } => {
                    self.inner.commit().await.and(Err(unanswered()))
                }
                Fate::Unanswered { is_done: false } => {
                    self.inner.rollback().await.and(Err(unanswered()))
                }
                Fate::Never => std::future::pending().await,
                _ => self.inner.commit().await,
            }
        })
    }

    fn rollback(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        self.inner.rollback()
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

/// A clock that stands still but for those who sleep by it, and draws lots from a list.
#[derive(Debug, Default)]
pub(crate) struct TestClock {
    now: Arc<Mutex<Duration>>,
    pub(crate) naps: Arc<Mutex<Vec<Duration>>>,
}

impl TestClock {
    pub(crate) fn pass(&self, time: Duration) {
        *self.now.lock().expect("no panic") += time;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Duration {
        *self.now.lock().expect("no panic")
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        *self.now.lock().expect("no panic") += duration;
        self.naps.lock().expect("no panic").push(duration);
        Box::pin(async {})
    }

    /// Half of the most.
    fn random(&self) -> u64 {
        1 << 63
    }
}
