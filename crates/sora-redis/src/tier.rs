//! The tier, on one server or a cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sora_core::provider::BoxFuture;
use sora_core::remote::{
    Fill, Filled, Remote, RemoteCapability, RemoteListener, RemoteName, RemoteTraffic, Slot, Token,
};
use sora_core::{Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::ask::{Answer, Ask, What};
use crate::cluster::Cluster;
use crate::config::RedisConfig;
use crate::ears::Ears;
use crate::failure;
use crate::few::Few;
use crate::name::Key;
use crate::node::Kept;

/// Redis as a cache tier that several processes share: one server, or a cluster.
///
/// Connections are kept by tasks of the runtime that it was made in, and closed when it is dropped. Calls
/// are made within a tokio runtime, too.
pub struct RedisTier {
    config: Arc<RedisConfig>,
    ears: Arc<Ears>,
    servers: Servers,
}

enum Servers {
    One(Kept),
    Cluster(Cluster),
}

impl RedisTier {
    /// Returns the tier at once, and begins to connect: a server that is away fails no service, and is
    /// connected to when it comes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] outside of a tokio runtime.
    pub fn connect(config: RedisConfig) -> Result<Self> {
        let runtime = Handle::try_current().map_err(|_| {
            let message = "the Redis tier needs a tokio runtime: connect within one";
            Error::new(ErrorKind::InvalidInput, message)
        })?;
        let (config, ears) = (Arc::new(config), Arc::new(Ears::default()));
        let servers = match &*config.addresses {
            [address] if !config.is_cluster => {
                let (config, ears) = (config.clone(), ears.clone());
                Servers::One(Kept::new(address.clone(), config, ears, &runtime))
            }
            _ => Servers::Cluster(Cluster::new(config.clone(), ears.clone(), &runtime)),
        };
        Ok(Self { config, ears, servers })
    }

    /// Waits until all servers answer.
    ///
    /// # Errors
    ///
    /// Why one of them does not, if they do not within the time that a connection may take.
    pub async fn ready(&self) -> Result<()> {
        let mut changes = self.ears.changes();
        let end = Instant::now() + Duration::from_millis(self.config.connect_timeout_ms);
        loop {
            changes.mark_unchanged();
            if self.state().is_ok() {
                return Ok(());
            }
            // The sender lives as long as this.
            if tokio::time::timeout_at(end, changes.changed()).await.is_err() {
                return self.state();
            }
        }
    }

    /// Why the tier does not answer, or not for all names.
    fn state(&self) -> Result<()> {
        match &self.servers {
            Servers::One(kept) => kept.node().link().map(drop),
            Servers::Cluster(cluster) => cluster.state(),
        }
    }

    /// Asks all that in one round trip to each server, and returns an answer to each.
    async fn ask(&self, asks: Few<Ask>, deadline: Instant) -> Result<Few<Answer>> {
        if asks.len() == 0 {
            return Ok(Few::Many(Vec::new()));
        }
        match &self.servers {
            Servers::One(kept) => Ok(kept.node().ask(asks, deadline).await?.answers),
            Servers::Cluster(cluster) => {
                let asks = asks.into_iter().collect();
                // What is seldom called keeps what is often called small.
                let call = Box::pin(self.within(deadline, cluster.ask(asks, deadline)));
                Ok(Few::Many(call.await?))
            }
        }
    }

    /// Bounds what takes more than one round trip: only the first is sure to be in line by its deadline.
    async fn within<T>(
        &self,
        deadline: Instant,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let timeout = |_| Err(failure::timeout(self.config.command_timeout_ms));
        tokio::time::timeout_at(deadline, call).await.unwrap_or_else(timeout)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.config.command_timeout_ms)
    }

    async fn all_done(&self, names: &[RemoteName], what: impl Fn() -> What) -> Result<()> {
        let answers = self.ask(asks(names, what)?, self.deadline()).await?;
        answers.into_iter().try_for_each(Answer::done)
    }

    async fn take_leases(
        &self,
        names: &[RemoteName],
        token: Token,
        time_ms: u64,
    ) -> Result<Vec<Slot>> {
        let deadline = self.deadline();
        let lease = || What::Lease { token, time_ms };
        let answers = self.ask(asks(names, lease)?, deadline).await?;
        let mut answers: Vec<Answer> = answers.into_iter().collect();
        let is_stale = |answer: &Answer| matches!(answer, Answer::Stale);
        let stale: Vec<usize> = (0..names.len()).filter(|at| is_stale(&answers[*at])).collect();
        if !stale.is_empty() {
            let take =
                |at: &usize| Ok(Ask::new(Key::of(&names[*at])?, What::Take { token, time_ms }));
            let asks: Vec<Ask> = stale.iter().map(take).collect::<Result<_>>()?;
            let leased = self.within(deadline, self.ask(asks.into(), deadline)).await?;
            for (at, answer) in stale.into_iter().zip(leased) {
                answers[at] = answer;
            }
        }
        answers.iter().map(Answer::slot).collect()
    }

    async fn read_counters(&self, names: &[RemoteName]) -> Result<Vec<u64>> {
        let deadline = self.deadline();
        let answers = self.ask(asks(names, || What::Count)?, deadline).await?;
        let mut numbers: Vec<Option<u64>> =
            answers.into_iter().map(Answer::counter).collect::<Result<_>>()?;
        let missing: Vec<usize> = (0..names.len()).filter(|at| numbers[*at].is_none()).collect();
        let making = |at: &usize| Ok(Ask::new(Key::of(&names[*at])?, What::Make));
        let asks: Vec<Ask> = missing.iter().map(making).collect::<Result<_>>()?;
        let made = self.within(deadline, self.ask(asks.into(), deadline)).await?;
        for (at, answer) in missing.into_iter().zip(made) {
            numbers[at] = answer.counter()?;
        }
        numbers.into_iter().map(number).collect()
    }
}

impl Remote for RedisTier {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn capability(&self) -> RemoteCapability {
        let (tracks, shards) = match &self.servers {
            Servers::One(kept) => (kept.node().link().is_ok_and(|link| link.tracks()), 1),
            Servers::Cluster(cluster) => cluster.facts(),
        };
        match tracks {
            true => {
                let silent_ms = self.config.ping_interval_ms + self.config.command_timeout_ms;
                RemoteCapability::tracked(silent_ms, shards)
            }
            false => RemoteCapability::untracked(shards),
        }
    }

    fn traffic(&self) -> RemoteTraffic {
        match &self.servers {
            Servers::One(kept) => kept.node().traffic(),
            Servers::Cluster(cluster) => cluster.traffic(),
        }
    }

    fn fetch<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<Slot>>> {
        let deadline = self.deadline();
        match (names, &self.servers) {
            ([name], Servers::One(kept)) => {
                Box::pin(async move { Ok(vec![kept.node().fetch(name, deadline).await?]) })
            }
            _ => Box::pin(async move {
                let answers = self.ask(asks(names, || What::Fetch)?, deadline).await?;
                answers.as_slice().iter().map(Answer::slot).collect()
            }),
        }
    }

    fn lease<'a>(
        &'a self,
        names: &'a [RemoteName],
        token: Token,
        time_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Slot>>> {
        Box::pin(self.take_leases(names, token, time_ms))
    }

    fn fill<'a>(
        &'a self,
        fills: Vec<Fill>,
        token: Token,
        counters: &'a [RemoteName],
    ) -> BoxFuture<'a, Result<Filled>> {
        let fill = move |Fill { name, value, time_to_live_ms }: Fill| {
            Ok(Ask::new(Key::of(&name)?, What::Fill { token, value, time_to_live_ms }))
        };
        let count = |name| Ok(Ask::new(Key::of(name)?, What::Count));
        Box::pin(async move {
            let len = fills.len();
            let asks = fills.into_iter().map(fill).chain(counters.iter().map(count));
            let asks: Vec<Ask> = asks.collect::<Result<_>>()?;
            let answers = self.ask(asks.into(), self.deadline()).await?;
            let mut answers: Vec<Answer> = answers.into_iter().collect();
            let counters = answers.split_off(len.min(answers.len()));
            Ok(Filled {
                filled: answers.into_iter().map(Answer::filled).collect::<Result<_>>()?,
                counters: counters.into_iter().map(Answer::counter).collect::<Result<_>>()?,
            })
        })
    }

    fn release<'a>(&'a self, names: &'a [RemoteName], token: Token) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.all_done(names, move || What::Release { token }))
    }

    fn remove<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.all_done(names, || What::Remove))
    }

    fn block<'a>(&'a self, names: &'a [RemoteName], time_ms: u64) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.all_done(names, move || What::Block { time_ms }))
    }

    fn counters<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(self.read_counters(names))
    }

    fn bump<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(async {
            let answers = self.ask(asks(names, || What::Bump)?, self.deadline()).await?;
            answers.into_iter().map(|answer| number(answer.counter()?)).collect()
        })
    }

    fn listen(&self, listener: Arc<dyn RemoteListener>) {
        self.ears.listen(&listener);
    }
}

impl fmt::Debug for RedisTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTier")
            .field("config", &self.config)
            .field("is_up", &self.ears.is_up())
            .finish_non_exhaustive()
    }
}

fn asks(names: &[RemoteName], what: impl Fn() -> What) -> Result<Few<Ask>> {
    let ask = |name| Ok(Ask::new(Key::of(name)?, what()));
    match names {
        [name] => ask(name).map(Few::One),
        _ => names.iter().map(ask).collect::<Result<Vec<Ask>>>().map(Few::Many),
    }
}

fn number(counter: Option<u64>) -> Result<u64> {
    let message = "a counter in Redis is no number that was just made";
    counter.ok_or_else(|| Error::new(ErrorKind::Store, message))
}
