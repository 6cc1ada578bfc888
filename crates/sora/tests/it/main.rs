//! The repository and the table, on every store that needs no server.

mod events;
mod reads;
mod stores;
mod streams;
mod writes;
