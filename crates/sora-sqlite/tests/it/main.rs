//! Drives the provider through the contract of `sora-core`, beside SQLite's own view of the file.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod support;

mod alone;
mod bulk;
mod conformance;
mod describe;
mod differential;
mod ensure;
mod gathering;
mod groups;
mod log;
mod open;
mod reads;
mod sessions;
mod threads;
mod writes;
