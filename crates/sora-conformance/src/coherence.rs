//! Whether nodes that share a cache tell the truth: recorded histories, and what judges them.
//!
//! [`judge()`] holds a history of [`Step`]s against the [`Rule`]s, whatever made it. A [`Workload`] makes
//! one: sessions on several nodes that write in all ways, delete and look up.
//!
//! [`SharedRemote`] is a cache tier in memory with the faults of a network, [`SlowStore`] a store that
//! loses the outcomes of writes, [`SeededClock`] a clock for caches. With them and tokio's paused clock,
//! in a runtime of one thread, the same seed gives the same history.

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
