//! Redis as the shared cache tier of the Sora data layer: one server, or a cluster.
//!
//! [`RedisTier`] is a [`Remote`](sora_core::remote::Remote) tier; what it promises stands there.
//!
//! # What stands in Redis
//!
//! A name is the key `{space:bucket}key`. The bucket is the CRC-16 of the bytes of `key` (XMODEM, as
//! Redis Cluster takes it for slots) modulo 256, as two hexadecimal digits; it spreads the names of one
//! space over a cluster. To invalidate a name from anywhere, `DEL` it: nothing else is needed, and a load
//! under way will not put an older value back.
//!
//! The value is two letters, the first ten digits of the server's `run_id`, and the rest:
//!
//! | | |
//! |---|---|
//! | `SV` run bytes | a value |
//! | `SL` run token | a lease: the 16 bytes of the token of whoever loads |
//! | `SB` run | a block: nobody may fill it until it expires |
//! | `SC` run `:` number | a counter, in microseconds of the server's clock or more |
//!
//! Values, leases and counters of another run than the server's own count as nothing. A server that comes
//! back with older data, or a replica that takes over with less than its master had, is cold, and never
//! revives what was removed.
//!
//! A server tracks what is read once the tier has a listener: it costs the server a third of its time for
//! a key.
//!
//! # What the server must allow
//!
//! Redis 6 or later, or what speaks its protocol. The user needs `+@read +@write +@scripting +info
//! +client|setname +client|tracking +select +time +config|get`, and `+cluster|slots` in a cluster. Without
//! `CLIENT TRACKING`, or RESP3, the tier works and tells nothing: see
//! [`RemoteCapability`](sora_core::remote::RemoteCapability). Without `INFO` it does not work, because
//! nobody could say whether the server has lost data. Without `CONFIG GET` it takes
//! `tracking-table-max-keys` to be 1,000,000: while more than half of so many keys are tracked, the tier
//! says that it tracks nothing, because a full table loses keys in silence. Give it a database of its own, or `maxmemory` with
//! an `allkeys` policy that you accept for all that is in it: whatever is evicted is loaded again.

mod ask;
mod burst;
mod callers;
mod cluster;
mod config;
mod ears;
mod failure;
mod fetches;
mod few;
mod held;
mod lanes;
mod link;
mod name;
mod node;
mod reply;
mod script;
mod tier;
mod wire;

pub use config::RedisConfig;
pub use tier::RedisTier;
