//! Where Redis is, and the limits of its use.

mod address;

use std::fmt;

use sora_core::{Error, ErrorKind, Result};

pub(crate) use address::Address;

/// Where Redis is, and the limits of its use: made from an address, then changed by name.
///
/// | address | what it is |
/// |---|---|
/// | `redis://host:port` | one server; port 6379 if it is left out |
/// | `redis://user:password@host:port/2` | as a user, in database 2 |
/// | `redis://:password@host` | as the default user |
/// | `redis+cluster://host:port,host:port` | a cluster, by some of its nodes |
///
/// User and password may hold bytes as `%2F`. Its `Debug` shows no password.
#[derive(Clone)]
pub struct RedisConfig {
    pub(crate) addresses: Vec<Address>,
    pub(crate) is_cluster: bool,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: u32,
    pub(crate) command_timeout_ms: u64,
    pub(crate) connect_timeout_ms: u64,
    pub(crate) ping_interval_ms: u64,
    pub(crate) reconnect_min_ms: u64,
    pub(crate) reconnect_max_ms: u64,
    pub(crate) batch_max: usize,
    pub(crate) burst_max: usize,
    pub(crate) waiting_max: usize,
    pub(crate) counter_time_to_live_ms: u64,
}

impl RedisConfig {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it is malformed; the message never repeats a password.
    /// [`ErrorKind::Unsupported`] for `rediss://`: connections are not encrypted yet.
    pub fn parse(address: &str) -> Result<Self> {
        let parts = address::Parts::parse(address)?;
        Ok(Self {
            addresses: parts.addresses,
            is_cluster: parts.is_cluster,
            user: parts.user,
            password: parts.password,
            database: parts.database,
            command_timeout_ms: 250,
            connect_timeout_ms: 1_000,
            ping_interval_ms: 1_000,
            reconnect_min_ms: 50,
            reconnect_max_ms: 2_000,
            batch_max: 128,
            burst_max: 1_024,
            waiting_max: 65_536,
            counter_time_to_live_ms: 7 * 24 * 3_600 * 1_000,
        })
    }

    /// Sets how long a call waits for Redis at most, whatever it needs: 250 ms otherwise.
    pub fn command_timeout_ms(mut self, command_timeout_ms: u64) -> Self {
        self.command_timeout_ms = command_timeout_ms;
        self
    }

    /// Sets how long a connection may take to be opened: 1,000 ms otherwise. No call waits for it.
    pub fn connect_timeout_ms(mut self, connect_timeout_ms: u64) -> Self {
        self.connect_timeout_ms = connect_timeout_ms;
        self
    }

    /// Sets how often a server is asked whether it answers: every 1,000 ms otherwise. With the time of a
    /// command it bounds how long a connection can be dead without being noticed.
    pub fn ping_interval_ms(mut self, ping_interval_ms: u64) -> Self {
        self.ping_interval_ms = ping_interval_ms;
        self
    }

    /// Sets how long is waited before a lost connection is opened again, at first and at most: 50 and
    /// 2,000 ms otherwise. It is doubled each time, and half of it is random.
    pub fn reconnect_ms(mut self, min: u64, max: u64) -> Self {
        (self.reconnect_min_ms, self.reconnect_max_ms) = (min, max);
        self
    }

    /// Sets how many names one command has at most: 128 otherwise. The server does nothing else
    /// meanwhile.
    pub fn batch_max(mut self, batch_max: usize) -> Self {
        self.batch_max = batch_max;
        self
    }

    /// Sets how many names of joined calls one round trip has at most: 1,024 otherwise.
    pub fn burst_max(mut self, burst_max: usize) -> Self {
        self.burst_max = burst_max;
        self
    }

    /// Sets how many names may wait to be sent to one server: 65,536 otherwise. Calls beyond that fail
    /// with [`ErrorKind::Busy`].
    pub fn waiting_max(mut self, waiting_max: usize) -> Self {
        self.waiting_max = waiting_max;
        self
    }

    /// Sets how long a counter is kept that nobody bumps: seven days otherwise. Lost, it is made again
    /// with another number, so that what depends on it is loaded again.
    pub fn counter_time_to_live_ms(mut self, counter_time_to_live_ms: u64) -> Self {
        self.counter_time_to_live_ms = counter_time_to_live_ms;
        self
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("addresses", &self.addresses)
            .field("is_cluster", &self.is_cluster)
            .field("user", &self.user)
            .field("has_password", &self.password.is_some())
            .field("database", &self.database)
            .field("command_timeout_ms", &self.command_timeout_ms)
            .field("ping_interval_ms", &self.ping_interval_ms)
            .finish_non_exhaustive()
    }
}

fn malformed(what: &str) -> Error {
    let message = format!(
        "the address of Redis is malformed: {what}; it reads redis://user:password@host:port/0 or \
         redis+cluster://host:port,host:port"
    );
    Error::new(ErrorKind::InvalidInput, message)
}
