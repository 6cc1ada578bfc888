//! Look-ups of single names that go to a server together.

use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use sora_core::remote::Slot;
use sora_core::{Error, Result};
use tokio::time::Instant;

use crate::ask::Answer;
use crate::failure;
use crate::name::Key;

/// Look-ups that wait to be sent, or for their answers.
///
/// Dropped, it fails all that have none. Callers share one allocation, where a channel for each would be
/// one for each, and nobody who takes an answer waits for another.
#[derive(Debug)]
pub(crate) struct Fetches(Arc<Shared>);

/// A look-up of one caller. Dropped, it is given up.
#[derive(Debug)]
pub(crate) struct Fetch {
    shared: Arc<Shared>,
    at: usize,
    /// It was not polled yet: its caller's waker is the one that it came with.
    is_new: bool,
    is_over: bool,
}

/// Keys, one behind the other, as they stand in a command.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Written once, while the state is locked; none for those who left or failed before.
    answers: OnceLock<Vec<Option<Answer>>>,
}

#[derive(Debug)]
struct State {
    keys: Keys,
    seats: Vec<Seat>,
    /// Which of them were sent.
    sent: Vec<usize>,
}

#[derive(Debug)]
enum Seat {
    Waits(Instant, Waker),
    Failed(Error),
    /// Its caller is gone, or has its answer.
    Left,
}

impl Fetches {
    /// Begins with one, and makes room for more.
    pub(crate) fn open(key: &Key, deadline: Instant, waker: &Waker, room: usize) -> (Self, Fetch) {
        let (keys, seats) = (Keys::with_capacity(room), Vec::with_capacity(room));
        let mut state = State { keys, seats, sent: Vec::new() };
        let at = state.join(key, deadline, waker);
        let shared = Arc::new(Shared { state: Mutex::new(state), answers: OnceLock::new() });
        (Self(shared.clone()), Fetch::new(shared, at))
    }

    /// Takes in one more, unless there are as many already.
    pub(crate) fn join(
        &self,
        key: &Key,
        deadline: Instant,
        waker: &Waker,
        names_max: usize,
    ) -> Option<Fetch> {
        let mut state = self.0.state();
        if state.seats.len() >= names_max {
            return None;
        }
        let at = state.join(key, deadline, waker);
        drop(state);
        Some(Fetch::new(self.0.clone(), at))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.state().seats.len()
    }

    /// Hands out the keys of all whose callers wait; nobody joins any more.
    pub(crate) fn send(&self, keys: &mut Keys) {
        let mut state = self.0.state();
        let written = std::mem::take(&mut state.keys);
        let waits = |seat: &Seat| matches!(seat, Seat::Waits(..));
        state.sent = (0..state.seats.len()).filter(|at| waits(&state.seats[*at])).collect();
        if keys.ends.is_empty() && state.sent.len() == state.seats.len() {
            *keys = written;
        } else {
            state.sent.iter().for_each(|at| keys.push_written(written.written(*at..at + 1)));
        }
    }

    /// How many were sent.
    pub(crate) fn sent(&self) -> usize {
        self.0.state().sent.len()
    }

    /// Answers those that were sent, in their order, once.
    pub(crate) fn answer(&self, answers: impl Iterator<Item = Answer>) {
        let mut state = self.0.state();
        let sent = std::mem::take(&mut state.sent);
        let mut wakers = Vec::with_capacity(sent.len());
        let mut taken: Vec<Option<Answer>> = Vec::with_capacity(state.seats.len());
        for (at, answer) in sent.into_iter().zip(answers) {
            if let Some(waker) = state.seats[at].settle(Seat::Left) {
                wakers.push(waker);
                taken.resize_with(at, || None);
                taken.push(Some(answer));
            }
        }
        // Nobody else does.
        _ = self.0.answers.set(taken);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The first deadline of those that wait.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let state = self.0.state();
        state.seats.iter().find_map(|seat| match seat {
            // They came in the order of their deadlines.
            Seat::Waits(deadline, _) => Some(*deadline),
            _ => None,
        })
    }

    /// Fails those whose time is over.
    pub(crate) fn expire(&self, now: Instant, error: &Error) {
        self.fail_if(|deadline| deadline <= now, error);
    }

    /// Fails all that wait.
    pub(crate) fn fail(&self, error: &Error) {
        self.fail_if(|_| true, error);
    }

    fn fail_if(&self, is_over: impl Fn(Instant) -> bool, error: &Error) {
        let mut wakers = Vec::new();
        for seat in &mut self.0.state().seats {
            if matches!(seat, Seat::Waits(deadline, _) if is_over(*deadline)) {
                wakers.extend(seat.settle(Seat::Failed(error.clone())));
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Fetches {
    fn drop(&mut self) {
        self.fail(&failure::unavailable("the tier was closed"));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of one, if it has one.
    fn answer(&self, at: usize) -> Option<Result<Slot>> {
        self.answers.get()?.get(at)?.as_ref().map(Answer::slot)
    }
}

impl State {
    fn join(&mut self, key: &Key, deadline: Instant, waker: &Waker) -> usize {
        self.keys.push(key);
        self.seats.push(Seat::Waits(deadline, waker.clone()));
        self.seats.len() - 1
    }
}

impl Seat {
    /// Ends the wait, if there is one; returns whom to wake once nothing is locked.
    fn settle(&mut self, end: Self) -> Option<Waker> {
        match std::mem::replace(self, end) {
            Self::Waits(_, waker) => Some(waker),
            over => {
                *self = over;
                None
            }
        }
    }
}

impl Fetch {
    fn new(shared: Arc<Shared>, at: usize) -> Self {
        Self { shared, at, is_new: true, is_over: false }
    }

    fn over(&mut self, answer: Result<Slot>) -> Poll<Result<Slot>> {
        self.is_over = true;
        Poll::Ready(answer)
    }
}

/// It is polled first where it was made, with the waker that it was made with.
impl Future for Fetch {
    type Output = Result<Slot>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.is_new) {
            return Poll::Pending;
        }
        if let Some(answer) = self.shared.answer(self.at) {
            return self.over(answer);
        }
        let mut state = self.shared.state();
        match &mut state.seats[self.at] {
            Seat::Waits(_, waker) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
            Seat::Failed(error) => {
                let failed = Err(error.clone());
                drop(state);
                self.over(failed)
            }
            Seat::Left => {
                drop(state);
                // Answered since it was looked for.
                match self.shared.answer(self.at) {
                    Some(answer) => self.over(answer),
                    None => Poll::Pending,
                }
            }
        }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        if !self.is_over {
            // What it held is dropped when this is unlocked.
            let _seat = std::mem::replace(&mut self.shared.state().seats[self.at], Seat::Left);
        }
    }
}

impl Keys {
    fn with_capacity(names: usize) -> Self {
        Self { bytes: Vec::with_capacity(names * LENGTH), ends: Vec::with_capacity(names) }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes they take in commands.
    pub(crate) fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Those from one to before another, as arguments of a command.
    pub(crate) fn written(&self, keys: Range<usize>) -> &[u8] {
        let end = |keys: usize| match keys.checked_sub(1) {
            Some(last) => self.ends.get(last).copied().unwrap_or(self.bytes.len()),
            None => 0,
        };
        self.bytes.get(end(keys.start)..end(keys.end)).unwrap_or_default()
    }

    fn push(&mut self, key: &Key) {
        let (key, mut length) = (key.bytes(), itoa::Buffer::new());
        for part in [b"$", length.format(key.len()).as_bytes(), b"\r\n", key, b"\r\n"] {
            self.bytes.extend_from_slice(part);
        }
        self.ends.push(self.bytes.len());
    }

    /// Puts keys behind these that stand in commands already.
    fn push_written(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }
}

/// How long a key is taken to be; longer ones take more room.
const LENGTH: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sora_core::ErrorKind;
    use sora_core::remote::RemoteName;

    use super::*;

    const NAMES_MAX: usize = 4;

    fn key(key: u8) -> Key {
        Key::of(&RemoteName::new("s", [key])).expect("a name")
    }

    /// Look-ups of the keys 0, 1, 2 and 3; each has a millisecond more than the one before.
    fn four(start: Instant) -> (Fetches, [Fetch; 4]) {
        let deadline = |at: u8| start + Duration::from_millis(at.into());
        let (fetches, first) = Fetches::open(&key(0), deadline(0), Waker::noop(), 1);
        let join =
            |at: u8| fetches.join(&key(at), deadline(at), Waker::noop(), NAMES_MAX).expect("room");
        let mut all = [first, join(1), join(2), join(3)];
        assert_eq!(all.each_mut().map(state), ["waits"; 4]);
        (fetches, all)
    }

    /// What a look-up has, as a word.
    fn state(fetch: &mut Fetch) -> String {
        match Pin::new(fetch).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => "waits".into(),
            Poll::Ready(Ok(Slot::Value(value))) => String::from_utf8(value).expect("text"),
            Poll::Ready(Ok(slot)) => format!("{slot:?}"),
            Poll::Ready(Err(error)) => format!("{:?}", error.kind()),
        }
    }

    /// A key as it stands in a command.
    fn argument(key: &Key) -> String {
        let key = String::from_utf8_lossy(key.bytes());
        format!("${}\r\n{key}\r\n", key.len())
    }

    fn value(text: &str) -> Slot {
        Slot::Value(text.into())
    }

    #[tokio::test]
    async fn each_has_the_answer_to_its_own_key() {
        let (fetches, [mut zero, one, mut two, mut three]) = four(Instant::now());
        assert!(fetches.join(&key(4), Instant::now(), Waker::noop(), NAMES_MAX).is_none());
        drop(one);
        let mut keys = Keys::default();
        fetches.send(&mut keys);
        assert_eq!(keys.len(), 3);
        let expected: String = [0, 2, 3].map(|it| argument(&key(it))).concat();
        assert_eq!(keys.written(0..3), expected.as_bytes());
        assert_eq!(keys.written(1..2), argument(&key(2)).as_bytes());
        assert_eq!(state(&mut zero), "waits");
        drop(two);
        two = four(Instant::now()).1.into_iter().nth(2).expect("a third");
        fetches.answer([value("0"), value("2"), Slot::Empty].into_iter().map(Answer::Slot));
        assert_eq!([state(&mut zero), state(&mut three)], ["0", "Empty"]);
        // Its look-ups were dropped with nobody to answer them.
        assert_eq!(state(&mut two), "Unavailable");
    }

    #[tokio::test]
    async fn keys_of_several_go_behind_each_other() {
        let mut keys = Keys::default();
        let (one, [first, ..]) = four(Instant::now());
        drop(first);
        let (other, mut waiting) = four(Instant::now());
        one.send(&mut keys);
        other.send(&mut keys);
        // Of the first four nobody waits any more.
        assert_eq!((one.sent(), other.sent(), keys.len()), (0, 4, 4));
        other.answer(["a", "b", "c", "d"].map(value).into_iter().map(Answer::Slot));
        assert_eq!(waiting.each_mut().map(state), ["a", "b", "c", "d"]);
    }

    #[tokio::test]
    async fn only_those_whose_time_is_over_fail() {
        let start = Instant::now();
        let (fetches, mut waiting) = four(start);
        assert_eq!(fetches.deadline(), Some(start));
        fetches.expire(start + Duration::from_millis(1), &failure::timeout(1));
        assert_eq!(fetches.deadline(), Some(start + Duration::from_millis(2)));
        assert_eq!(waiting.each_mut().map(state), ["Timeout", "Timeout", "waits", "waits"]);
        fetches.fail(&Error::new(ErrorKind::Store, "it failed"));
        let [.., two, three] = &mut waiting;
        assert_eq!([two, three].map(state), ["Store", "Store"]);
        assert_eq!(fetches.deadline(), None);
    }

    #[tokio::test]
    async fn a_caller_is_woken_by_the_waker_it_came_with_last() {
        let (fetches, [mut first, ..]) = four(Instant::now());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&waker)).is_pending());
        fetches.send(&mut Keys::default());
        fetches.answer([Answer::Slot(value("a"))].into_iter());
        assert_eq!(woken.0.load(std::sync::atomic::Ordering::SeqCst), 1);
    }

    #[derive(Default)]
    struct Woken(std::sync::atomic::AtomicUsize);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
}
