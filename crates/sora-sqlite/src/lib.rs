//! SQLite for the Sora data layer, embedded.
//!
//! [`Sqlite`] is a [`Provider`](sora_core::provider::Provider): a file, or a private database in
//! memory, reached by one writing connection on a thread of its own and several reading ones.

mod aggregate;
mod answer;
mod binder;
mod bulk;
mod checkpoint;
mod chunk;
mod config;
mod connection;
mod deadline;
mod declared;
mod describe;
mod ensure;
mod explain;
mod failure;
mod functions;
mod gathering;
mod gauge;
mod group;
mod held;
mod inline;
mod line;
mod literal;
mod native;
mod negotiate;
mod provider;
mod read;
mod row;
mod scan;
mod session;
mod statements;
mod worker;
mod write;

pub use config::{Clock, SqliteConfig, Synchronous};
pub use provider::Sqlite;
