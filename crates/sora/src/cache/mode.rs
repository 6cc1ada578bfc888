//! What one call does with the cache.

/// What the look-ups of a handle do with the cache. Writes keep it true in every mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheMode {
    /// They are answered from it, and fill it.
    #[default]
    Use,
    /// They are answered from it, and fill nothing.
    ReadOnly,
    /// They ask the store, and replace what it holds.
    Refresh,
    /// They ask the store, and leave it as it is.
    Bypass,
    /// They leave memory as it is, and use the tier that processes share.
    SkipMemory,
    /// They leave the tier that processes share as it is, and use memory.
    SkipRemote,
}

impl CacheMode {
    /// Whether what is in memory may be the answer.
    pub(crate) fn reads(self) -> bool {
        matches!(self, Self::Use | Self::ReadOnly | Self::SkipRemote)
    }

    /// Whether what was loaded may be kept in memory.
    pub(crate) fn fills(self) -> bool {
        matches!(self, Self::Use | Self::Refresh | Self::SkipRemote)
    }

    /// Whether the shared tier is asked, or filled.
    pub(super) fn asks_remote(self) -> bool {
        !matches!(self, Self::Bypass | Self::SkipRemote)
    }

    /// Whether what is in the shared tier may be the answer.
    pub(super) fn reads_remote(self) -> bool {
        matches!(self, Self::Use | Self::ReadOnly | Self::SkipMemory)
    }

    /// Whether what was loaded may be put in the shared tier.
    pub(super) fn fills_remote(self) -> bool {
        matches!(self, Self::Use | Self::Refresh | Self::SkipMemory)
    }
}
