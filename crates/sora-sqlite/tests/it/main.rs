//! Drives the provider through the contract of `sora-core`, beside SQLite's own view of the file.

mod support;

mod describe;
mod reads;
mod writes;
