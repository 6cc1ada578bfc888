//! The number that all cached rows of a table carry.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sora_core::remote::RemoteName;

/// The generation of a table: a counter in the shared tier. To change it invalidates every row that was
/// read before, without naming one.
#[derive(Debug)]
pub(in crate::cache) struct Generation {
    pub(super) name: RemoteName,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    number: Option<u64>,
    /// Until when it holds, where nobody tells of its changes.
    until_ms: u64,
    /// How often it was forgotten: what was asked for before is not learnt after.
    forgotten: u64,
}

/// The moment before a generation is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked(u64);

impl Generation {
    pub(super) fn new(name: RemoteName) -> Self {
        Self { name, known: Mutex::default() }
    }

    /// The number, if it is known.
    pub(super) fn known(&self, now_ms: u64) -> Result<u64, Asked> {
        let known = self.lock();
        known.number.filter(|_| now_ms < known.until_ms).ok_or(Asked(known.forgotten))
    }

    /// Keeps what was answered, unless it has been forgotten since it was asked for.
    pub(super) fn learn(&self, asked: Asked, number: u64, until_ms: u64) {
        let mut known = self.lock();
        if known.forgotten == asked.0 {
            (known.number, known.until_ms) = (Some(number), until_ms);
        }
    }

    /// It may have changed.
    pub(super) fn forget(&self) {
        let mut known = self.lock();
        known.number = None;
        known.forgotten = known.forgotten.wrapping_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing that can panic runs under the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, not(sora_model)))]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_overtaken_is_not_kept() {
        let generation = Generation::new(RemoteName::new("generations", *b"items"));
        let asked = generation.known(0).expect_err("not known yet");
        generation.learn(asked, 7, u64::MAX);
        assert_eq!(generation.known(0).ok(), Some(7));
        generation.forget();
        let asked = generation.known(0).expect_err("forgotten");
        generation.forget();
        generation.learn(asked, 8, u64::MAX);
        assert!(generation.known(0).is_err(), "it changed while it was asked for");
    }

    #[test]
    fn where_nobody_tells_it_holds_for_a_time() {
        let generation = Generation::new(RemoteName::new("generations", *b"items"));
        let asked = generation.known(0).expect_err("not known yet");
        generation.learn(asked, 7, 100);
        assert!(generation.known(99).is_ok() && generation.known(100).is_err());
    }
}
