//! How long one look-up or write waits for the shared tier.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sora_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout};

/// The time that all calls to the tier which one load or one write makes may take together.
///
/// The first call is bound by the tier's own time, so that a look-up of one round trip needs no timer
/// of ours; those behind it by what is left.
#[derive(Debug)]
struct Patience {
    max: Duration,
    spent_us: AtomicU64,
}

/// Why a call gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// It failed, or was cut off.
    Tier(Error),
    /// It was not made: nothing was left for it.
    Spent(Error),
}

tokio::task_local! {
    /// That of the load or the write that runs.
    static PATIENCE: Patience;
}

/// Runs a load or a write, all of whose calls to the tier take no longer than that.
pub(super) fn patiently<F: Future>(max_ms: u64, work: F) -> impl Future<Output = F::Output> {
    let max = Duration::from_millis(max_ms);
    PATIENCE.scope(Patience { max, spent_us: AtomicU64::new(0) }, work)
}

/// Makes a call for as long as there is time left, and takes off what it needed.
///
/// It is pinned where it is: a future that is handed on by value is held twice.
pub(super) async fn within<T>(
    call: Pin<&mut impl Future<Output = Result<T>>>,
) -> Result<T, Failure> {
    let known = PATIENCE.try_with(|patience| (patience.max, patience.spent()));
    let Ok((max, spent)) = known else {
        // What is told late is nobody's to wait for.
        return call.await.map_err(Failure::Tier);
    };
    let left = max.saturating_sub(spent);
    if left.is_zero() && !spent.is_zero() {
        return Err(Failure::Spent(spent_all(max)));
    }
    let started = Instant::now();
    let called = match spent.is_zero() {
        true => call.await,
        false => timeout(left, call).await.unwrap_or_else(|_| Err(spent_all(max))),
    };
    _ = PATIENCE.try_with(|patience| patience.spend(started.elapsed()));
    called.map_err(Failure::Tier)
}

impl Patience {
    fn spent(&self) -> Duration {
        Duration::from_micros(self.spent_us.load(Ordering::Relaxed))
    }

    fn spend(&self, time: Duration) {
        // At least something, so that the next call is not the first.
        let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        self.spent_us.fetch_add(time_us, Ordering::Relaxed);
    }
}

fn spent_all(max: Duration) -> Error {
    let message = "the shared cache took longer than one look-up or write waits for it";
    Error::new(ErrorKind::Timeout, message).with("wait_max_ms", max.as_millis())
}

#[cfg(all(test, not(sora_model)))]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_take_no_longer_together_than_they_may() {
        // What each call takes, how many end, and how long all take, of 250 ms.
        for (takes_ms, ends, all_ms) in [
            (&[0, 0, 0][..], 3, 0),
            (&[240, 9, 0], 3, 249),
            (&[100, 100, 100, 100], 2, 250),
            (&[240, 240], 1, 250),
            // The tier's own time is its own affair.
            (&[300, 0], 1, 300),
        ] {
            let started = Instant::now();
            let calls = async {
                let mut ended = 0;
                for take_ms in takes_ms {
                    ended += usize::from(within(pin!(taking(*take_ms))).await.is_ok());
                }
                ended
            };
            assert_eq!(patiently(250, calls).await, ends, "{takes_ms:?}");
            assert_eq!(started.elapsed(), Duration::from_millis(all_ms), "{takes_ms:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_asked_is_told_from_what_did_not_answer() {
        let calls = async {
            assert!(within(pin!(taking(200))).await.is_ok());
            assert!(
                matches!(within(pin!(taking(200))).await, Err(Failure::Tier(_))),
                "it was cut off"
            );
            assert!(matches!(within(pin!(taking(200))).await, Err(Failure::Spent(_))));
        };
        patiently(250, calls).await;
        assert!(within(pin!(taking(1_000))).await.is_ok(), "nobody waits");
    }

    async fn taking(time_ms: u64) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(time_ms)).await;
        Ok(())
    }
}
