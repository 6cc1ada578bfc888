//! A proxy between a client and a server that does harm where it is told to.

mod answers;
mod fault;
mod frames;
mod redis;
mod relay;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;

pub use fault::{Direction, Fault, FaultAction};
pub use redis::RedisProxy;
pub use wire::PushAction;

use crate::url::Url;
use fault::Faults;
use wire::Wire;

/// A TCP proxy on a port of the loopback address. It runs on a thread of its own, so that a test's
/// runtime may be paused or blocked; dropping it resets all connections.
///
/// Everything that it does to connections is told by the test, and counted in bytes.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    faults: Arc<Faults>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts a proxy in front of a server, such as `("127.0.0.1", 5432)`.
    ///
    /// # Errors
    ///
    /// If the host has no address, or no port is free.
    pub fn start(host: &str, port: u16) -> io::Result<Self> {
        Self::launch(host, port, None)
    }

    fn launch(host: &str, port: u16, wire: Option<Arc<Wire>>) -> io::Result<Self> {
        let server = resolve(host, port)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let faults = Arc::new(Faults::new(server));
        let (stop, stopped) = watch::channel(false);
        let shared = faults.clone();
        let thread = thread::Builder::new().name("fault-proxy".into()).spawn(move || {
            runtime.block_on(relay::serve(listener, &shared, wire.as_ref(), stopped));
        })?;
        Ok(Self { address, faults, stop, thread: Some(thread) })
    }

    /// The port that clients connect to, on `127.0.0.1`.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address of a server with the proxy's host and port in the place of its own.
    ///
    /// # Errors
    ///
    /// If it does not read `postgres://user@host:port/database`.
    pub fn url(&self, url: &str) -> io::Result<String> {
        Ok(Url::parse(url)?.with_address("127.0.0.1", self.port()).text())
    }

    /// Arms a fault: it happens once, on the connection whose bytes reach it first, counted from now
    /// over all connections. Several may be armed; each counts for itself.
    pub fn arm(&self, fault: Fault) {
        self.faults.arm(fault);
    }

    /// Disarms what has not happened, ends delays and lets stalled connections go on.
    pub fn clear(&self) {
        self.faults.clear();
    }

    /// How many of the armed faults have happened.
    pub fn fired(&self) -> usize {
        self.faults.fired()
    }

    /// Waits until so many of the armed faults have happened, counted from the start of the proxy.
    pub async fn wait_fired(&self, count: usize) {
        self.faults.wait_fired(count).await;
    }

    /// Holds back each piece of data in one direction for a while, from now on.
    pub fn delay(&self, direction: Direction, by: Duration) {
        self.faults.delay(direction, by);
    }

    /// Lets nothing pass in one direction, on all connections, until [`clear`](Self::clear).
    pub fn stall(&self, direction: Direction) {
        self.faults.stall(direction);
    }

    /// Loses all that the connections that there are carry in one direction from now on, and that they
    /// end: they stay half open, as behind a router that forgot them. New ones are not affected.
    pub fn lose(&self, direction: Direction) {
        self.faults.lose(direction);
    }

    /// Leads new connections to another server.
    ///
    /// # Errors
    ///
    /// If the host has no address.
    pub fn redirect(&self, host: &str, port: u16) -> io::Result<()> {
        self.faults.redirect(resolve(host, port)?);
        Ok(())
    }

    /// Resets all connections that there are.
    pub fn reset_all(&self) {
        self.faults.reset_all();
    }

    /// Resets new connections as they come, or takes them again.
    pub fn refuse(&self, refuse: bool) {
        self.faults.refuse(refuse);
    }

    /// How many connections were taken so far.
    pub fn connections(&self) -> usize {
        self.faults.connections()
    }

    /// How many bytes have passed in one direction so far.
    pub fn passed(&self, direction: Direction) -> u64 {
        self.faults.passed(direction)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // A panic of the proxy shows in the test as a broken connection.
            let _ = thread.join();
        }
    }
}

fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let host = host.trim_matches(['[', ']']);
    (host, port).to_socket_addrs()?.next().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{host:?} has no address"))
    })
}
