//! The line before the writing connection: who comes next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use sora_core::write::Write;
use sora_core::{Error, ErrorKind, Result};
use tokio::sync::Semaphore;

use crate::answer::{Answer, Answered, Reply, answer};
use crate::chunk;
use crate::config::SqliteConfig;
use crate::deadline::Deadlines;
use crate::group;
use crate::worker::{Job, Worker};
use crate::write::Written;

/// Everything that wants the writing connection, first come first served.
///
/// Writes that stand next to each other are run together, by [`group`]. A turn is the connection for
/// somebody alone, for as long as they like: a session.
#[derive(Debug)]
pub(crate) struct Line {
    state: Mutex<State>,
    /// Room in the line; whoever finds none waits in front of it.
    places: Semaphore,
    /// Not bounded: only who has the connection sends, and the line itself.
    writer: mpsc::Sender<Job>,
    deadlines: Deadlines,
    /// Who wrote in a group and is not woken yet.
    answered: Answered,
    busy_timeout_ms: u32,
    group_writes_max: usize,
    group_rows_max: usize,
}

/// The connection, until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Option<Arc<Line>>);

/// A write whose caller waits for what became of it.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) write: Write,
    pub(crate) reply: Reply<Result<Written>>,
}

/// What the thread does next.
enum Next {
    /// Runs the writes that were taken.
    Group,
    /// Does something that needs the connection once.
    Once(Job),
    /// Nothing: somebody else has the connection now, or nobody.
    Passed,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(u64, Entry)>,
    /// Whether the connection is in use, by the thread for the line, or by a turn.
    is_taken: bool,
    /// Turns in the line, and the one that is out: what stands behind one waits for who knows how
    /// long, all else only for what the thread itself does.
    turns: usize,
    /// The number of the last entry.
    last: u64,
    /// The thread has ended.
    is_closed: bool,
}

enum Entry {
    Write(Queued),
    Once(Job),
    Turn(Reply<Turn>),
}

impl Line {
    /// Returns an empty line before the thread that these jobs go to.
    pub(crate) fn new(config: &SqliteConfig, writer: mpsc::Sender<Job>) -> Self {
        Self {
            state: Mutex::default(),
            places: Semaphore::new(config.queue_max),
            writer,
            deadlines: Deadlines::default(),
            answered: Answered::default(),
            busy_timeout_ms: config.busy_timeout_ms,
            group_writes_max: config.group_writes_max,
            group_rows_max: config.group_rows_max,
        }
    }

    /// Writes, in a group with others. If the caller is dropped, the write is done or not begun.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] after the configured time; else only if nothing was written.
    pub(crate) async fn write(self: &Arc<Self>, write: Write) -> Result<Written> {
        let (reply, answer) = answer();
        let written = self.wait(Entry::Write(Queued { write, reply }), answer).await?;
        self.answered.wake();
        written
    }

    /// Runs something on the writing thread in its turn; it runs to its end even if nobody waits.
    pub(crate) async fn once<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce(&mut Worker) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = answer();
        let job: Job = Box::new(move |worker| {
            if !reply.is_over() {
                let _ = reply.send(job(worker));
            }
        });
        self.wait(Entry::Once(job), answer).await?
    }

    /// Waits for the connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] after the configured time.
    pub(crate) async fn turn(self: &Arc<Self>) -> Result<Turn> {
        if let Some(turn) = self.free() {
            return Ok(turn);
        }
        let (reply, answer) = answer();
        self.wait(Entry::Turn(reply), answer).await
    }

    /// Gives the thread something to do for whoever has the connection.
    pub(crate) fn send(&self, job: Job) -> Result<()> {
        self.writer.send(job).map_err(|_| chunk::gone())
    }

    async fn wait<T>(self: &Arc<Self>, entry: Entry, mut answer: Answer<T>) -> Result<T> {
        let mut number = None;
        let mut behind_turn = false;
        let mut entry = Some(entry);
        if self.has_place() {
            (number, behind_turn) = self.join(&mut entry)?;
        }
        if number.is_some() && !behind_turn {
            return answer.await.ok_or_else(chunk::gone);
        }
        // Apart, so that the future of a write that nobody is in the way of is small.
        Box::pin(async {
            let wait = Duration::from_millis(self.busy_timeout_ms.into());
            let waited = self.deadlines.within(wait, async {
                if entry.is_some() {
                    self.places.acquire().await.map_err(|_| chunk::gone())?.forget();
                    (number, _) = self.join(&mut entry)?;
                }
                (&mut answer).await.ok_or_else(chunk::gone)
            });
            if let Some(answered) = waited.await {
                return answered;
            }
            if number.is_none_or(|number| self.leave(number)) {
                return Err(busy(self.busy_timeout_ms));
            }
            // It was begun at the last moment.
            answer.await.ok_or_else(chunk::gone)
        })
        .await
    }

    fn has_place(&self) -> bool {
        self.places.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    /// Stands behind the others; says whether a turn is in front.
    fn join(self: &Arc<Self>, entry: &mut Option<Entry>) -> Result<(Option<u64>, bool)> {
        let Some(entry) = entry.take() else { return Ok((None, false)) };
        let mut state = self.state();
        if state.is_closed {
            return Err(chunk::gone());
        }
        state.last += 1;
        let number = state.last;
        let behind_turn = state.turns > 0;
        state.turns += usize::from(matches!(entry, Entry::Turn(_)));
        state.waiting.push_back((number, entry));
        let is_first = !std::mem::replace(&mut state.is_taken, true);
        drop(state);
        if is_first {
            self.wake();
        }
        Ok((Some(number), behind_turn))
    }

    /// Leaves the line; false if it is too late.
    fn leave(&self, number: u64) -> bool {
        let mut state = self.state();
        let Ok(place) = state.waiting.binary_search_by_key(&number, |(number, _)| *number) else {
            return false;
        };
        let left = state.waiting.remove(place);
        state.turns -= usize::from(matches!(left, Some((_, Entry::Turn(_)))));
        drop(state);
        self.places.add_permits(1);
        true
    }

    /// Takes the connection if nobody has it.
    fn free(self: &Arc<Self>) -> Option<Turn> {
        let mut state = self.state();
        if state.is_taken || state.is_closed {
            return None;
        }
        state.is_taken = true;
        state.turns += 1;
        Some(Turn(Some(self.clone())))
    }

    /// Has the thread serve the line.
    fn wake(self: &Arc<Self>) {
        let line = self.clone();
        if self.writer.send(Box::new(move |worker| line.serve(worker))).is_err() {
            self.close();
        }
    }

    fn serve(self: &Arc<Self>, worker: &mut Worker) {
        let _end = CloseOnPanic(self);
        let mut group = Vec::new();
        loop {
            match self.next(&mut group) {
                Next::Group => {
                    let added = group::bytes(&group);
                    group::run(&mut worker.link, &mut worker.cache, &mut group, &self.answered);
                    worker.look_at_log(added);
                }
                Next::Once(job) => {
                    job(worker);
                    worker.look_at_log(None);
                }
                Next::Passed => return,
            }
        }
    }

    /// Takes what comes next out of the line.
    fn next(self: &Arc<Self>, group: &mut Vec<Queued>) -> Next {
        loop {
            let mut state = self.state();
            match state.waiting.front() {
                None => {
                    state.is_taken = false;
                    return Next::Passed;
                }
                Some((_, Entry::Turn(_))) => {
                    if self.grant(state) {
                        return Next::Passed;
                    }
                }
                Some((_, Entry::Once(_))) => {
                    let first = state.waiting.pop_front();
                    drop(state);
                    self.places.add_permits(1);
                    if let Some((_, Entry::Once(job))) = first {
                        return Next::Once(job);
                    }
                }
                Some((_, Entry::Write(_))) => {
                    let left = state.take_group(group, self.group_writes_max, self.group_rows_max);
                    drop(state);
                    self.places.add_permits(left);
                    if !group.is_empty() {
                        return Next::Group;
                    }
                }
            }
        }
    }

    /// Gives the connection to the turn in front; false if nobody waits for it any more.
    fn grant(self: &Arc<Self>, mut state: MutexGuard<'_, State>) -> bool {
        let Some((_, Entry::Turn(reply))) = state.waiting.pop_front() else { return false };
        drop(state);
        self.places.add_permits(1);
        match reply.send(Turn(Some(self.clone()))) {
            Ok(()) => true,
            Err(mut turn) => {
                turn.0 = None;
                self.state().turns -= 1;
                false
            }
        }
    }

    /// Gives the connection to whoever comes next.
    fn release(self: &Arc<Self>) {
        self.state().turns -= 1;
        loop {
            let mut state = self.state();
            match state.waiting.front() {
                None => {
                    state.is_taken = false;
                    return;
                }
                Some((_, Entry::Turn(_))) => {
                    if self.grant(state) {
                        return;
                    }
                }
                Some(_) => {
                    drop(state);
                    return self.wake();
                }
            }
        }
    }

    /// Tells all that wait that there is no thread any more.
    fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        // What is dropped may come back here.
        drop(waiting);
        self.places.close();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the writes at the front, at least one, and returns how many entries left the line. What
    /// nobody waits for any more is not begun.
    fn take_group(&mut self, group: &mut Vec<Queued>, writes_max: usize, rows_max: usize) -> usize {
        let mut taken = 0;
        let mut rows = 0;
        while let Some((_, Entry::Write(queued))) = self.waiting.front() {
            let more = rows + queued.write.change.len();
            if group.len() == writes_max || (more > rows_max && !group.is_empty()) {
                break;
            }
            let Some((_, Entry::Write(queued))) = self.waiting.pop_front() else { break };
            taken += 1;
            if !queued.reply.is_over() {
                rows = more;
                group.push(queued);
            }
        }
        taken
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(line) = self.0.take() {
            match std::thread::panicking() {
                true => line.close(),
                false => line.release(),
            }
        }
    }
}

/// A thread that panics serves nobody any more.
struct CloseOnPanic<'a>(&'a Line);

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
}

/// The error of a write that waited too long for another.
fn busy(waited_ms: u32) -> Error {
    let message = format!(
        "another write or transaction of this process held the database for {waited_ms} ms; \
         keep transactions short, or raise busy_timeout_ms"
    );
    Error::new(ErrorKind::Busy, message)
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("waiting", &self.waiting.len())
            .field("is_taken", &self.is_taken)
            .finish_non_exhaustive()
    }
}
