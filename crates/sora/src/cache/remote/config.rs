//! Which shared tier, and the limits of its use.

use std::fmt;
use std::sync::Arc;

use sora_core::remote::Remote;

/// A cache tier that the processes of an application share, and the limits of its use: given to
/// [`Cache::remote`](crate::Cache::remote).
///
/// A row that is not in memory is looked for there, then loaded from the store by one process for all.
/// Whatever is written through a [`Sora`](crate::Sora) with this configuration is taken out there
/// before the write returns, and the other processes are told. If the tier fails, look-ups go to the
/// store; none fails for it.
///
/// Each `Sora` needs a tier of its own: what is written through a tier is told to all others, and not to
/// those who share it.
///
/// ```no_run
/// # #[cfg(feature = "redis")]
/// # mod example {
/// use std::sync::Arc;
/// use sora::redis::{RedisConfig, RedisTier};
/// use sora::{Cache, CachePolicy, RemoteCache, Sora};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # pub async fn main() -> sora::Result<()> {
/// let redis = RedisTier::connect(RedisConfig::parse("redis://cache.example.org")?)?;
/// let cache = Cache::new().all(CachePolicy::new()).remote(RemoteCache::new(Arc::new(redis), "shop"));
/// let store = Sora::builder().cache(cache).open("sqlite:shop.db").await?;
/// # drop(store);
/// # Ok(())
/// # }
/// # }
/// ```
///
/// Times are in milliseconds.
#[derive(Clone)]
pub struct RemoteCache {
    pub(super) remote: Arc<dyn Remote>,
    pub(super) application: Box<str>,
    pub(super) lease_time_ms: u64,
    pub(super) untold_time_to_live_ms: u64,
    pub(super) value_bytes_max: usize,
    pub(super) compress_bytes_min: usize,
    pub(super) journal_names_max: usize,
    pub(super) tags_max: usize,
    pub(super) failures_max: u32,
    pub(super) open_ms: u64,
    pub(super) wait_max_ms: u64,
}

impl RemoteCache {
    /// Returns the use of a tier by an application: all processes that give this name share what is
    /// cached, so they must use one database.
    pub fn new(remote: Arc<dyn Remote>, application: &str) -> Self {
        Self {
            remote,
            application: application.into(),
            lease_time_ms: 1_000,
            untold_time_to_live_ms: 1_000,
            value_bytes_max: 1 << 20,
            compress_bytes_min: 1_024,
            journal_names_max: 10_000,
            tags_max: 10_000,
            failures_max: 5,
            open_ms: 1_000,
            wait_max_ms: 250,
        }
    }

    /// How long one process may take to load a row before another does as well: 1,000 by default. So
    /// long a look-up waits, at most, for a process that has died.
    pub fn lease_time_ms(mut self, time_ms: u64) -> Self {
        self.lease_time_ms = time_ms.max(1);
        self
    }

    /// How long one look-up, or one write, waits for the tier at most, all its calls to it together: 250
    /// by default. A look-up goes to the store then, and what a write has changed is told later.
    ///
    /// A call has the tier's own time beside (`command_timeout_ms` of a Redis), which should be no
    /// longer: the first call of each is bound by that alone.
    pub fn wait_max_ms(mut self, time_ms: u64) -> Self {
        self.wait_max_ms = time_ms;
        self
    }

    /// How long a row is fresh in memory while nobody tells of its changes: 1,000 by default. It is
    /// so while the tier is away, and where it cannot tell.
    pub fn untold_time_to_live_ms(mut self, time_ms: u64) -> Self {
        self.untold_time_to_live_ms = time_ms;
        self
    }

    /// The largest row that is put there, in bytes: 1 MiB by default.
    pub fn value_bytes_max(mut self, bytes: usize) -> Self {
        self.value_bytes_max = bytes;
        self
    }

    /// From how many bytes on rows are compressed: 1,024 by default.
    pub fn compress_bytes_min(mut self, bytes: usize) -> Self {
        self.compress_bytes_min = bytes;
        self
    }

    /// The most rows whose invalidation is kept until the tier answers again: 10,000 by default. Of
    /// more, their tables are invalidated as a whole.
    pub fn journal_names_max(mut self, names: usize) -> Self {
        self.journal_names_max = names;
        self
    }

    /// The most tags whose generations are kept in memory: 10,000 by default. Of more, they are asked
    /// for again.
    pub fn tags_max(mut self, tags: usize) -> Self {
        self.tags_max = tags;
        self
    }

    /// After how many failures in a row the tier is not asked, and for how long: 5 and 1,000 by
    /// default.
    pub fn breaker(mut self, failures_max: u32, open_ms: u64) -> Self {
        (self.failures_max, self.open_ms) = (failures_max, open_ms);
        self
    }
}

impl fmt::Debug for RemoteCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteCache")
            .field("remote", &self.remote)
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}
