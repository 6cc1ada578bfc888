//! The repository and the table, on every store that needs no server.

mod aggregates;
mod batch_writer;
mod children;
mod deadlines;
mod events;
mod joined;
mod layers;
#[cfg(feature = "sqlite")]
mod native;
mod reads;
#[cfg(feature = "sqlite")]
mod sqlite_parser;
mod stores;
mod streams;
mod transactions;
mod values;
mod writes;
