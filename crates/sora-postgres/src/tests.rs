//! The connections against real servers.

mod aggregates;
mod hosts;
mod links;
mod locks;
mod pools;
mod sessions;
mod support;
mod tls;
