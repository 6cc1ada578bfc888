//! The end of a wait, on any runtime.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Wakes futures at given times. A thread of its own does it, and only while somebody waits: the
/// timers of a runtime need one that was built with them, and panic without.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadlines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The next end is on top.
    waiting: BinaryHeap<Reverse<(Instant, u64)>>,
    wakers: std::collections::HashMap<u64, Waker>,
    last: u64,
    is_running: bool,
}

impl Deadlines {
    /// Waits for a future, at most so long; `None` if the time is over first.
    pub(crate) async fn within<T>(
        &self,
        wait: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut timer = Timer { deadlines: self, end: Instant::now() + wait, number: None };
        std::future::poll_fn(move |context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => Pin::new(&mut timer).poll(context).map(|()| None),
        })
        .await
    }

    fn set(&self, end: Instant, number: Option<u64>, waker: &Waker) -> u64 {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let number = number.unwrap_or_else(|| {
            state.last += 1;
            let number = state.last;
            state.waiting.push(Reverse((end, number)));
            number
        });
        state.wakers.insert(number, waker.clone());
        if !state.is_running {
            let shared = Arc::downgrade(&self.0);
            let run = move || run(&shared);
            // Without a thread the wait has no end of its own, but it is no other for that.
            state.is_running =
                std::thread::Builder::new().name("sora-sqlite-time".into()).spawn(run).is_ok();
        }
        drop(state);
        self.0.changed.notify_one();
        number
    }

    fn forget(&self, number: u64) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.wakers.remove(&number);
    }
}

/// One wait.
struct Timer<'a> {
    deadlines: &'a Deadlines,
    end: Instant,
    number: Option<u64>,
}

impl Future for Timer<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.end {
            return Poll::Ready(());
        }
        let number = self.deadlines.set(self.end, self.number, context.waker());
        self.number = Some(number);
        Poll::Pending
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.deadlines.forget(number);
        }
    }
}

/// Wakes who is due, until nobody waits any more.
fn run(shared: &Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut due = Vec::new();
        // Those that were forgotten have no waker and are passed over.
        while let Some(Reverse((end, number))) = state.waiting.peek().copied() {
            let is_waiting = state.wakers.contains_key(&number);
            if is_waiting && end > now {
                break;
            }
            state.waiting.pop();
            due.extend(state.wakers.remove(&number));
        }
        if !due.is_empty() {
            drop(state);
            due.into_iter().for_each(Waker::wake);
            continue;
        }
        let Some(Reverse((end, _))) = state.waiting.peek().copied() else {
            state.is_running = false;
            return;
        };
        let _ = shared.changed.wait_timeout(state, end - now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_and_what_is_ready_is_not_waited_for() {
        let deadlines = Deadlines::default();
        let long = Duration::from_hours(1);
        assert_eq!(deadlines.within(long, std::future::ready(5)).await, Some(5));
        let never = std::future::pending::<()>();
        assert_eq!(deadlines.within(Duration::from_millis(5), never).await, None);
        // The thread of the first wait has ended or is used again; either way the next one ends.
        let never = std::future::pending::<()>();
        assert_eq!(deadlines.within(Duration::from_millis(5), never).await, None);
    }
}
