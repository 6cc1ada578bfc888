//! A proxy in front of a Redis server, which knows what an answer is.

use std::io;
use std::sync::Arc;

use super::FaultProxy;
use super::wire::{PushAction, Wire};
use crate::Redis;

/// A proxy between clients and a Redis server: it counts their round trips, and loses, delays, holds
/// and repeats invalidations (the pushes of RESP3; other pushes pass). All that a [`FaultProxy`] does,
/// it does too.
#[derive(Debug)]
pub struct RedisProxy {
    proxy: FaultProxy,
    wire: Arc<Wire>,
    url: String,
}

impl RedisProxy {
    /// Starts a proxy in front of a server.
    ///
    /// # Errors
    ///
    /// If the host has no address, or no port is free.
    pub fn start(server: &Redis) -> io::Result<Self> {
        let wire = Arc::new(Wire::new());
        let proxy = FaultProxy::launch(server.host(), server.port(), Some(wire.clone()))?;
        let url = server.url_through(proxy.port());
        Ok(Self { proxy, wire, url })
    }

    /// The address of the server, through this proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port that clients connect to, on `127.0.0.1`.
    pub fn port(&self) -> u16 {
        self.proxy.port()
    }

    /// What cuts, delays and stalls. A [delay](FaultProxy::delay) towards the client makes each answer
    /// late by so much, however many come meanwhile, as a slow network does, until
    /// [`clear`](FaultProxy::clear).
    pub fn faults(&self) -> &FaultProxy {
        &self.proxy
    }

    /// Leads new connections to another server, as an address does that moves at a failover.
    ///
    /// # Errors
    ///
    /// If its host has no address.
    pub fn redirect(&self, server: &Redis) -> io::Result<()> {
        self.proxy.redirect(server.host(), server.port())
    }

    /// Says what is done with invalidations that come from now on, on all connections.
    pub fn on_push(&self, action: PushAction) {
        self.wire.act(action);
    }

    /// Passes on all invalidations that are [held](PushAction::Hold), in the order in which they came.
    pub fn release_pushes(&self) {
        self.wire.release(false);
    }

    /// Passes on all invalidations that are held, the last one first.
    pub fn release_pushes_reversed(&self) {
        self.wire.release(true);
    }

    /// How many invalidations have come from the server so far, whatever was done with them.
    pub fn pushes(&self) -> u64 {
        self.wire.pushes()
    }

    /// Waits until so many invalidations have come, counted from the start of the proxy.
    pub async fn wait_pushes(&self, count: u64) {
        self.wire.wait_pushes(count).await;
    }

    /// How many round trips there were on all connections so far: a burst of requests and its answers
    /// on one connection is one, be it one command or a thousand. What is asked before the first
    /// answer has passed belongs to the same burst. Pushes are no answers.
    ///
    /// The hand-shake of a connection is counted; the stream to a replica is not.
    pub fn round_trips(&self) -> u64 {
        self.wire.round_trips().iter().sum()
    }

    /// The round trips of each connection, in the order in which they came, those that have ended too.
    pub fn round_trips_by_connection(&self) -> Vec<u64> {
        self.wire.round_trips()
    }
}
