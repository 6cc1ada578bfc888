//! Sessions on several nodes that write, delete and look up the same rows.

mod item;
mod session;
mod way;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sora::{Cache, CachePolicy, Sora};
use sora_core::Result;
use tokio::time::sleep;

use self::item::Item;
use self::session::{Key, Session, Shared};
use super::clock::StepClock;
use super::step::Step;
use super::watch::TierWatch;
use crate::random::Random;

/// What sessions do on several nodes, which share a store and a cache tier.
///
/// The writes of a key come one after another, over all nodes, but for those that the store itself puts
/// into the order of their versions; look-ups come at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Decides what each session does.
    pub seed: u64,
    /// Sessions on each node.
    pub sessions: usize,
    /// Keys that they share; low ones are used more.
    pub keys: usize,
    /// What each session does at most.
    pub steps: usize,
    /// How long the sessions go on at most, in milliseconds.
    pub time_ms: u64,
    /// How long a session waits between two steps at most.
    pub pause_us_max: u64,
    /// Of a hundred steps, those that are writes or deletes.
    pub writes_percent: usize,
    /// Of a hundred writes, those that their callers drop.
    pub drop_percent: usize,
    /// How long a write of unknown outcome can still happen, at most.
    pub settle_ms: u64,
    /// How long is waited before every node reads all keys at the end.
    pub final_ms: u64,
    /// Whether each session acts in milliseconds of its own. Whoever waits for one thing with others is
    /// woken in an order that tokio draws by lot; so the same seed gives the same history.
    pub in_turns: bool,
}

/// What a [`Workload`] did.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Its history, by when each step began.
    pub steps: Vec<Step>,
    /// Calls that failed and should not have: a cache tier must fail none.
    pub failures: Vec<String>,
}

impl Workload {
    /// A workload for a simulation: short, with few keys, on a paused clock.
    pub const fn simulated(seed: u64) -> Self {
        Self {
            seed,
            sessions: 4,
            keys: 4,
            steps: 50,
            time_ms: u64::MAX,
            pause_us_max: 20_000,
            writes_percent: 25,
            drop_percent: 5,
            settle_ms: 200,
            final_ms: 10_000,
            in_turns: true,
        }
    }

    /// The policy of the rows on a cache, to be added to and given to every node.
    pub fn cache(policy: CachePolicy) -> Cache {
        Cache::new().entity::<Item>(policy)
    }

    /// Runs the sessions on nodes that have one store, each observed by the watch, and records what they
    /// did.
    ///
    /// # Errors
    ///
    /// What the store says if the table cannot be made.
    pub async fn run(&self, nodes: &[Sora], watch: Arc<TierWatch>) -> Result<Recording> {
        if let Some(node) = nodes.first() {
            node.ensure_schema::<Item>().await?;
        }
        let shared = Arc::new(Shared {
            workload: *self,
            clock: StepClock::new(),
            sessions: nodes.len() * (self.sessions + 1),
            watch,
            keys: (0..self.keys).map(|_| Key::default()).collect(),
            steps: Mutex::default(),
            failures: Mutex::default(),
        });
        let mut random = Random::new(self.seed);
        let mut running = Vec::new();
        for number in 0..nodes.len() * self.sessions {
            let session = self.session(number, nodes, &shared, &mut random).await?;
            running.push(tokio::spawn(session.run()));
        }
        for session in running {
            if let Err(error) = session.await {
                shared.fail(&format!("a session ended: {error}"));
            }
        }
        sleep(Duration::from_millis(self.final_ms)).await;
        // All that is read now must be what is there.
        for at in 0..nodes.len() {
            let number = nodes.len() * self.sessions + at;
            self.session(number, nodes, &shared, &mut random).await?.read_all().await;
        }
        let take = |failures: &Mutex<Vec<String>>| {
            std::mem::take(&mut *failures.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let failures = take(&shared.failures);
        let mut steps = shared.take_steps();
        steps.sort_by_key(|step| step.start_ns);
        Ok(Recording { steps, failures })
    }

    async fn session(
        &self,
        number: usize,
        nodes: &[Sora],
        shared: &Arc<Shared>,
        random: &mut Random,
    ) -> Result<Session> {
        let node = number % nodes.len();
        let store = nodes[node].clone();
        let items = store.repository::<Item>().await?;
        let random = Random::new(random.next());
        Ok(Session { number, node, store, items, random, shared: shared.clone() })
    }
}
