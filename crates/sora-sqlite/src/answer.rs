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
