//! Whether nodes that share a cache tell the truth: recorded histories, and what judges them.
//!
//! [`judge()`] holds a history of [`Step`]s against the [`Rule`]s, whatever made it.
//! [`SharedRemote`] is a cache tier in memory with the faults of a network, for simulations on tokio's
//! paused clock.

mod clock;
mod floor;
mod judge;
mod remote;
mod slow;
mod step;
mod verdict;
mod watch;
mod workload;

pub use clock::SeededClock;
pub use judge::{Bounds, judge};
pub use remote::{RemoteFaults, RemoteFlaw, RemoteNode, RemoteNumbers, SharedRemote};
pub use slow::SlowStore;
pub use step::{Op, Step, Tier};
pub use verdict::{Finding, Rule, Staleness, Tally, Verdict};
pub use watch::TierWatch;
pub use workload::{Recording, Workload};
