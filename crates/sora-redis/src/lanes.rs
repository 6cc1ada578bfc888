//! Calls that join while others are under way.

use std::collections::VecDeque;
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

/// For so many names that are out one that waits takes another lane.
const OUT_FOR_ONE: usize = 5;

/// Room for so many look-ups at least; more take more.
const ROOM_MIN: usize = 8;

/// The bursts to one server that are out, and the calls that wait for them.
///
/// A call that finds nothing out goes at once, alone. While something is out, another lane is taken once
/// one name waits for five that are out: by few calls beside few, and by many beside many, so that few do
/// not go ahead of many who are about to ask. What waits goes together, at the latest when nothing is out
/// any more: no timer, so nothing is slower when nothing is busy.
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
    /// How many names wait.
    names: usize,
    /// How many names are out, or were in lanes that go on.
    out: usize,
    /// A lane was opened for what waits and has not taken it yet: nobody opens another for the same.
    is_opening: bool,
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
        if state.names == 0 && state.may_open(asks.len()) {
            state.busy += 1;
            state.out += asks.len();
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
        let names = asks.len();
        state.waiting.push_back(Part::Call(Call { asks, deadline, answer: sender }));
        Ok(Waiting { answer, opens: state.has_joined(names) })
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
        if state.names == 0 && state.may_open(1) {
            state.busy += 1;
            state.out += 1;
            return Ok(None);
        }
        self.check(&state, 1)?;
        let open = state.fetches.as_ref();
        let answer = match open.and_then(|open| open.join(key, deadline, waker, self.burst_max)) {
            Some(fetch) => fetch,
            None => {
                let room = self.burst_max.min(state.out.max(ROOM_MIN));
                let (fetches, first) = Fetches::open(key, deadline, waker, room);
                let full = state.fetches.replace(fetches);
                state.waiting.extend(full.map(Part::Fetches));
                first
            }
        };
        Ok(Some(Waiting { answer, opens: state.has_joined(1) }))
    }

    fn check(&self, state: &State, names: usize) -> Result<()> {
        if state.names + names > self.waiting_max {
            let message =
                "too many names wait to be sent to Redis: raise `waiting_max`, or ask less";
            return Err(Error::new(ErrorKind::Busy, message).with("waiting_max", self.waiting_max));
        }
        Ok(())
    }

    /// Takes what goes next in a lane in which so many names were out; the lane is given up, under the
    /// same lock, if that is nothing.
    pub(crate) fn take(&self, names: usize) -> Vec<Part> {
        let mut state = self.state();
        if !state.goes_on(names) {
            return Vec::new();
        }
        let fetches = state.fetches.take();
        state.waiting.extend(fetches.map(Part::Fetches));
        let mut names = 0;
        let fits = |part: &Part| {
            let is_first = names == 0;
            names += part.len();
            is_first || names <= self.burst_max
        };
        let count = state.waiting.iter().map(fits).take_while(|fits| *fits).count();
        let parts: Vec<Part> = state.waiting.drain(..count).collect();
        let names = parts.iter().map(Part::len).sum::<usize>();
        state.names -= names;
        state.out += names;
        parts
    }

    /// Gives a lane back in which so many names were out; says whether it must be driven instead, for
    /// those who wait.
    pub(crate) fn leave(&self, names: usize) -> bool {
        self.state().goes_on(names)
    }

    /// Gives a lane back in which so many names were out, and returns all who wait: nobody can be driven
    /// any more.
    pub(crate) fn close(&self, names: usize) -> VecDeque<Part> {
        let mut state = self.state();
        state.out -= names;
        state.busy -= 1;
        state.names = 0;
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

impl Part {
    /// How many names it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Call(call) => call.asks.len(),
            Self::Fetches(fetches) => fetches.len(),
        }
    }
}

impl State {
    /// Counts names that came to wait; says whether a lane was taken for all that do.
    fn has_joined(&mut self, names: usize) -> bool {
        self.names += names;
        let opens = !self.is_opening && self.may_open(self.names);
        self.busy += usize::from(opens);
        self.is_opening |= opens;
        opens
    }

    /// Whether names that wait, or come, may go in a lane that is free.
    fn may_open(&self, names: usize) -> bool {
        self.busy == 0 || self.busy < LANES && OUT_FOR_ONE * names >= self.out
    }

    /// Gives a lane up in which so many names were out, unless what waits may go in it.
    fn goes_on(&mut self, names: usize) -> bool {
        self.is_opening = false;
        self.out -= names;
        self.busy -= 1;
        let goes_on = self.names > 0 && self.may_open(self.names);
        self.busy += usize::from(goes_on);
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use sora_core::remote::RemoteName;

    use super::*;
    use crate::ask::What;

    fn asks(count: usize) -> Few<Ask> {
        let key = Key::of(&RemoteName::new("s", *b"k")).expect("a name");
        Few::Many((0..count).map(|_| Ask::new(key.clone(), What::Fetch)).collect())
    }

    /// Says how a call of so many names goes on: alone, opening a lane for those who wait, or waiting.
    fn enter(lanes: &Lanes, count: usize) -> &'static str {
        match lanes.admit(asks(count), Instant::now()).expect("few wait") {
            Admission::Alone(_) => "alone",
            Admission::Waits(Waiting { opens: true, .. }) => "opens",
            Admission::Waits(_) => "waits",
        }
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
        let take = |names| lanes.take(names).iter().map(Part::len).collect::<Vec<_>>();
        assert_eq!([take(0), take(3), take(2)], [[3], [2], [3]]);
        // One beside the six that went first is too few; beside five it is not.
        assert!(take(3).is_empty());
        assert!(lanes.leave(1));
        assert_eq!(take(0), [1]);
        assert_eq!(lanes.state().names, 0);
    }

    #[tokio::test]
    async fn a_lane_goes_on_with_enough_or_when_nothing_else_is_out() {
        let lanes = Lanes::new(1_024, 1_024);
        assert_eq!(
            [enter(&lanes, 10), enter(&lanes, 6), enter(&lanes, 1)],
            ["alone", "alone", "waits"]
        );
        // Of the other lane 10 are out, and one waits.
        assert!(!lanes.leave(6));
        assert!(lanes.leave(10));
        assert_eq!(lanes.take(0).len(), 1);
        assert_eq!([enter(&lanes, 20), enter(&lanes, 2)], ["alone", "waits"]);
        assert!(!lanes.leave(1));
        assert!(lanes.leave(20));
        assert_eq!(lanes.take(0).len(), 1);
        // Nothing waits: the last lane is given up, and the next call goes alone.
        assert_eq!(lanes.take(1).len(), 0);
        assert_eq!(enter(&lanes, 9), "alone");
    }
}
