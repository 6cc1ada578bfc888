//! The tier on real servers.

mod cluster;
mod counter;
mod fence;
mod gap;
mod joining;
mod listener;
mod outage;
mod server;
mod tracking;
