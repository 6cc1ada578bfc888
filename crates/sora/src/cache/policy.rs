//! How the rows of one table are cached.

/// How long rows of a table are served from memory, how many, and what happens when they are old.
///
/// All times are in milliseconds; 0 switches off what it belongs to, and [`u64::MAX`] is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    pub(crate) time_to_live_ms: u64,
    pub(crate) missing_time_to_live_ms: u64,
    pub(crate) remote_time_to_live_ms: u64,
    pub(crate) jitter_percent: u8,
    pub(crate) refresh_early_percent: u8,
    pub(crate) stale_while_revalidate_ms: u64,
    pub(crate) stale_if_error_ms: u64,
    pub(crate) stale_after_write: bool,
    pub(crate) entries_max: usize,
    pub(crate) bytes_max: u64,
    pub(crate) missing_entries_max: usize,
    pub(crate) load_timeout_ms: u64,
    pub(crate) loads_max: usize,
    pub(crate) unknown_time_ms: u64,
    pub(crate) tags: &'static [&'static str],
}

impl CachePolicy {
    /// Returns the defaults, which each method says.
    pub const fn new() -> Self {
        Self {
            time_to_live_ms: 60_000,
            missing_time_to_live_ms: 5_000,
            remote_time_to_live_ms: 300_000,
            jitter_percent: 10,
            refresh_early_percent: 0,
            stale_while_revalidate_ms: 0,
            stale_if_error_ms: 0,
            stale_after_write: false,
            entries_max: 100_000,
            bytes_max: 64 << 20,
            missing_entries_max: 10_000,
            load_timeout_ms: 10_000,
            loads_max: 16_384,
            unknown_time_ms: 60_000,
            tags: &[],
        }
    }

    /// How long a row is fresh: 60,000 by default. It bounds how long this process can miss a write
    /// that did not go through it.
    pub const fn time_to_live_ms(mut self, time_ms: u64) -> Self {
        self.time_to_live_ms = time_ms;
        self
    }

    /// How long it is known that there is no row with a key: 5,000 by default.
    pub const fn missing_time_to_live_ms(mut self, time_ms: u64) -> Self {
        self.missing_time_to_live_ms = time_ms;
        self
    }

    /// How long a row stays in the tier that processes share, if there is one: 300,000 by default. It
    /// bounds how long all of them can miss what nobody told the tier. 0 keeps the table in memory
    /// alone.
    pub const fn remote_time_to_live_ms(mut self, time_ms: u64) -> Self {
        self.remote_time_to_live_ms = time_ms;
        self
    }

    /// By how much of it, at random, each time to live is shortened, so that what was loaded together
    /// does not end together: 10 by default, at most 100.
    pub const fn jitter_percent(mut self, percent: u8) -> Self {
        self.jitter_percent = if percent > 100 { 100 } else { percent };
        self
    }

    /// How much of its time to live may be left when a row that is asked for is loaded again in the
    /// background: 0 by default, at most 100.
    pub const fn refresh_early_percent(mut self, percent: u8) -> Self {
        self.refresh_early_percent = if percent > 100 { 100 } else { percent };
        self
    }

    /// How long behind its time to live a row is still handed out while it is loaded again in the
    /// background: 0 by default.
    pub const fn stale_while_revalidate_ms(mut self, time_ms: u64) -> Self {
        self.stale_while_revalidate_ms = time_ms;
        self
    }

    /// How long behind its time to live a row is handed out if the store fails: 0 by default.
    pub const fn stale_if_error_ms(mut self, time_ms: u64) -> Self {
        self.stale_if_error_ms = time_ms;
        self
    }

    /// Whether [`stale_if_error_ms`](Self::stale_if_error_ms) holds for a row that is known to have
    /// been written since: false by default. Never say so of what grants a permission.
    pub const fn stale_after_write(mut self, allowed: bool) -> Self {
        self.stale_after_write = allowed;
        self
    }

    /// The most rows in memory: 100,000 by default.
    pub const fn entries_max(mut self, entries: usize) -> Self {
        self.entries_max = entries;
        self
    }

    /// The most memory for rows, in bytes, as their cells tell it: 64 MiB by default.
    pub const fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// The most keys of which it is kept that there is no row: 10,000 by default. Keys beyond 1 KiB are
    /// not kept.
    pub const fn missing_entries_max(mut self, entries: usize) -> Self {
        self.missing_entries_max = entries;
        self
    }

    /// How long a load may take before all who wait for it fail: 10,000 by default.
    pub const fn load_timeout_ms(mut self, time_ms: u64) -> Self {
        self.load_timeout_ms = time_ms;
        self
    }

    /// The most loads that others can join at once: 16,384 by default. More go to the store beside
    /// them, and fill nothing.
    pub const fn loads_max(mut self, loads: usize) -> Self {
        self.loads_max = loads;
        self
    }

    /// Tags rows by the values of these columns, of which there are four at most: none by default.
    /// [`Repository::invalidate_tag`](crate::Repository::invalidate_tag) takes out all rows of a value.
    pub const fn tag_by(mut self, columns: &'static [&'static str]) -> Self {
        self.tags = columns;
        self
    }

    /// How long nothing is cached of a row whose write was given up or never confirmed, because it
    /// may still happen: 60,000 by default. It should exceed the store's own limit of a statement.
    pub const fn unknown_time_ms(mut self, time_ms: u64) -> Self {
        self.unknown_time_ms = time_ms;
        self
    }
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self::new()
    }
}
