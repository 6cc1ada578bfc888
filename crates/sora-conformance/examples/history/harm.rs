//! What is done to the connections between nodes and Redis, by a seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sora_testbed::{Direction, PushAction, Redis, RedisProxy};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::Run;
use crate::nodes::Nodes;

/// Harm that goes on until it is stopped.
pub(crate) struct Harm {
    stop: oneshot::Sender<()>,
    done: JoinHandle<Done>,
}

/// What was done, and how often.
type Done = BTreeMap<&'static str, usize>;

/// Draws lots; the same as in the workload would tie the two together.
struct Lots(u64);

struct Doer {
    redis: Arc<Redis>,
    proxies: Arc<[RedisProxy]>,
    lots: Lots,
    cuts: bool,
    restarts: bool,
}

/// How long harm lasts, at most.
const HARM_MS: u64 = 400;
/// How long it is quiet between, at most.
const QUIET_MS: u64 = 600;

impl Harm {
    /// Begins to do harm, until shortly before the workload ends.
    pub(crate) fn start(nodes: &Nodes, run: &Run) -> Self {
        let mut doer = Doer {
            redis: nodes.redis.clone(),
            proxies: nodes.proxies.clone(),
            lots: Lots(run.seed ^ 0x5DEE_CE66_D1CE_1ABC | 1),
            cuts: run.cuts,
            restarts: run.restarts,
        };
        let end = Instant::now() + Duration::from_secs(run.seconds);
        let (stop, mut stopped) = oneshot::channel();
        let done = tokio::spawn(async move {
            let mut done = Done::new();
            while Instant::now() < end && stopped.try_recv().is_err() {
                let what = doer.act().await;
                *done.entry(what).or_default() += 1;
                sleep(Duration::from_millis(doer.lots.below(QUIET_MS))).await;
            }
            done
        });
        Self { stop, done }
    }

    /// Ends it, and says what was done.
    pub(crate) async fn stop(self) -> String {
        drop(self.stop);
        match self.done.await {
            Ok(done) => {
                let counts: Vec<String> =
                    done.iter().map(|(what, count)| format!("{count} {what}")).collect();
                format!("harm: {}", counts.join(", "))
            }
            Err(error) => format!("harm ended: {error}"),
        }
    }
}

impl Doer {
    /// Does one harm and mends it.
    async fn act(&mut self) -> &'static str {
        if self.restarts && (!self.cuts || self.lots.below(12) == 0) {
            return self.restart().await;
        }
        let proxies = self.proxies.clone();
        let at = usize::try_from(self.lots.below(proxies.len() as u64)).unwrap_or(0);
        let proxy = &proxies[at];
        let time = Duration::from_millis(1 + self.lots.below(HARM_MS));
        let direction =
            if self.lots.below(2) == 0 { Direction::ToClient } else { Direction::ToServer };
        match self.lots.below(9) {
            0 => {
                proxy.faults().reset_all();
                "connections reset"
            }
            1 => {
                proxy.faults().refuse(true);
                proxy.faults().reset_all();
                sleep(time).await;
                proxy.faults().refuse(false);
                "nodes cut off"
            }
            2 => {
                proxy.faults().stall(direction);
                sleep(time).await;
                proxy.faults().clear();
                "connections stalled"
            }
            3 => {
                // Half open: noticed when nothing answers.
                proxy.faults().lose(direction);
                "connections lost in silence"
            }
            4 => {
                // What is lost is lost with its connection.
                proxy.on_push(PushAction::Drop);
                sleep(time).await;
                proxy.faults().reset_all();
                proxy.on_push(PushAction::Pass);
                "times of lost invalidations"
            }
            5 => self.pushed(proxy, PushAction::Delay(time), time, "times of late ones").await,
            6 => self.pushed(proxy, PushAction::Duplicate, time, "times of repeated ones").await,
            7 => self.pushed(proxy, PushAction::Hold, time, "times of reordered ones").await,
            _ => {
                proxy.faults().delay(direction, time / 8);
                sleep(time).await;
                proxy.faults().clear();
                "times of slow connections"
            }
        }
    }

    async fn pushed(
        &self,
        proxy: &RedisProxy,
        action: PushAction,
        time: Duration,
        what: &'static str,
    ) -> &'static str {
        proxy.on_push(action);
        sleep(time).await;
        proxy.on_push(PushAction::Pass);
        proxy.release_pushes_reversed();
        what
    }

    async fn restart(&mut self) -> &'static str {
        let (redis, lot) = (self.redis.clone(), self.lots.below(3));
        let time = Duration::from_millis(self.lots.below(HARM_MS));
        let restart = move || match lot {
            0 => {
                redis.kill().and_then(|()| redis.restart_empty()).map(|()| "restarts without data")
            }
            1 => redis.kill().and_then(|()| redis.restart()).map(|()| "restarts"),
            _ => {
                let snapshot = redis.snapshot()?;
                std::thread::sleep(time);
                redis.restart_with(&snapshot).map(|()| "restarts with older data")
            }
        };
        match tokio::task::spawn_blocking(restart).await {
            Ok(Ok(what)) => what,
            // It shows in the history, if it matters.
            _ => "restarts that failed",
        }
    }
}

impl Lots {
    /// A number below a limit, by xorshift: see Marsaglia, "Xorshift RNGs", 2003.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit.max(1)
    }
}
