//! The servers of the testbed themselves, with real ones.

mod proxy;
mod redis;
mod redis_cluster;
mod redis_proxy;
mod servers;
