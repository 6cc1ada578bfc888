//! PostgreSQL for the Sora data layer, over its own protocol.

mod aggregate;
mod binder;
mod cancel;
mod config;
mod connect;
mod describe;
mod ensure;
mod explain;
mod failure;
mod host;
mod index_page;
mod link;
mod native;
mod negotiate;
mod numeric;
mod parameter;
mod pool;
mod provider;
mod read;
mod row;
mod session;
mod socket;
mod statements;
mod tls;
mod write;

#[cfg(test)]
mod dialect_tests;
#[cfg(test)]
mod tests;

pub use config::{PostgresConfig, StatementNames};
pub use provider::Postgres;
