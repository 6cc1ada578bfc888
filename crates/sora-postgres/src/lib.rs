//! PostgreSQL for the Sora data layer, over its own protocol.

#![cfg_attr(not(test), expect(dead_code, reason = "the provider that uses them follows"))]

mod binder;
mod cancel;
mod config;
mod connect;
mod describe;
mod ensure;
mod failure;
mod host;
mod link;
mod numeric;
mod parameter;
mod pool;
mod row;
mod socket;
mod statements;
mod tls;

#[cfg(test)]
mod tests;

pub use config::{PostgresConfig, StatementNames};
pub use pool::PoolGauges;
