//! The connections against real servers.

mod hosts;
mod links;
mod pools;
mod sessions;
mod support;
mod tls;
