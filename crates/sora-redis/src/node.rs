//! A server, connected to as long as it can be.

use std::future::poll_fn;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Context;
use std::time::Duration;

use redis::{PushInfo, PushKind};
use sora_core::remote::{RemoteName, RemoteTraffic, Slot};
use sora_core::{Error, Result};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ask::{Answer, Answered, Ask, What};
use crate::callers::Callers;
use crate::config::{Address, RedisConfig};
use crate::ears::Ears;
use crate::failure;
use crate::fetches::Keys;
use crate::few::Few;
use crate::lanes::{Admission, Count, Lanes, Part, Waiting};
use crate::link::Link;
use crate::name::Key;
use crate::wire::Driver;

/// A server. Its connection is opened, watched and opened again by a task of its own; while there is
/// none, every call fails at once.
#[derive(Debug)]
pub(crate) struct Node {
    address: Address,
    config: Arc<RedisConfig>,
    ears: Arc<Ears>,
    runtime: Handle,
    lanes: Lanes,
    state: RwLock<State>,
    /// Whether the state is up; written while it is locked.
    is_up: AtomicBool,
    links: AtomicU64,
    round_trips: AtomicU64,
    names: AtomicU64,
}

#[derive(Debug)]
enum State {
    Down(Error),
    Up(u64, Arc<Link>),
}

/// A node that is kept connected until this is dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    node: Arc<Node>,
    task: JoinHandle<()>,
}

impl Kept {
    pub(crate) fn new(
        address: Address,
        config: Arc<RedisConfig>,
        ears: Arc<Ears>,
        runtime: &Handle,
    ) -> Self {
        let node = Arc::new(Node {
            address,
            lanes: Lanes::new(config.burst_max, config.waiting_max),
            config,
            ears,
            runtime: runtime.clone(),
            state: RwLock::new(State::Down(failure::unavailable("it was not connected to yet"))),
            is_up: AtomicBool::new(false),
            links: AtomicU64::new(0),
            round_trips: AtomicU64::new(0),
            names: AtomicU64::new(0),
        });
        let task = runtime.spawn(node.clone().keep());
        Self { node, task }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
        let node = self.node.clone();
        // On a task of its own: it may be a listener that drops the last of the tier while it is told
        // something, and whoever tells does not tell two things at once.
        self.node.runtime.spawn(async move {
            node.fall(None, failure::unavailable("the tier was closed"));
        });
    }
}

impl Node {
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// What has been asked of the server.
    pub(crate) fn traffic(&self) -> RemoteTraffic {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RemoteTraffic::new(get(&self.round_trips), get(&self.names))
    }

    fn count(&self, names: usize) {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        self.names.fetch_add(names as u64, Ordering::Relaxed);
    }

    /// The connection; an error that says why there is none.
    pub(crate) fn link(&self) -> Result<Arc<Link>> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Up(_, link) => Ok(link.clone()),
            State::Down(why) => Err(why.clone()),
        }
    }

    /// Asks the server, alone if nothing is busy, else with others.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        asks: Few<Ask>,
        deadline: Instant,
    ) -> Result<Answered> {
        self.check()?;
        match self.lanes.admit(asks, deadline)? {
            // In a box, so that a call that waits is small.
            Admission::Alone(asks) => Box::pin(self.ask_alone(asks, deadline)).await,
            Admission::Waits(waiting) => answer(self.drive_if(waiting)).await,
        }
    }

    /// Looks one name up, alone if nothing is busy, else with others.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        name: &RemoteName,
        deadline: Instant,
    ) -> Result<Slot> {
        self.check()?;
        let key = Key::of(name)?;
        let admit =
            |context: &mut Context<'_>| self.lanes.fetch(&key, deadline, context.waker()).into();
        match poll_fn(admit).await? {
            Some(waiting) => {
                // A look-up that waits is small.
                drop(key);
                self.drive_if(waiting).await
            }
            None => {
                let ask = Ask::new(key, What::Fetch);
                let answered = Box::pin(self.ask_alone(Few::One(ask), deadline)).await?;
                answered.answers.into_iter().next().unwrap_or(Answer::Odd).slot()
            }
        }
    }

    async fn ask_alone(self: &Arc<Self>, asks: Few<Ask>, deadline: Instant) -> Result<Answered> {
        let _pass =
            Pass { node: self.clone(), out: Count::of(&asks), has_run: true, is_over: false };
        let link = self.link()?;
        let refs: Vec<&Ask> = asks.as_slice().iter().collect();
        self.count(refs.len());
        match tokio::time::timeout_at(deadline, link.ask(&refs, &Keys::default())).await {
            Ok(answers) => answers.map(|answers| Answered { asks, answers: answers.into() }),
            Err(_) => {
                link.doubt();
                Err(failure::timeout(self.config.command_timeout_ms))
            }
        }
    }

    /// An error that says why there is no connection, if there is none.
    fn check(&self) -> Result<()> {
        // Each call asks this: what nobody writes is read without waiting for others who read it.
        if self.is_up.load(Ordering::Acquire) { Ok(()) } else { self.link().map(drop) }
    }

    /// Asks the server, with others; what is asked is under way when this returns.
    pub(crate) fn join(
        self: &Arc<Self>,
        asks: Few<Ask>,
        deadline: Instant,
    ) -> Result<impl Future<Output = Result<Answered>> + Send + use<>> {
        self.check()?;
        let waiting = self.lanes.join(asks, deadline)?;
        Ok(answer(self.drive_if(waiting)))
    }

    fn drive_if<A>(self: &Arc<Self>, waiting: Waiting<A>) -> A {
        if waiting.opens {
            Pass::new(self).drive();
        }
        waiting.answer
    }

    /// Makes one round trip for calls that joined, and answers each in its time.
    async fn run(&self, parts: Vec<Part>) {
        let (mut callers, questions) = Callers::of(parts);
        let asks = questions.asks();
        let names = asks.len() + questions.keys.len();
        if names == 0 {
            return;
        }
        let link = match self.link() {
            Ok(link) => link,
            Err(why) => return callers.fail(&why),
        };
        self.count(names);
        let answers = {
            let mut reply = std::pin::pin!(link.ask(&asks, &questions.keys));
            loop {
                let Some(next) = callers.deadline() else {
                    link.doubt();
                    return;
                };
                tokio::select! {
                    biased;
                    answers = &mut reply => break answers,
                    () = tokio::time::sleep_until(next) => {
                        let error = failure::timeout(self.config.command_timeout_ms);
                        callers.expire(Instant::now(), &error);
                    }
                }
            }
        };
        match answers {
            Ok(answers) => callers.answer(questions, answers),
            Err(error) => callers.fail(&error),
        }
    }

    /// Connects, and connects again, for ever.
    async fn keep(self: Arc<Self>) {
        let mut pause_ms = self.config.reconnect_min_ms;
        loop {
            let number = self.links.fetch_add(1, Ordering::Relaxed);
            match self.open(number).await {
                Ok((link, mut driver)) => {
                    pause_ms = self.config.reconnect_min_ms;
                    let link = Arc::new(link);
                    self.rise(number, link.clone());
                    // Now it can be asked, too.
                    self.ears.note();
                    let why = tokio::select! {
                        () = driver.ended() => "the connection was lost",
                        why = link.watch(&self.config, || self.ears.gap()) => why,
                    };
                    self.fall(Some(number), failure::unavailable(why));
                }
                Err(error) => {
                    let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
                    *state = State::Down(error);
                }
            }
            tokio::time::sleep(Duration::from_millis(jitter(pause_ms))).await;
            pause_ms = (pause_ms * 2).clamp(1, self.config.reconnect_max_ms.max(1));
        }
    }

    async fn open(self: &Arc<Self>, number: u64) -> Result<(Link, Driver)> {
        let node = Arc::downgrade(self);
        let hear = move |info: PushInfo| {
            let Some(node) = node.upgrade() else { return };
            if info.kind == PushKind::Disconnection {
                node.fall(Some(number), failure::unavailable("the connection was lost"));
            } else {
                node.ears.hear(info);
            }
        };
        let time = Duration::from_millis(self.config.connect_timeout_ms);
        let opening = Link::open(&self.address, &self.config, &self.ears, hear);
        let opened = tokio::time::timeout(time, opening).await;
        opened.unwrap_or_else(|_| Err(failure::unavailable("no connection within its time")))
    }

    /// What was read before is suspect, and that is told before anything is read now.
    fn rise(&self, number: u64, link: Arc<Link>) {
        self.ears.rise();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        *state = State::Up(number, link);
        self.is_up.store(true, Ordering::Release);
    }

    /// Gives up a connection, or any, and tells so, once.
    fn fall(&self, number: Option<u64>, why: Error) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let is_up = matches!(&*state, State::Up(up, _) if number.is_none_or(|it| it == *up));
        if is_up {
            *state = State::Down(why);
            self.is_up.store(false, Ordering::Release);
            drop(state);
            self.ears.fall();
        }
    }
}

/// The right to one lane. Dropped, the lane goes to those who wait.
struct Pass {
    node: Arc<Node>,
    /// What is out in it.
    out: Count,
    /// Whether it was seen to run. One that never does is on a runtime that was shut down, which drops
    /// at once what it is to drive.
    has_run: bool,
    is_over: bool,
}

impl Pass {
    fn new(node: &Arc<Node>) -> Self {
        Self { node: node.clone(), out: Count::default(), has_run: false, is_over: false }
    }

    /// Makes round trips on a task of its own until nothing waits.
    fn drive(self) {
        let runtime = self.node.runtime.clone();
        runtime.spawn(self.run());
    }

    async fn run(mut self) {
        self.has_run = true;
        loop {
            // All callers that can run now join before the queue is taken.
            tokio::task::yield_now().await;
            let parts = self.node.lanes.take(std::mem::take(&mut self.out));
            if parts.is_empty() {
                self.is_over = true;
                return;
            }
            for part in &parts {
                self.out += part.count();
            }
            self.node.run(parts).await;
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if !self.has_run {
            // Nobody is driven there any more: those who wait are told so.
            return drop(self.node.lanes.close(self.out));
        }
        if self.node.lanes.leave(self.out) {
            Self::new(&self.node).drive();
        }
    }
}

async fn answer(receiver: oneshot::Receiver<Result<Answered>>) -> Result<Answered> {
    receiver.await.unwrap_or_else(|_| Err(failure::unavailable("the tier was closed")))
}

/// Between half of it and all of it, so that many clients do not come at once.
fn jitter(pause_ms: u64) -> u64 {
    pause_ms / 2 + RandomState::new().hash_one(0) % (pause_ms / 2 + 1)
}
