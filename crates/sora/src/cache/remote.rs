//! The cache tier that processes share.

mod breaker;
mod config;
mod ear;
mod fill;
mod frame;
mod generation;
mod journal;
mod load;
mod names;
mod patience;
mod table;
mod tagged;
mod tier;
mod touched;

use std::sync::Arc;

pub use self::breaker::BreakerState;
pub use self::config::RemoteCache;
pub(super) use self::frame::encode;
pub(super) use self::generation::Generation;
pub(super) use self::load::lead;
pub(super) use self::table::RemoteTable;
pub(super) use self::tagged::RemoteTag;
pub use self::tier::RemoteState;
pub(crate) use self::tier::Tier;
pub(super) use self::touched::RemoteTouched;

/// A table in the shared tier, as the caches of its entities use it.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) tier: Arc<Tier>,
    pub(super) table: Arc<RemoteTable>,
}
