//! The servers of the testbed themselves, with real ones.

mod proxy;
mod servers;
