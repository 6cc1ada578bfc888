//! The connections against real servers.

mod aggregates;
mod each;
mod hosts;
mod links;
mod locks;
mod native;
mod pools;
mod sessions;
mod support;
mod tls;
