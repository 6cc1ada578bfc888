//! How calls and messages go between one node and the server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sora_core::{Error, ErrorKind, Result, Retry};
use tokio::time::{Instant, sleep};

use super::link::{CALL, Link, Push, RESTART};
use super::server::{Server, Told};
use super::{Ears, RemoteFaults, RemoteNumbers};

/// The server, and the way to it of each node.
pub(super) struct World {
    pub(super) server: Server,
    pub(super) links: Vec<Link>,
    pub(super) faults: RemoteFaults,
    pub(super) numbers: RemoteNumbers,
    /// Counts what the server has done.
    pub(super) done: u64,
}

/// The connection of one node.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) at: usize,
}

impl Wire {
    /// The listeners, while the node lives.
    fn ears(&self) -> Option<Arc<Ears>> {
        lock(&self.world).links[self.at].ears.upgrade()
    }

    /// Begins a call for names: says over which connection, and how long it is under way, there and
    /// back.
    pub(super) fn begin(&self, names: &[&[u8]]) -> Result<(u64, Duration, Duration)> {
        let world = lock(&self.world);
        let faults = world.faults;
        let mut lots = world.links[self.at].lots(CALL, names.iter().copied());
        let (cuts, restarts) =
            (lots.percent(faults.cut_percent), lots.percent(faults.restart_percent));
        let is_mild = lots.percent(50);
        let times = [(); 2].map(|()| lots.up_to(faults.delay_us_max));
        let silence = lots.silence(&faults);
        let down = lots.down(faults.down_ms_max);
        drop(world);
        if restarts && is_mild {
            self.flush();
        } else if restarts {
            self.restart();
        } else if cuts && is_mild {
            self.fall_silent(silence, down);
        } else if cuts {
            self.cut(down);
        }
        let mut world = lock(&self.world);
        if !world.links[self.at].is_up {
            world.numbers.calls_failed += 1;
            return Err(unavailable());
        }
        Ok((world.links[self.at].epoch, times[0], times[1]))
    }

    /// Fails a call whose connection was lost, at once or when its time is over.
    pub(super) async fn stand(&self, epoch: u64, deadline: Instant) -> Result<()> {
        let (is_same, is_silent) = {
            let world = lock(&self.world);
            let link = &world.links[self.at];
            (link.epoch == epoch, link.is_silent)
        };
        if is_same && is_silent {
            tokio::time::sleep_until(deadline).await;
        } else if is_same {
            return Ok(());
        }
        lock(&self.world).numbers.calls_failed += 1;
        Err(if is_same { timed_out() } else { lost() })
    }

    /// Lets the server act, and sends what it has to say to others. Returns the answer, and which
    /// messages came before it.
    pub(super) fn act<T>(
        &self,
        act: impl FnOnce(&mut Server, usize) -> (T, Vec<Told>),
    ) -> (T, u64) {
        let mut world = lock(&self.world);
        let mut told = world.server.expire(Instant::now());
        let before = world.server.counts();
        let (answer, more) = act(&mut world.server, self.at);
        let after = world.server.counts();
        world.numbers.fills += after.0 - before.0;
        world.numbers.fills_refused += after.1 - before.1;
        told.extend(more);
        let pushes = world.post(told);
        let seen = world.done;
        drop(world);
        self.send_all(pushes);
        (answer, seen)
    }

    fn send_all(&self, pushes: Vec<Push>) {
        for push in pushes {
            Self { world: self.world.clone(), at: push.to }.send(push);
        }
    }

    /// Lets a message go its way.
    fn send(self, push: Push) {
        if push.is_lost {
            // Noticed late, and not by a flawed tier.
            let Some((silence, down)) = push.gap else { return };
            tokio::spawn(async move {
                sleep(silence).await;
                self.cut_epoch(push.epoch, down);
            });
            return;
        }
        tokio::spawn(async move {
            sleep(push.delay).await;
            self.deliver(push.number, push.epoch);
            if let Some(again) = push.again {
                sleep(again).await;
                self.repeat(&push.what, push.epoch);
            }
        });
    }

    /// Tells one message, unless it was told already.
    fn deliver(&self, number: u64, epoch: u64) {
        self.tell(|world| {
            let link = &mut world.links[self.at];
            if link.epoch != epoch {
                return Vec::new();
            }
            let is_first = link.waiting.keys().next() == Some(&number);
            let what = link.waiting.remove(&number);
            world.numbers.reordered += u64::from(what.is_some() && !is_first);
            what.into_iter().collect()
        });
    }

    /// Tells a message that was told before.
    fn repeat(&self, what: &Told, epoch: u64) {
        self.tell(|world| {
            let is_same = world.links[self.at].epoch == epoch;
            world.numbers.duplicated += u64::from(is_same);
            is_same.then(|| what.clone()).into_iter().collect()
        });
    }

    /// Tells all that the server said up to then.
    pub(super) fn deliver_until(&self, seen: u64) {
        self.tell(|world| {
            let waiting = &mut world.links[self.at].waiting;
            let later = waiting.split_off(&(seen + 1));
            std::mem::replace(waiting, later).into_values().collect()
        });
    }

    /// Loses the connection if it is still the same.
    fn cut_epoch(&self, epoch: u64, down: Duration) {
        if lock(&self.world).links[self.at].epoch == epoch {
            self.cut(down);
        }
    }

    /// Loses the connection, and gets it back later.
    pub(super) fn cut(&self, down: Duration) {
        let Some(ears) = self.ears() else { return };
        let listeners = ears.lock().unwrap_or_else(PoisonError::into_inner);
        let mut world = lock(&self.world);
        world.numbers.cuts += 1;
        world.server.forget(self.at);
        let link = &mut world.links[self.at];
        link.epoch += 1;
        link.is_up = false;
        link.is_silent = false;
        link.waiting.clear();
        let epoch = link.epoch;
        drop(world);
        listeners.iter().for_each(|listener| listener.gap(false));
        drop(listeners);
        if down.is_zero() {
            self.rise(epoch);
            return;
        }
        let wire = self.clone();
        tokio::spawn(async move {
            sleep(down).await;
            wire.rise(epoch);
        });
    }

    /// Has the connection again, unless it was lost once more.
    fn rise(&self, epoch: u64) {
        let Some(ears) = self.ears() else { return };
        let listeners = ears.lock().unwrap_or_else(PoisonError::into_inner);
        let mut world = lock(&self.world);
        let link = &mut world.links[self.at];
        if link.epoch != epoch {
            return;
        }
        link.is_up = true;
        drop(world);
        listeners.iter().for_each(|listener| listener.gap(true));
    }

    /// Nothing comes through from now on, and nobody says so for a while.
    fn fall_silent(&self, silence: Duration, down: Duration) {
        let mut world = lock(&self.world);
        let link = &mut world.links[self.at];
        if !link.is_up || link.is_silent {
            return;
        }
        link.is_silent = true;
        link.waiting.clear();
        let epoch = link.epoch;
        drop(world);
        let wire = self.clone();
        tokio::spawn(async move {
            sleep(silence).await;
            wire.cut_epoch(epoch, down);
        });
    }

    /// The server begins anew, and all connections to it are lost.
    pub(super) fn restart(&self) {
        let mut world = lock(&self.world);
        world.numbers.restarts += 1;
        world.server.restart();
        let faults = world.faults;
        let down = |link: &Link| link.lots(RESTART, []).down(faults.down_ms_max);
        let downs: Vec<Duration> = world.links.iter().map(down).collect();
        drop(world);
        for (at, down) in downs.into_iter().enumerate() {
            Self { world: self.world.clone(), at }.cut(down);
        }
    }

    /// The server loses all that it holds, and says so.
    fn flush(&self) {
        let mut world = lock(&self.world);
        world.numbers.restarts += 1;
        let nodes = world.links.len();
        let told = world.server.flush(nodes);
        let pushes = world.post(told);
        drop(world);
        self.send_all(pushes);
    }

    /// Tells listeners what is taken from the world, one message after another.
    fn tell(&self, take: impl FnOnce(&mut World) -> Vec<Told>) {
        let Some(ears) = self.ears() else { return };
        let listeners = ears.lock().unwrap_or_else(PoisonError::into_inner);
        let told = take(&mut lock(&self.world));
        for what in &told {
            for listener in listeners.iter() {
                match &what.name {
                    Some((space, key)) => listener.changed(space, key),
                    None => listener.changed_all(),
                }
            }
        }
    }
}

impl World {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.faults.command_timeout_ms)
    }

    /// Puts messages on their way, and says how each goes.
    fn post(&mut self, mut told: Vec<Told>) -> Vec<Push> {
        // Names come in the order of a map, perhaps, which changes no lot then.
        told.sort_by(|one, other| (one.to, &one.name).cmp(&(other.to, &other.name)));
        let mut pushes = Vec::with_capacity(told.len());
        for what in told {
            self.done += 1;
            let link = &mut self.links[what.to];
            if !link.is_up || link.is_silent {
                self.numbers.lost += u64::from(link.is_silent);
                continue;
            }
            let push = link.push(self.done, what, &self.faults);
            self.numbers.pushes += 1;
            self.numbers.lost += u64::from(push.is_lost);
            if !push.is_lost {
                link.waiting.insert(push.number, push.what.clone());
            }
            pushes.push(push);
        }
        self.done += 1;
        pushes
    }
}

fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "the tier is not reachable").with_retry(Retry::Safe)
}

fn lost() -> Error {
    let message = "the connection to the tier was lost";
    Error::new(ErrorKind::Unavailable, message).with_retry(Retry::IfIdempotent)
}

fn timed_out() -> Error {
    let message = "the tier did not answer in time";
    Error::new(ErrorKind::Timeout, message).with_retry(Retry::IfIdempotent)
}

/// What is done under the lock leaves the world whole wherever it ends.
pub(super) fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
