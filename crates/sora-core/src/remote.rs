//! The contract with a cache tier that several processes share.

use std::fmt::Debug;
use std::sync::Arc;

use crate::Result;
use crate::provider::BoxFuture;

/// A store of bytes under names that several processes use as one cache: implement this to add one.
///
/// What makes it more than a map is the *lease*. Who misses a name takes its lease, loads the value
/// and fills it in; the fill is refused unless the lease still stands. So whoever removes or
/// overwrites a name, from any language and by the store's own commands, refuses every fill whose
/// load began before. No message is needed for that, and none can be lost.
///
/// Values, and the keys in names, are opaque here. Each method answers one slot for each name, in
/// their order, and takes one round trip to each shard, unless it says otherwise; none waits longer
/// than the time that the tier is configured with. If a part of the names can't be answered, the
/// whole call fails: what was done of it is not known. A dropped call is cancelled or goes on.
pub trait Remote: Debug + Send + Sync + 'static {
    /// The name in events and messages, such as `redis`.
    fn name(&self) -> &'static str;

    /// What the tier does, as few facts; they may change with the connection.
    fn capability(&self) -> RemoteCapability;

    /// What has been asked of its servers so far.
    fn traffic(&self) -> RemoteTraffic;

    /// Looks names up. What is answered is told about from then on, an empty name too.
    fn fetch<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<Slot>>>;

    /// Takes the lease of each name that is empty: its slot is then [`Slot::Leased`] by this token.
    /// Other slots say what stands there instead, as [`fetch`](Self::fetch) does; one that is
    /// [`Slot::Empty`] was removed again at once. A second round trip is needed for what a server
    /// left behind that has lost data since.
    fn lease<'a>(
        &'a self,
        names: &'a [RemoteName],
        token: Token,
        time_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Slot>>>;

    /// Puts values in the place of leases, and says of each whether it stood; what is filled is told
    /// about from then on. In the same round trip it reads counters, as they are then.
    fn fill<'a>(
        &'a self,
        fills: Vec<Fill>,
        token: Token,
        counters: &'a [RemoteName],
    ) -> BoxFuture<'a, Result<Filled>>;

    /// Gives leases of this token back without a value.
    fn release<'a>(&'a self, names: &'a [RemoteName], token: Token) -> BoxFuture<'a, Result<()>>;

    /// Empties names, and with them refuses every fill under way. A block stays.
    ///
    /// Nobody is told of a name that was empty already: whoever keeps a value whose fill was refused,
    /// or failed, keeps what nothing invalidates.
    fn remove<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<()>>;

    /// Empties names and keeps anybody from filling them for a time, because what the store holds
    /// under their keys may still change: a write of unknown outcome.
    fn block<'a>(&'a self, names: &'a [RemoteName], time_ms: u64) -> BoxFuture<'a, Result<()>>;

    /// Reads counters. One that is not there is made, by a second round trip, with a number that it
    /// never had before, so that losing it revives nothing. Compare numbers for equality only.
    fn counters<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<u64>>>;

    /// Changes counters to numbers that they never had before, and returns these.
    fn bump<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<u64>>>;

    /// Asks to be told what happens to names that are read from now on. The listener is told at
    /// once, by [`gap`](RemoteListener::gap), whether the tier answers. It is kept as long as the tier
    /// lives, and must not keep the tier alive itself.
    fn listen(&self, listener: Arc<dyn RemoteListener>);
}

/// Hears what happens to names that this process has read. It is called in the order in which the
/// tier says so, before any reply that came later is seen: keep it short and do not block.
pub trait RemoteListener: Debug + Send + Sync + 'static {
    /// A name was written by another process, removed, or has expired. What this process itself
    /// writes through the tier is not told.
    fn changed(&self, space: &str, key: &[u8]);

    /// All names may have changed.
    fn changed_all(&self);

    /// Something may have happened that nobody told: the connection was lost, or another server
    /// answers. What was read before is suspect. `up` says whether the tier answers now; with several
    /// shards, whether one does.
    fn gap(&self, up: bool);
}

/// The facts about a [`Remote`] tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteCapability {
    /// It tells what happens to names that were read.
    pub tracks: bool,
    /// How long what was read can be out of date without being told, at most; none if nothing but its
    /// time to live bounds it.
    pub staleness_max_ms: Option<u64>,
    /// How many servers share the names; each takes a round trip of its own.
    pub shards: usize,
}

/// What was asked of the servers of a [`Remote`] tier: with calls that join, a round trip has many names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteTraffic {
    /// Commands that were sent at once, to one server.
    pub round_trips: u64,
    /// The names in all of them.
    pub names: u64,
}

/// The name of something in a [`Remote`] tier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteName {
    /// What it is part of, such as the application, the entity and its schema; words without braces.
    /// Names of one space are spread over all shards.
    pub space: Arc<str>,
    /// Which one of these; any bytes.
    pub key: Arc<[u8]>,
}

/// What stands under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Nothing.
    Empty,
    /// Somebody loads the value.
    Leased(Token),
    /// Nobody may fill it yet.
    Blocked,
    /// A value; or what somebody else wrote there, which whoever reads it must tell apart.
    Value(Vec<u8>),
}

/// A value to put in the place of a lease.
#[derive(Clone, Debug)]
pub struct Fill {
    /// Its name.
    pub name: RemoteName,
    /// What it holds.
    pub value: Vec<u8>,
    /// How long it may stay, at least 1.
    pub time_to_live_ms: u64,
}

/// What became of values that were to be filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Of each value, whether its lease stood.
    pub filled: Vec<bool>,
    /// The counters that were asked for; none for one that is not there.
    pub counters: Vec<Option<u64>>,
}

/// Tells one load from all others: random, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u128);

impl RemoteCapability {
    /// Nothing is told, and one server.
    pub const NONE: Self = Self { tracks: false, staleness_max_ms: None, shards: 1 };

    /// A tier of so many servers that tells what happens, or was silent for so long at most.
    pub const fn tracked(staleness_max_ms: u64, shards: usize) -> Self {
        Self { tracks: true, staleness_max_ms: Some(staleness_max_ms), shards }
    }

    /// A tier of so many servers that tells nothing.
    pub const fn untracked(shards: usize) -> Self {
        Self { tracks: false, staleness_max_ms: None, shards }
    }
}

impl RemoteTraffic {
    /// So many round trips with so many names in all.
    pub const fn new(round_trips: u64, names: u64) -> Self {
        Self { round_trips, names }
    }
}

impl RemoteName {
    /// Returns the name of a key in a space.
    pub fn new(space: impl Into<Arc<str>>, key: impl Into<Arc<[u8]>>) -> Self {
        Self { space: space.into(), key: key.into() }
    }
}
