//! One answer, on its way from the writing thread to whoever waits for it.
//!
//! Other than with a channel, an answer is put down first and its caller is woken later. To wake a task
//! of a runtime that sleeps takes system calls, and often the processor goes to the task at once: a
//! thread that wakes one caller after the other is interrupted by each of them. So the answers of a group
//! are all there before the first is woken, and whoever is woken helps to wake the others, which takes
//! no system call inside their runtime.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The end of whoever answers. Dropped without an answer, it says that there will be none.
#[derive(Debug)]
pub(crate) struct Reply<T>(Option<Arc<Slot<T>>>);

/// The end of whoever waits: the answer, or nothing if there will be none.
#[derive(Debug)]
pub(crate) struct Answer<T>(Arc<Slot<T>>);

/// Callers whose answers are there and who are still to be woken, first come first woken.
///
/// Whoever is about to sleep or to leave wakes all that are left: the thread that answered, so that
/// nobody depends on another caller, and each caller that was answered.
#[derive(Debug, Default)]
pub(crate) struct Answered(Mutex<VecDeque<Waker>>);

#[derive(Debug)]
struct Slot<T>(Mutex<State<T>>);

#[derive(Debug)]
enum State<T> {
    Waiting(Option<Waker>),
    Answered(T),
    /// The answer was taken, or one of the ends is gone.
    Over,
}

/// Returns both ends.
pub(crate) fn answer<T>() -> (Reply<T>, Answer<T>) {
    let slot = Arc::new(Slot(Mutex::new(State::Waiting(None))));
    (Reply(Some(slot.clone())), Answer(slot))
}

impl<T> Reply<T> {
    /// Whether nobody waits any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.as_ref().is_none_or(|slot| matches!(*slot.state(), State::Over))
    }

    /// Answers, and wakes the caller. If nobody waits any more, the answer comes back.
    pub(crate) fn send(self, answer: T) -> Result<(), T> {
        let waker = self.put(answer)?;
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Answers, and returns who is to be woken.
    fn put(mut self, answer: T) -> Result<Option<Waker>, T> {
        let Some(slot) = self.0.take() else { return Err(answer) };
        let mut state = slot.state();
        match std::mem::replace(&mut *state, State::Over) {
            State::Waiting(waker) => {
                *state = State::Answered(answer);
                Ok(waker)
            }
            State::Answered(_) | State::Over => Err(answer),
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let Some(slot) = self.0.take() else { return };
        let before = std::mem::replace(&mut *slot.state(), State::Over);
        if let State::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> Future for Answer<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state();
        match &mut *state {
            State::Waiting(Some(waker)) => waker.clone_from(context.waker()),
            State::Waiting(waker) => *waker = Some(context.waker().clone()),
            State::Answered(_) | State::Over => {
                return Poll::Ready(match std::mem::replace(&mut *state, State::Over) {
                    State::Answered(answer) => Some(answer),
                    State::Waiting(_) | State::Over => None,
                });
            }
        }
        Poll::Pending
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *self.0.state(), State::Over);
        // What nobody took may come back to where the answer came from: not with the lock.
        drop(before);
    }
}

impl<T> Slot<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answered {
    /// Answers several callers and wakes them, all answers before the first caller. A caller that is
    /// gone is passed over.
    pub(crate) fn send<T>(&self, answers: impl IntoIterator<Item = (Reply<T>, T)>) {
        let wakers = answers.into_iter().filter_map(|(reply, answer)| reply.put(answer).ok()?);
        self.wakers().extend(wakers);
        self.wake();
    }

    /// Wakes who is still to be woken.
    pub(crate) fn wake(&self) {
        loop {
            // The lock is given back first: who is woken may be next to take it.
            let Some(waker) = self.wakers().pop_front() else { return };
            waker.wake();
        }
    }

    fn wakers(&self) -> MutexGuard<'_, VecDeque<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Does something when it is woken.
    struct OnWake<F: Fn() + Send + Sync>(F);

    impl<F: Fn() + Send + Sync + 'static> Wake for OnWake<F> {
        fn wake(self: Arc<Self>) {
            (self.0)();
        }
    }

    fn poll<T>(
        answer: &mut Answer<T>,
        on_wake: impl Fn() + Send + Sync + 'static,
    ) -> Poll<Option<T>> {
        let waker = Waker::from(Arc::new(OnWake(on_wake)));
        Pin::new(answer).poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn all_answers_are_there_before_the_first_caller_is_woken() {
        let answered = Answered::default();
        let (replies, answers): (Vec<_>, Vec<_>) = (0..3).map(|_| answer::<i32>()).unzip();
        let answers = Arc::new(Mutex::new(answers));
        let seen = Arc::new(Mutex::new(Vec::new()));
        for at in 0..3 {
            let (all, seen) = (answers.clone(), seen.clone());
            let look = move || {
                let mut all = all.lock().expect("the answers");
                let taken: Vec<_> = all.drain(..).map(|mut one| poll(&mut one, || {})).collect();
                seen.lock().expect("the list").push((at, taken));
            };
            assert_eq!(poll(&mut answers.lock().expect("the answers")[at], look), Poll::Pending);
        }
        answered.send(replies.into_iter().zip([10, 11, 12]));
        let all = [10, 11, 12].map(|answer| Poll::Ready(Some(answer)));
        // The first to be woken finds all of them; the others are woken in turn.
        let expected = vec![(0, all.to_vec()), (1, vec![]), (2, vec![])];
        assert_eq!(*seen.lock().expect("the list"), expected);
    }

    #[test]
    fn who_is_woken_wakes_the_others_and_each_is_woken_once() {
        let answered = Arc::new(Answered::default());
        let (replies, mut answers): (Vec<_>, Vec<_>) = (0..4).map(|_| answer::<i32>()).unzip();
        let woken = Arc::new(Mutex::new(Vec::new()));
        for (at, one) in answers.iter_mut().enumerate() {
            let (answered, woken) = (answered.clone(), woken.clone());
            let help = move || {
                woken.lock().expect("the list").push(at);
                // As its caller does; within the first call all others are woken.
                answered.wake();
                woken.lock().expect("the list").push(at);
            };
            assert_eq!(poll(one, help), Poll::Pending);
        }
        // Who is gone is not woken.
        drop(answers.remove(2));
        answered.send(replies.into_iter().zip(0..));
        assert_eq!(*woken.lock().expect("the list"), [0, 1, 3, 3, 1, 0]);
    }

    #[test]
    fn an_end_that_is_gone_is_noticed_by_the_other() {
        let woken = Arc::new(AtomicUsize::new(0));
        let (reply, mut waits) = answer::<i32>();
        let count = woken.clone();
        let wake = move || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        assert_eq!(poll(&mut waits, wake), Poll::Pending);
        drop(reply);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        assert_eq!(poll(&mut waits, || {}), Poll::Ready(None));

        let (reply, waits) = answer::<i32>();
        assert!(!reply.is_over());
        drop(waits);
        assert!(reply.is_over());
        assert_eq!(reply.send(5), Err(5));

        // An answer that nobody takes is dropped with the end of whoever waited.
        let (reply, waits) = answer::<Arc<()>>();
        let value = Arc::new(());
        reply.send(value.clone()).expect("somebody waits");
        drop(waits);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn the_last_waker_counts() {
        let (reply, mut waits) = answer::<i32>();
        assert_eq!(poll(&mut waits, || panic!("another waker took its place")), Poll::Pending);
        let woken = Arc::new(AtomicUsize::new(0));
        let count = woken.clone();
        let wake = move || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        assert_eq!(poll(&mut waits, wake), Poll::Pending);
        reply.send(7).expect("somebody waits");
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        assert_eq!(poll(&mut waits, || {}), Poll::Ready(Some(7)));
    }
}
