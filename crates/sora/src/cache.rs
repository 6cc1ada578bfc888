//! Rows that are kept in memory, and never older than a write of this process.

mod coherence;
mod entity;
mod fence;
mod flight;
mod landing;
mod memory;
mod mode;
#[cfg(all(test, sora_model))]
mod model;
mod numbers;
mod policy;
mod remote;
mod row;
mod space;
mod sync;
mod tags;
#[cfg(all(test, feature = "derive", not(sora_model)))]
mod tests;
mod time;
mod touched;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use sora_core::{Entity, LiveTable, Result, Schema};

pub(crate) use self::coherence::Coherent;
pub(crate) use self::entity::{Call, EntityCache};
use self::memory::{Kept, Memory};
pub use self::mode::CacheMode;
pub use self::numbers::CacheNumbers;
pub(crate) use self::numbers::SAMPLE;
pub use self::policy::CachePolicy;
pub use self::remote::{BreakerState, RemoteCache, RemoteState};
use self::remote::{Generation, Shared, Tier};
pub(crate) use self::row::{CachedRow, are_keys};
use self::space::Space;
use self::tags::Tag;
use self::time::Time;
use crate::Clock;

/// Which tables are cached, and how: given to [`SoraBuilder::cache`](crate::SoraBuilder::cache).
///
/// [`Repository::get`](crate::Repository::get) and [`get_many`](crate::Repository::get_many), and those
/// of [`Table`](crate::Table), are then answered from memory where they can be. All that is written
/// through the same [`Sora`](crate::Sora) keeps the cache true: single writes, batches, writes by
/// filter, native statements that name their tables, and transactions at their commit. A look-up that
/// begins after a write has ended never gives what was there before it. What other processes write is
/// told where all share a [`RemoteCache`]; else, and what triggers, the cascades of foreign keys and
/// other programs write, is seen when the time to live is over, or when they are told by
/// [`Repository::invalidate`](crate::Repository::invalidate).
///
/// Queries, counts and streams are not cached, and inside a transaction nothing is.
///
/// ```
/// # #[cfg(feature = "derive")]
/// # mod example {
/// use sora::{Cache, CachePolicy, Entity, Sora};
///
/// #[derive(Debug, Entity)]
/// #[sora(table = "accounts")]
/// struct Account {
///     #[sora(key)]
///     owner: String,
///     balance: i64,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # pub async fn main() -> sora::Result<()> {
/// let cache = Cache::new().entity::<Account>(CachePolicy::new().time_to_live_ms(5_000));
/// let store = Sora::builder().cache(cache).open("memory:").await?;
/// store.ensure_schema::<Account>().await?;
/// let accounts = store.repository::<Account>().await?;
/// accounts.insert(&Account { owner: "Ada".into(), balance: 5 }).await?;
///
/// accounts.get("Ada").await?; // from the store
/// accounts.get("Ada").await?; // from memory
/// accounts.patch("Ada", [Account::BALANCE.add(7)]).await?;
/// assert_eq!(accounts.get("Ada").await?.unwrap().balance, 12);
/// let numbers = accounts.cache_numbers().unwrap();
/// assert_eq!((numbers.hits, numbers.misses), (1, 2));
/// # Ok(())
/// # }
/// # }
/// # #[cfg(feature = "derive")]
/// # example::main().unwrap();
/// ```
#[derive(Clone)]
pub struct Cache {
    tables: HashMap<Box<str>, CachePolicy>,
    all: Option<CachePolicy>,
    time: Time,
    remote: Option<RemoteCache>,
}

/// The caches of one store.
#[derive(Debug)]
pub(crate) struct Caches {
    config: Cache,
    /// What processes share.
    tier: Option<Arc<Tier>>,
    tables: RwLock<HashMap<Box<str>, Vec<Entry>>>,
}

/// The cache of one entity.
struct Entry {
    entity: TypeId,
    space: Arc<Space>,
    /// Its [`EntityCache`].
    cache: Box<dyn Any + Send + Sync>,
}

impl Cache {
    /// Returns a configuration by which no table is cached.
    pub fn new() -> Self {
        Self { tables: HashMap::new(), all: None, time: Time::new(), remote: None }
    }

    /// Caches the rows of an entity.
    pub fn entity<E: Entity>(self, policy: CachePolicy) -> Self {
        match E::schema() {
            Ok(schema) => self.table(schema.table(), policy),
            // Its repository says what is wrong with it.
            Err(_) => self,
        }
    }

    /// Caches the rows of the entities of a table.
    pub fn table(mut self, name: &str, policy: CachePolicy) -> Self {
        self.tables.insert(name.into(), policy);
        self
    }

    /// Caches the rows of all entities that have no policy of their own.
    pub fn all(mut self, policy: CachePolicy) -> Self {
        self.all = Some(policy);
        self
    }

    /// Shares what is cached with other processes, by a tier that they all use: none by default.
    ///
    /// See [`RemoteCache`] for what that promises.
    pub fn remote(mut self, remote: RemoteCache) -> Self {
        self.remote = Some(remote);
        self
    }

    /// Measures times to live by this clock: that of the system by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.time = Time::Given(clock);
        self
    }
}

impl Caches {
    pub(crate) fn new(config: Cache) -> Self {
        let tier = config.remote.clone().map(|remote| Tier::new(remote, config.time.clone()));
        Self { config, tier, tables: RwLock::default() }
    }

    /// How the tier that processes share does, if there is one.
    pub(crate) fn remote_state(&self) -> Option<RemoteState> {
        self.tier.as_ref().map(|tier| tier.state())
    }

    /// Returns the cache of an entity whose table is open; none if it is not to be cached.
    ///
    /// # Errors
    ///
    /// If its rows cannot be tagged as the policy says.
    pub(crate) fn open<E: Kept>(
        &self,
        schema: &Schema,
        live: &LiveTable,
    ) -> Result<Option<EntityCache<E>>> {
        let Some(policy) = self.policy(schema.table()).copied() else { return Ok(None) };
        if schema.key().is_empty() {
            return Ok(None);
        }
        let shared = self.shared(schema, live);
        let tag_space = |column: &str| match &shared {
            Some(shared) => shared.tier.tag_space(&live.name, column),
            None => String::new(),
        };
        let tags = Tag::all(schema, policy.tags, tag_space)?;
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let entries = tables.entry(live.name.clone()).or_default();
        let found = entries.iter().find(|entry| entry.entity == TypeId::of::<E>());
        if let Some(cache) = found.and_then(|entry| entry.cache.downcast_ref::<EntityCache<E>>()) {
            return Ok(Some(cache.clone()));
        }
        let memory = Arc::new(Memory::<E>::new(policy));
        let key = schema.key().iter().map(|at| schema.column(*at).name.clone()).collect();
        let time = self.config.time.clone();
        if let Some(Shared { tier, table }) = &shared {
            tier.hear_tags(table, &tags);
        }
        let fingerprint = tags::fingerprint(schema, policy.tags);
        let joined = shared.as_ref().map(|shared| shared.table.clone());
        let space = Space::new(policy, key, memory.clone(), time, shared, tags, fingerprint);
        let space = Arc::new(space);
        if let Some(table) = joined {
            table.join(&space);
        }
        let cache = EntityCache::new(space.clone(), memory);
        let entity = TypeId::of::<E>();
        entries.push(Entry { entity, space, cache: Box::new(cache.clone()) });
        Ok(Some(cache))
    }

    /// What the shared tier holds of a table; none if it holds nothing, or others name its rows
    /// otherwise.
    fn shared(&self, schema: &Schema, live: &LiveTable) -> Option<Shared> {
        let tier = self.tier_of(schema.table())?;
        let table = tier.table(schema, live)?;
        Some(Shared { tier: tier.clone(), table })
    }

    /// The generation of a table in the shared tier, if it holds any of its rows.
    fn generation(&self, name: &str) -> Option<(Arc<Tier>, Arc<Generation>)> {
        let tier = self.tier_of(name)?;
        Some((tier.clone(), tier.generation(name)))
    }

    fn tier_of(&self, name: &str) -> Option<&Arc<Tier>> {
        let is_shared = self.policy(name)?.remote_time_to_live_ms > 0;
        self.tier.as_ref().filter(|_| is_shared)
    }

    /// The policy of a table, by its name as an entity or a caller writes it.
    fn policy(&self, name: &str) -> Option<&CachePolicy> {
        let tables = &self.config.tables;
        let mut others = tables.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let policy = tables.get(name).or_else(|| others.next().map(|(_, policy)| policy));
        policy.or(self.config.all.as_ref())
    }

    /// How long a write that nobody learnt the end of may still happen, by the longest policy.
    fn unknown_time_ms(&self) -> u64 {
        let policies = self.config.tables.values().chain(&self.config.all);
        policies.map(|policy| policy.unknown_time_ms).max().unwrap_or(0)
    }

    /// The caches that hold rows of a table.
    fn of_table(&self, live: &str) -> Vec<Arc<Space>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let entries = tables.get(live).map(Vec::as_slice).unwrap_or_default();
        entries.iter().map(|entry| entry.space.clone()).collect()
    }

    /// The same for a name that a caller wrote.
    fn of_named(&self, name: &str) -> Vec<Arc<Space>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let same = |live: &str| live.eq_ignore_ascii_case(last_part(name));
        let entries = tables.iter().filter(|(live, _)| same(live)).flat_map(|(_, all)| all);
        entries.map(|entry| entry.space.clone()).collect()
    }
}

/// The name without its schema and quotes.
fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name).trim_matches(['"', '`', '[', ']'])
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("tables", &self.tables)
            .field("all", &self.all)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.space.fmt(f)
    }
}
