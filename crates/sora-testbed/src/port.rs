//! Ports that nobody listens on.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// Below the ports that systems give to clients, so that no outgoing connection takes the port of a
/// server while it is restarted.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;
const TRIES_MAX: usize = 200;

/// Returns a port of the loopback address that was free just now.
pub(crate) fn free_port() -> io::Result<u16> {
    // Random, so that processes that search at the same time rarely find the same one.
    for _ in 0..TRIES_MAX {
        let random = RandomState::new().build_hasher().finish();
        let port = FIRST + u16::try_from(random % u64::from(COUNT)).unwrap_or_default();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    let message =
        format!("no port between {FIRST} and {} is free on 127.0.0.1", u32::from(FIRST + COUNT));
    Err(io::Error::other(message))
}
