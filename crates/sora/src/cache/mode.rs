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
}

impl CacheMode {
    /// Whether what is cached may be the answer.
    pub(crate) fn reads(self) -> bool {
        matches!(self, Self::Use | Self::ReadOnly)
    }

    /// Whether what the store gave may be cached.
    pub(crate) fn fills(self) -> bool {
        matches!(self, Self::Use | Self::Refresh)
    }
}
