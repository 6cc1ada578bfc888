//! Whether nodes that share a cache tell the truth: recorded histories, and what judges them.
//!
//! [`judge()`] holds a history of [`Step`]s against the [`Rule`]s, whatever made it.

mod floor;
mod judge;
mod step;
mod verdict;

pub use judge::{Bounds, judge};
pub use step::{Op, Step, Tier};
pub use verdict::{Finding, Rule, Staleness, Tally, Verdict};
