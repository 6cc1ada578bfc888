//! Which tier answered a look-up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sora::{Event, Observer, Operation, RequestId, Source, in_request};

use super::step::Tier;

/// An observer that notes what answered each look-up of a workload: given to
/// [`SoraBuilder::observer`](sora::SoraBuilder::observer) of every node.
#[derive(Debug, Default)]
pub struct TierWatch {
    /// By the request; memory alone tells nothing.
    seen: Mutex<HashMap<RequestId, Tier>>,
    requests: AtomicU64,
}

impl TierWatch {
    /// Returns one that has seen nothing.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Runs one look-up, and says what answered it.
    pub(super) async fn look_up<T>(&self, look_up: impl Future<Output = T>) -> (T, Tier) {
        let request = RequestId(u128::from(self.requests.fetch_add(1, Ordering::Relaxed)));
        let given = in_request(request, look_up).await;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (given, seen.remove(&request).unwrap_or(Tier::Memory))
    }
}

impl Observer for TierWatch {
    fn observe(&self, event: &Event<'_>) {
        let Some(request) = event.request else { return };
        if !matches!(event.operation, Operation::Get | Operation::GetMany) {
            return;
        }
        let tier = match event.source {
            Source::Memory => Tier::Memory,
            Source::Remote => Tier::Remote,
            _ => Tier::Store,
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(request, tier);
    }
}
