//! A cache tier in memory that keeps the contract of [`Remote`], and no more than it.

mod link;
mod server;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sora_core::Result;
use sora_core::provider::BoxFuture;
use sora_core::remote::{
    Fill, Filled, Remote, RemoteCapability, RemoteListener, RemoteName, RemoteTraffic, Slot, Token,
};
use tokio::time::{Instant, sleep};

use self::link::Link;
use self::server::{Server, Told};
use self::wire::{Wire, World, lock};

/// A tier that the nodes of one process share, with the faults of a network between.
///
/// It runs on tokio's clock. On a paused one, in a runtime of one thread, equal seeds and equal calls
/// do the same at the same times.
#[derive(Clone)]
pub struct SharedRemote {
    world: Arc<Mutex<World>>,
}

/// The tier as one node sees it: each node of [`SharedRemote::node`] is a process of its own.
pub struct RemoteNode {
    world: Arc<Mutex<World>>,
    /// Which link of the world is its own.
    at: usize,
    ears: Arc<Ears>,
}

/// How bad the network is. Percentages are of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteFaults {
    /// How long a request, or its reply, is under way at most.
    pub delay_us_max: u64,
    /// How long a message to a listener is under way at most; replies to what came later wait for
    /// none, but bring it along.
    pub push_delay_ms_max: u64,
    /// Messages to listeners that come twice.
    pub duplicate_percent: usize,
    /// Messages to listeners that are lost; a gap follows.
    pub lose_percent: usize,
    /// Calls before which the connection is lost, at once or in silence.
    pub cut_percent: usize,
    /// Calls before which the server loses all that it holds.
    pub restart_percent: usize,
    /// How long a node is cut off at most.
    pub down_ms_max: u64,
    /// How long a call waits for its reply.
    pub command_timeout_ms: u64,
    /// How long a loss is not noticed at most, that of a command's time included.
    pub staleness_max_ms: u64,
    /// What is broken on purpose, to see that it is found.
    pub flaw: Option<RemoteFlaw>,
}

/// A broken tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteFlaw {
    /// Every fill succeeds, whether its lease stands or not.
    FillsAlways,
    /// What is lost is followed by no gap.
    LosesInSilence,
}

/// What has happened to a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say what is counted")]
pub struct RemoteNumbers {
    pub fills: u64,
    pub fills_refused: u64,
    /// Messages to listeners, and what became of them.
    pub pushes: u64,
    pub lost: u64,
    pub duplicated: u64,
    /// Messages that came before one that the server had sent earlier.
    pub reordered: u64,
    pub cuts: u64,
    pub restarts: u64,
    pub calls_failed: u64,
}

/// The listeners of a node; locked while they are told, so that they hear everything in its order.
type Ears = Mutex<Vec<Arc<dyn RemoteListener>>>;

impl RemoteFaults {
    /// Nothing goes wrong, and nothing takes time.
    pub const NONE: Self = Self {
        delay_us_max: 0,
        push_delay_ms_max: 0,
        duplicate_percent: 0,
        lose_percent: 0,
        cut_percent: 0,
        restart_percent: 0,
        down_ms_max: 0,
        command_timeout_ms: 50,
        staleness_max_ms: 200,
        flaw: None,
    };
}

impl SharedRemote {
    /// Returns an empty tier; `seed` decides what goes wrong.
    pub fn new(faults: RemoteFaults) -> Self {
        let world = World {
            server: Server::new(faults.flaw == Some(RemoteFlaw::FillsAlways)),
            links: Vec::new(),
            faults,
            numbers: RemoteNumbers::default(),
            done: 0,
        };
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// Returns the tier as another node sees it. `seed` decides what goes wrong for it.
    pub fn node(&self, seed: u64) -> RemoteNode {
        let ears = Arc::default();
        let mut world = lock(&self.world);
        world.links.push(Link::new(seed, Arc::downgrade(&ears)));
        RemoteNode { world: self.world.clone(), at: world.links.len() - 1, ears }
    }

    /// Begins the server anew with nothing: all connections are lost.
    pub fn restart(&self) {
        Wire { world: self.world.clone(), at: 0 }.restart();
    }

    /// Changes the faults from now on.
    pub fn faults(&self, faults: RemoteFaults) {
        lock(&self.world).faults = faults;
    }

    /// What has happened so far.
    pub fn numbers(&self) -> RemoteNumbers {
        lock(&self.world).numbers
    }
}

impl RemoteNode {
    /// Loses the connection, and gets it back behind a time, or at once.
    pub fn cut(&self, down: Duration) {
        self.wire().cut(down);
    }

    fn wire(&self) -> Wire {
        Wire { world: self.world.clone(), at: self.at }
    }

    /// Sends a call to the server and brings its reply back, or loses either.
    async fn call<T: Send>(
        &self,
        names: &[RemoteName],
        act: impl FnOnce(&mut Server, usize) -> (T, Vec<Told>) + Send,
    ) -> Result<T> {
        let wire = self.wire();
        let (epoch, there, back) = {
            let mut keys: Vec<&[u8]> = names.iter().map(|name| &*name.key).collect();
            keys.sort_unstable();
            wire.begin(&keys)?
        };
        let deadline = Instant::now() + lock(&self.world).timeout();
        sleep(there).await;
        wire.stand(epoch, deadline).await?;
        let (answer, seen) = wire.act(act);
        sleep(back).await;
        wire.stand(epoch, deadline).await?;
        // What the server had said before is heard before.
        wire.deliver_until(seen);
        Ok(answer)
    }
}

impl Remote for RemoteNode {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capability(&self) -> RemoteCapability {
        RemoteCapability::tracked(lock(&self.world).faults.staleness_max_ms, 1)
    }

    fn traffic(&self) -> RemoteTraffic {
        RemoteTraffic::default()
    }

    fn fetch<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<Slot>>> {
        Box::pin(self.call(names, |server, node| (server.fetch(names, node), Vec::new())))
    }

    fn lease<'a>(
        &'a self,
        names: &'a [RemoteName],
        token: Token,
        time_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Slot>>> {
        Box::pin(self.call(names, move |server, node| server.lease(names, token, time_ms, node)))
    }

    fn fill<'a>(
        &'a self,
        fills: Vec<Fill>,
        token: Token,
        counters: &'a [RemoteName],
    ) -> BoxFuture<'a, Result<Filled>> {
        let names: Vec<RemoteName> = fills.iter().map(|fill| fill.name.clone()).collect();
        Box::pin(async move {
            let fill = move |server: &mut Server, node| {
                let (filled, told) = server.fill(fills, token, node);
                (Filled { filled, counters: server.counted(counters, node) }, told)
            };
            self.call(&names, fill).await
        })
    }

    fn release<'a>(&'a self, names: &'a [RemoteName], token: Token) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call(names, move |server, node| ((), server.release(names, token, node))))
    }

    fn remove<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call(names, |server, node| ((), server.remove(names, node))))
    }

    fn block<'a>(&'a self, names: &'a [RemoteName], time_ms: u64) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call(names, move |server, node| ((), server.block(names, time_ms, node))))
    }

    fn counters<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(self.call(names, |server, node| server.counters(names, node, false)))
    }

    fn bump<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(self.call(names, |server, node| server.counters(names, node, true)))
    }

    fn listen(&self, listener: Arc<dyn RemoteListener>) {
        let mut listeners = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        let is_up = lock(&self.world).links[self.at].is_up;
        listeners.push(listener.clone());
        listener.gap(is_up);
    }
}

impl fmt::Debug for SharedRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRemote").field("numbers", &self.numbers()).finish_non_exhaustive()
    }
}

impl fmt::Debug for RemoteNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteNode").field("at", &self.at).finish_non_exhaustive()
    }
}
