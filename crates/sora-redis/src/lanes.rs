//! Calls that join while others are under way.

use std::collections::VecDeque;
use std::ops::{AddAssign, SubAssign};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use sora_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::ask::{Answered, Ask};
use crate::fetches::{Fetch, Fetches};
use crate::few::Few;
use crate::name::Key;

/// How many bursts are out at one time: some are on their way while the server answers another, and
/// callers of others see their answers.
const LANES: usize = 8;

/// For so many names that are out another lane is taken by [`READ_MIN`] or [`CHANGED_MIN`] that wait.
const OUT: usize = 5;

/// The least where all are only read.
const READ_MIN: usize = 1;

/// The least where any of them is changed.
const CHANGED_MIN: usize = 3;

/// Room for so many look-ups at least; more take more.
const ROOM_MIN: usize = 8;

/// The bursts to one server that are out, and the calls that wait for them.
///
/// A call that finds nothing out goes at once, alone. While something is out, another lane is taken once
/// one name waits for five that are out, or three where any of them is changed: by few calls beside few,
/// and by many beside many, so that few do not go ahead of many who are about to ask. Look-ups that find
/// go on to ask; those that miss come back together, with leases and fills, and then few round trips are
/// worth more than early ones. What waits goes together, at the latest when nothing is out any more: no
/// timer, so nothing is slower when nothing is busy.
#[derive(Debug)]
pub(crate) struct Lanes {
    state: Mutex<State>,
    burst_max: usize,
    waiting_max: usize,
}

#[derive(Debug, Default)]
struct State {
    busy: usize,
    waiting: VecDeque<Part>,
    /// Behind these, look-ups of single names that more may join.
    fetches: Option<Fetches>,
    /// What waits.
    held: Count,
    /// What is out, or was in lanes that go on.
    out: Count,
    /// A lane was opened for what waits and has not taken it yet: nobody opens another for the same.
    is_opening: bool,
}

/// Names that wait, or are out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) names: usize,
    /// How many of them are changed.
    pub(crate) changes: usize,
}

/// What waits.
#[derive(Debug)]
pub(crate) enum Part {
    Call(Call),
    /// Look-ups of single names.
    Fetches(Fetches),
}

/// A call that waits.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) asks: Few<Ask>,
    pub(crate) deadline: Instant,
    pub(crate) answer: oneshot::Sender<Result<Answered>>,
}

/// How a call goes on.
pub(crate) enum Admission {
    /// Now, alone, in a lane.
    Alone(Few<Ask>),
    /// With others.
    Waits(Waiting),
}

/// A call that waits, as its caller sees it.
pub(crate) struct Waiting<A = oneshot::Receiver<Result<Answered>>> {
    pub(crate) answer: A,
    /// The caller has taken a lane for all that wait, and must drive it.
    pub(crate) opens: bool,
}

impl Lanes {
    pub(crate) fn new(burst_max: usize, waiting_max: usize) -> Self {
        Self { state: Mutex::default(), burst_max: burst_max.max(1), waiting_max }
    }

    /// Lets a call through if a lane is free, else makes it one that waits.
    pub(crate) fn admit(&self, asks: Few<Ask>, deadline: Instant) -> Result<Admission> {
        let mut state = self.state();
        let count = Count::of(&asks);
        if state.held.names == 0 && state.may_open(count) {
            state.busy += 1;
            state.out += count;
            return Ok(Admission::Alone(asks));
        }
        self.wait(state, asks, deadline).map(Admission::Waits)
    }

    /// Makes a call one that waits; a lane that is free is taken for it.
    pub(crate) fn join(&self, asks: Few<Ask>, deadline: Instant) -> Result<Waiting> {
        self.wait(self.state(), asks, deadline)
    }

    fn wait(
        &self,
        mut state: MutexGuard<'_, State>,
        asks: Few<Ask>,
        deadline: Instant,
    ) -> Result<Waiting> {
        self.check(&state, asks.len())?;
        let (sender, answer) = oneshot::channel();
        let count = Count::of(&asks);
        state.waiting.push_back(Part::Call(Call { asks, deadline, answer: sender }));
        Ok(Waiting { answer, opens: state.has_joined(count) })
    }

    /// Lets the look-up of one name through if a lane is free: none is returned, and it is to be asked
    /// alone. Else makes it one that waits, and wakes its caller when there is an answer.
    pub(crate) fn fetch(
        &self,
        key: &Key,
        deadline: Instant,
        waker: &Waker,
    ) -> Result<Option<Waiting<Fetch>>> {
        let mut state = self.state();
        if state.held.names == 0 && state.may_open(Count::LOOK_UP) {
            state.busy += 1;
            state.out += Count::LOOK_UP;
            return Ok(None);
        }
        self.check(&state, 1)?;
        let open = state.fetches.as_ref();
        let answer = match open.and_then(|open| open.join(key, deadline, waker, self.burst_max)) {
            Some(fetch) => fetch,
            None => {
                let room = self.burst_max.min(state.out.names.max(ROOM_MIN));
                let (fetches, first) = Fetches::open(key, deadline, waker, room);
                let full = state.fetches.replace(fetches);
                state.waiting.extend(full.map(Part::Fetches));
                first
            }
        };
        Ok(Some(Waiting { answer, opens: state.has_joined(Count::LOOK_UP) }))
    }

    fn check(&self, state: &State, names: usize) -> Result<()> {
        if state.held.names + names > self.waiting_max {
            let message =
                "too many names wait to be sent to Redis: raise `waiting_max`, or ask less";
            return Err(Error::new(ErrorKind::Busy, message).with("waiting_max", self.waiting_max));
        }
        Ok(())
    }

    /// Takes what goes next in a lane in which this was out; the lane is given up, under the same lock, if
    /// that is nothing.
    pub(crate) fn take(&self, out: Count) -> Vec<Part> {
        let mut state = self.state();
        if !state.goes_on(out) {
            return Vec::new();
        }
        let fetches = state.fetches.take();
        state.waiting.extend(fetches.map(Part::Fetches));
        let mut names = 0;
        let fits = |part: &Part| {
            let is_first = names == 0;
            names += part.count().names;
            is_first || names <= self.burst_max
        };
        let count = state.waiting.iter().map(fits).take_while(|fits| *fits).count();
        let parts: Vec<Part> = state.waiting.drain(..count).collect();
        for part in &parts {
            let count = part.count();
            state.held -= count;
            state.out += count;
        }
        parts
    }

    /// Gives a lane back in which this was out; says whether it must be driven instead, for those who wait.
    pub(crate) fn leave(&self, out: Count) -> bool {
        self.state().goes_on(out)
    }

    /// Gives a lane back in which this was out, and returns all who wait: nobody can be driven any more.
    pub(crate) fn close(&self, out: Count) -> VecDeque<Part> {
        let mut state = self.state();
        state.out -= out;
        state.busy -= 1;
        state.held = Count::default();
        state.is_opening = false;
        let fetches = state.fetches.take();
        state.waiting.extend(fetches.map(Part::Fetches));
        std::mem::take(&mut state.waiting)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    /// A name that is looked up.
    pub(crate) const LOOK_UP: Self = Self { names: 1, changes: 0 };

    pub(crate) fn of(asks: &Few<Ask>) -> Self {
        let asks = asks.as_slice();
        Self { names: asks.len(), changes: asks.iter().filter(|ask| ask.changes()).count() }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, more: Self) {
        self.names += more.names;
        self.changes += more.changes;
    }
}

impl SubAssign for Count {
    fn sub_assign(&mut self, less: Self) {
        self.names -= less.names;
        self.changes -= less.changes;
    }
}

impl Part {
    pub(crate) fn count(&self) -> Count {
        match self {
            Self::Call(call) => Count::of(&call.asks),
            Self::Fetches(fetches) => Count { names: fetches.len(), changes: 0 },
        }
    }
}

impl State {
    /// Counts what came to wait; says whether a lane was taken for all that does.
    fn has_joined(&mut self, count: Count) -> bool {
        self.held += count;
        let opens = !self.is_opening && self.may_open(self.held);
        self.busy += usize::from(opens);
        self.is_opening |= opens;
        opens
    }

    /// Whether what waits, or comes, may go in a lane that is free.
    fn may_open(&self, count: Count) -> bool {
        let is_only_read = count.changes == 0 && self.out.changes == 0;
        let enough = if is_only_read { READ_MIN } else { CHANGED_MIN };
        self.busy == 0 || self.busy < LANES && OUT * count.names >= enough * self.out.names
    }

    /// Gives a lane up in which this was out, unless what waits may go in it.
    fn goes_on(&mut self, out: Count) -> bool {
        self.is_opening = false;
        self.out -= out;
        self.busy -= 1;
        let goes_on = self.held.names > 0 && self.may_open(self.held);
        self.busy += usize::from(goes_on);
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use sora_core::remote::RemoteName;

    use super::*;
    use crate::ask::What;

    fn asks(count: usize, what: fn() -> What) -> Few<Ask> {
        let key = Key::of(&RemoteName::new("s", *b"k")).expect("a name");
        Few::Many((0..count).map(|_| Ask::new(key.clone(), what())).collect())
    }

    /// Says how a call of so many names goes on: alone, opening a lane for those who wait, or waiting.
    fn enter_with(lanes: &Lanes, count: usize, what: fn() -> What) -> &'static str {
        match lanes.admit(asks(count, what), Instant::now()).expect("few wait") {
            Admission::Alone(_) => "alone",
            Admission::Waits(Waiting { opens: true, .. }) => "opens",
            Admission::Waits(_) => "waits",
        }
    }

    /// The same of one that looks names up.
    fn enter(lanes: &Lanes, count: usize) -> &'static str {
        enter_with(lanes, count, || What::Fetch)
    }

    fn looked_up(names: usize) -> Count {
        Count { names, changes: 0 }
    }

    #[tokio::test]
    async fn few_do_not_go_ahead_of_many() {
        for (calls, expected) in [
            // As long as one is a fifth of all, it goes alone; then two wait for what is out of six.
            (
                &[1; 9][..],
                &["alone", "alone", "alone", "alone", "alone", "alone", "waits", "opens", "waits"]
                    [..],
            ),
            (&[50, 10, 9, 3, 99], &["alone", "alone", "waits", "opens", "waits"]),
            // No ninth lane.
            (
                &[1, 1, 1, 1, 2, 3, 5, 9, 99],
                &["alone", "alone", "alone", "alone", "alone", "alone", "alone", "alone", "waits"],
            ),
            (&[10, 1, 1, 1], &["alone", "waits", "opens", "waits"]),
        ] {
            let lanes = Lanes::new(1_024, 1_024);
            let went: Vec<_> = calls.iter().map(|count| enter(&lanes, *count)).collect();
            assert_eq!(went, expected, "{calls:?}");
        }
    }

    #[tokio::test]
    async fn changes_wait_for_more() {
        let lanes = Lanes::new(1_024, 1_024);
        let change = |count| enter_with(&lanes, count, || What::Remove);
        assert_eq!([change(1), change(1)], ["alone", "alone"]);
        // Three for five, also of what is looked up beside them.
        assert_eq!([change(1), enter(&lanes, 1), enter(&lanes, 1)], ["waits", "opens", "waits"]);
        assert_eq!(lanes.take(Count::default()).len(), 3);
        let changed = |names, changes| Count { names, changes };
        assert_eq!(lanes.state().out, changed(5, 3));
        assert_eq!([enter(&lanes, 2), enter(&lanes, 1)], ["waits", "opens"]);
        assert_eq!(lanes.take(Count::default()).len(), 2);
        for out in [changed(1, 1), changed(1, 1), changed(3, 1)] {
            assert!(!lanes.leave(out));
        }
        // What is left is only read.
        assert_eq!(lanes.state().out, looked_up(3));
        assert_eq!(enter(&lanes, 1), "alone");
    }

    #[tokio::test]
    async fn look_ups_that_wait_go_together_behind_calls() {
        let lanes = Lanes::new(3, 9);
        let key = Key::of(&RemoteName::new("s", *b"k")).expect("a name");
        let fetch = || lanes.fetch(&key, Instant::now(), Waker::noop());
        let opens = |()| fetch().expect("few wait").map(|waiting| waiting.opens);
        // One goes alone beside five, then two wait for what is out of six.
        assert_eq!([(); 6].map(opens), [None; 6]);
        assert_eq!([(); 4].map(opens), [Some(false), Some(true), Some(false), Some(false)]);
        assert_eq!(enter(&lanes, 2), "waits");
        assert_eq!([(); 3].map(opens), [Some(false); 3]);
        let full = fetch().map(drop).expect_err("nine names wait at most");
        assert_eq!(full.kind(), ErrorKind::Busy);
        let take = |names| {
            let parts = lanes.take(looked_up(names));
            parts.iter().map(|part| part.count().names).collect::<Vec<_>>()
        };
        assert_eq!([take(0), take(3), take(2)], [[3], [2], [3]]);
        // One beside the six that went first is too few; beside five it is not.
        assert!(take(3).is_empty());
        assert!(lanes.leave(looked_up(1)));
        assert_eq!(take(0), [1]);
        assert_eq!(lanes.state().held, Count::default());
    }

    #[tokio::test]
    async fn a_lane_goes_on_with_enough_or_when_nothing_else_is_out() {
        let lanes = Lanes::new(1_024, 1_024);
        assert_eq!(
            [enter(&lanes, 10), enter(&lanes, 6), enter(&lanes, 1)],
            ["alone", "alone", "waits"]
        );
        // Of the other lane 10 are out, and one waits.
        assert!(!lanes.leave(looked_up(6)));
        assert!(lanes.leave(looked_up(10)));
        assert_eq!(lanes.take(looked_up(0)).len(), 1);
        assert_eq!([enter(&lanes, 20), enter(&lanes, 2)], ["alone", "waits"]);
        assert!(!lanes.leave(looked_up(1)));
        assert!(lanes.leave(looked_up(20)));
        assert_eq!(lanes.take(looked_up(0)).len(), 1);
        // Nothing waits: the last lane is given up, and the next call goes alone.
        assert_eq!(lanes.take(looked_up(1)).len(), 0);
        assert_eq!(enter(&lanes, 9), "alone");
    }
}
