//! Calls that join while others are under way.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

/// What calls that join are turned into.
pub(crate) trait Work: Send + Sync + 'static {
    /// One call that waits.
    type Item: Send + 'static;

    /// How many lanes calls may take alone before they wait for each other.
    fn alone_max(&self) -> usize;

    /// Whether one lane more pays, for calls that wait beside so many that are under way.
    fn opens(&self, waiting: usize, under_way: usize) -> bool;

    /// Whether a lane that has become free goes on with calls that wait, beside so many that are under way
    /// in others. Where it does not, they wait for another lane, or for more.
    fn goes_on(&self, waiting: usize, under_way: usize) -> bool;

    /// Takes calls that go together off the queue; none if all that wait must wait on.
    fn take(&self, waiting: &mut VecDeque<Self::Item>) -> Vec<Self::Item>;

    /// Turns of the runtime that a round trip waits for callers at most: a worker runs some 60 tasks in
    /// one. More make fewer round trips, and each begins later.
    fn turns_max(&self) -> usize;

    /// Makes the round trip of calls that go together and answers each.
    fn run(&self, items: Vec<Self::Item>) -> impl Future<Output = ()> + Send;
}

/// A few lanes to a store, each with one round trip under way.
///
/// A call that finds a lane free goes at once, alone. One that does not waits, and goes with all
/// others that waited when a lane becomes free: no timer, so nothing is slower when nothing is busy.
/// What waits has not been sent, so a call never joins a round trip that began before it.
pub(crate) struct Lanes<W: Work> {
    work: W,
    busy_max: usize,
    waiting_max: usize,
    state: Mutex<State<W::Item>>,
}

struct State<I> {
    busy: usize,
    /// Calls whose round trip is under way.
    under_way: usize,
    waiting: VecDeque<I>,
    /// Where callers have waited since the lanes were last idle, each runtime once: one that drives a
    /// lane can end before those of the others do.
    runtimes: Vec<Handle>,
}

/// How a call goes on.
pub(crate) enum Admission<W: Work, C, A> {
    /// Now and alone: in a lane, or without one beside them because too many wait.
    Alone(C, Option<Pass<W>>),
    /// With others; the answer comes when a lane was free.
    Waits(A),
}

/// The right to one lane. Dropped, the lane goes to those who wait.
pub(crate) struct Pass<W: Work> {
    lanes: Arc<Lanes<W>>,
    runtime: Handle,
    calls: usize,
    /// Whether it was seen to run. One that never does is on a runtime that was shut down, which drops
    /// at once what it is to drive.
    has_run: bool,
    is_over: bool,
}

impl<W: Work> Lanes<W> {
    pub(crate) fn work(&self) -> &W {
        &self.work
    }

    pub(crate) fn new(work: W, lanes: usize, waiting_max: usize) -> Arc<Self> {
        let state = Mutex::new(State {
            busy: 0,
            under_way: 0,
            waiting: VecDeque::new(),
            runtimes: Vec::new(),
        });
        Arc::new(Self { work, busy_max: lanes, waiting_max, state })
    }

    /// Lets a call through, or makes it one that waits and has an answer to come.
    pub(crate) fn admit<C, A>(
        self: &Arc<Self>,
        call: C,
        wait: impl FnOnce(C) -> (W::Item, A),
    ) -> Admission<W, C, A> {
        // Without a runtime nobody could drive what waits.
        let Ok(runtime) = Handle::try_current() else { return Admission::Alone(call, None) };
        let mut state = self.state();
        if state.busy < self.busy_max.min(self.work.alone_max()) && state.waiting.is_empty() {
            state.busy += 1;
            state.under_way += 1;
            let mut pass = Pass::new(self, runtime);
            (pass.calls, pass.has_run) = (1, true);
            return Admission::Alone(call, Some(pass));
        }
        if state.waiting.len() >= self.waiting_max {
            return Admission::Alone(call, None);
        }
        let (item, answer) = wait(call);
        state.waiting.push_back(item);
        if state.runtimes.iter().all(|known| known.id() != runtime.id()) {
            state.runtimes.push(runtime.clone());
        }
        if state.busy < self.busy_max && self.work.opens(state.waiting.len(), state.under_way) {
            state.busy += 1;
            drop(state);
            Pass::new(self, runtime).drive();
        }
        Admission::Waits(answer)
    }

    fn state(&self) -> MutexGuard<'_, State<W::Item>> {
        // Nothing that can panic runs under the lock but `take`, which moves calls one by one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Work> Pass<W> {
    fn new(lanes: &Arc<Lanes<W>>, runtime: Handle) -> Self {
        Self { lanes: lanes.clone(), runtime, calls: 0, has_run: false, is_over: false }
    }

    /// Makes round trips on a task of its own until nothing waits.
    fn drive(mut self) {
        let runtime = self.runtime.clone();
        runtime.spawn(async move {
            self.has_run = true;
            loop {
                self.gather().await;
                let items = self.take();
                if items.is_empty() {
                    return;
                }
                self.lanes.work.run(items).await;
            }
        });
    }

    /// Lets all callers that can run now join before the queue is taken: turn after turn, as long as
    /// one more has come and the work allows it.
    async fn gather(&self) {
        let mut waiting = 0;
        for _ in 0..self.lanes.work.turns_max() {
            tokio::task::yield_now().await;
            let now = self.lanes.state().waiting.len();
            if now <= waiting {
                return;
            }
            waiting = now;
        }
    }

    /// Takes what goes next; the lane is given up, under the same lock, if there is nothing.
    fn take(&mut self) -> Vec<W::Item> {
        let mut state = self.lanes.state();
        state.under_way -= self.calls;
        let work = &self.lanes.work;
        let goes_on = state.busy == 1 || work.goes_on(state.waiting.len(), state.under_way);
        let items = if goes_on { work.take(&mut state.waiting) } else { Vec::new() };
        self.calls = items.len();
        state.under_way += self.calls;
        if items.is_empty() {
            self.is_over = true;
            let runtimes = state.leave();
            drop(state);
            drop(runtimes);
        }
        items
    }
}

impl<I> State<I> {
    /// Gives a lane up, and what is of no use any more if it was the last.
    fn leave(&mut self) -> Vec<Handle> {
        self.busy -= 1;
        if self.busy > 0 { Vec::new() } else { std::mem::take(&mut self.runtimes) }
    }
}

impl<W: Work> Drop for Pass<W> {
    /// A call that went alone is done or was dropped, or a round trip ended by a panic or with its
    /// runtime. Those who wait are driven where one of them runs; if nobody's runtime goes on, they are
    /// let go.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = self.lanes.state();
        state.under_way -= self.calls;
        if !self.has_run {
            state.runtimes.retain(|known| known.id() != self.runtime.id());
        }
        let next = state.runtimes.last().filter(|_| !state.waiting.is_empty()).cloned();
        if let Some(runtime) = next {
            drop(state);
            return Self::new(&self.lanes, runtime).drive();
        }
        // Dropped behind the lock: to let a caller go wakes it.
        let waiting = std::mem::take(&mut state.waiting);
        let runtimes = state.leave();
        drop(state);
        drop((waiting, runtimes));
    }
}

impl<W: Work> fmt::Debug for Lanes<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").field("busy_max", &self.busy_max).finish_non_exhaustive()
    }
}
