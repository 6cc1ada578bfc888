//! The suite that every provider of Sora passes.
//!
//! [`suite`] holds a provider against the contract in [`sora_core::provider`], line by line, and then
//! the tables of [`sora`] on top of it. It reads what the provider declares: what is declared must
//! work, what is not must be refused, and what cannot be judged is skipped with a reason that is
//! printed. A line that rests on one that failed is skipped, so that a flaw is named once.
//! [`differential()`] asks random queries and [`history()`] does random writes, both beside memory.
//!
//! A provider runs them in its tests:
//!
//! ```no_run
//! # async fn conforms() {
//! use sora_core::memory::Memory;
//!
//! let make = || async { Memory::new() };
//! sora_conformance::suite(make).await.expect_green();
//! sora_conformance::differential(make, 1, 100_000).await.expect_equal();
//! sora_conformance::history(make, 1, 10_000).await.expect_equal();
//! # }
//! ```

pub mod coherence;
mod constrained;
mod contract;
mod data;
mod differential;
mod expected;
mod history;
mod lines;
mod probe;
mod random;
mod report;
mod store;

use std::sync::Arc;

use sora_core::provider::{Provider, SharedProvider};

pub use crate::constrained::{Constrained, Profile};
pub use crate::differential::{Differential, differential, shared_differential};
pub use crate::history::{History, history};
pub use crate::report::Report;

use crate::contract::{FOUNDATION, LINES, TABLE_LINES};
use crate::report::skipped;
use crate::store::Store;

/// Runs the suite on a provider, in a tokio runtime; `make` gives an empty store each time it is
/// called.
pub async fn suite<P, F>(make: impl Fn() -> F) -> Report
where
    P: Provider,
    F: Future<Output = P>,
{
    shared_suite(|| async { Arc::new(make().await) as SharedProvider }).await
}

/// Runs the suite on a provider with its layers, in a tokio runtime; `make` gives an empty store
/// each time it is called.
pub async fn shared_suite<F>(make: impl Fn() -> F) -> Report
where
    F: Future<Output = SharedProvider>,
{
    let mut report = Report::new(make().await.name());
    let mut is_read_only = false;
    for line in LINES.iter().chain(TABLE_LINES) {
        let mut out = report.without(FOUNDATION).or_else(|| report.without(line.needs));
        if TABLE_LINES.iter().any(|other| other.name == line.name) {
            // A table is judged on a store that keeps the contract.
            out = out.or_else(|| report.failed().first().copied());
        }
        if let Some(need) = out {
            report.block(line.name, need);
        } else if is_read_only {
            let why = "the store is read-only; run the suite on one that takes writes";
            report.push(line.name, skipped(why), Vec::new());
        } else {
            let store = Store::new(make().await);
            is_read_only = store.capability().read_only;
            let verdict = (line.check)(&store).await;
            report.push(line.name, verdict, store.take_notes());
        }
    }
    report
}

/// The lines of the contract.
pub fn lines() -> impl Iterator<Item = &'static str> {
    LINES.iter().chain(TABLE_LINES).map(|line| line.name)
}
