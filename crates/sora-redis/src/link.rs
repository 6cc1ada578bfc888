//! One connection to a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{Cmd, Pipeline, PushInfo, ServerError, Value};
use sora_core::{Error, ErrorKind, Result};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::ask::{Answer, Ask};
use crate::burst::{Burst, Form};
use crate::config::{Address, RedisConfig};
use crate::ears::Ears;
use crate::failure;
use crate::fetches::Keys;
use crate::held::Run;
use crate::reply::Reply;
use crate::script::Script;
use crate::wire::{Driver, Wire};

/// A connection, and what was found out about the server behind it.
#[derive(Debug)]
pub(crate) struct Link {
    wire: Wire,
    run: Run,
    /// The server can tell what happens to keys that are read.
    can_track: AtomicBool,
    /// It does so for all that is sent from now on.
    is_tracking: AtomicBool,
    ears: Arc<Ears>,
    /// It can't be relied on to tell of all.
    is_full: AtomicBool,
    is_cluster: bool,
    batch_max: usize,
    counter_time_to_live_ms: u64,
    digests: Digests,
    /// Something went wrong: it is to be seen whether the server answers.
    doubt: Notify,
}

type Digests = [Option<String>; Script::ALL.len()];

/// None of the scripts: each is sent as text.
static NO_DIGESTS: Digests = [const { None }; Script::ALL.len()];

impl Link {
    /// Connects and finds out what the server offers; two round trips.
    ///
    /// What the server tells of itself is handed to `hear`, in its order, while it is driven.
    pub(crate) async fn open(
        address: &Address,
        config: &RedisConfig,
        ears: &Arc<Ears>,
        hear: impl Fn(PushInfo) + Send + Sync + Clone + 'static,
    ) -> Result<(Self, Driver)> {
        let opened = match connect(address, config, Protocol::Resp3, hear.clone()).await? {
            Ok((wire, driver)) => (wire, driver, true),
            // An old server, or a proxy.
            Err(Refused::Greeting(error)) if matches!(error.code(), "ERR" | "NOPROTO") => {
                match connect(address, config, Protocol::Resp2, hear).await? {
                    Ok((wire, driver)) => (wire, driver, false),
                    Err(refused) => return Err(refused.error(config)),
                }
            }
            Err(refused) => return Err(refused.error(config)),
        };
        let (wire, driver, speaks_3) = opened;
        let is_heard = ears.is_heard();
        let mut replies = ask(&wire, &greeting(speaks_3, is_heard)).await?.into_iter();
        let mut next = || replies.next().unwrap_or_default();
        let (_name, _no_evict) = (next(), next());
        let server = text(next())?;
        let replication = text(next())?;
        let run = field(&server, "run_id").and_then(Run::of).ok_or_else(no_run)?;
        if !config.is_cluster && field(&replication, "role") == Some("slave") {
            return Err(failure::unavailable("the server is a replica"));
        }
        let digests = Script::ALL.map(|_| match next() {
            Value::BulkString(digest) => String::from_utf8(digest).ok(),
            Value::SimpleString(digest) => Some(digest),
            _ => None,
        });
        let can_track = speaks_3 && matches!(next(), Value::Okay);
        let link = Self {
            wire,
            run,
            can_track: AtomicBool::new(can_track),
            is_tracking: AtomicBool::new(is_heard),
            ears: ears.clone(),
            is_full: AtomicBool::new(false),
            is_cluster: config.is_cluster,
            batch_max: config.batch_max.max(1),
            counter_time_to_live_ms: config.counter_time_to_live_ms.max(1),
            digests,
            doubt: Notify::new(),
        };
        Ok((link, driver))
    }

    /// Whether the server tells what happens, to all that is read.
    pub(crate) fn tracks(&self) -> bool {
        self.can_track.load(Ordering::SeqCst) && !self.is_full.load(Ordering::SeqCst)
    }

    /// What makes the server track, if somebody listens by now. Every burst has it in front until it is
    /// known to be done, so that none that is sent after it is read without.
    fn tracking(&self) -> Option<Cmd> {
        let is_due = !self.is_tracking.load(Ordering::SeqCst)
            && self.can_track.load(Ordering::SeqCst)
            && self.ears.is_heard();
        is_due.then(track)
    }

    /// Hears whether the server tracks by now. An error if what was read behind that is not tracked
    /// though it should be.
    fn tracked(&self, reply: Option<Value>) -> Result<()> {
        match reply {
            Some(Value::Okay) => self.is_tracking.store(true, Ordering::SeqCst),
            // A server that is busy may do it the next time.
            Some(Value::ServerError(error)) if error.code() != "NOPERM" => {
                return Err(failure::of_server(&error));
            }
            // The user may no longer do what it might do when the connection was opened.
            _ => {
                if self.can_track.swap(false, Ordering::SeqCst) {
                    self.ears.gap();
                }
            }
        }
        Ok(())
    }

    /// Asks the server all that, and looks up keys, in one burst; in two if it has lost its scripts.
    /// Answers to the keys are behind those to what is asked.
    pub(crate) async fn ask(&self, asks: &[&Ask], keys: &Keys) -> Result<Vec<Answer>> {
        let mut answers = self.send(asks, keys, &self.digests).await?;
        let lost =
            |answer: &Answer| matches!(answer, Answer::Failed(error) if error.code() == "NOSCRIPT");
        let again: Vec<usize> = (0..asks.len()).filter(|at| lost(&answers[*at])).collect();
        if !again.is_empty() {
            // As text, by which the server has them again.
            let asks: Vec<&Ask> = again.iter().map(|at| asks[*at]).collect();
            for (at, answer) in
                again.into_iter().zip(self.send(&asks, &Keys::default(), &NO_DIGESTS).await?)
            {
                answers[at] = answer;
            }
        }
        if answers.iter().any(is_doubtful) {
            self.doubt();
        }
        Ok(answers)
    }

    async fn send(&self, asks: &[&Ask], keys: &Keys, digests: &Digests) -> Result<Vec<Answer>> {
        let form = Form {
            run: self.run,
            is_cluster: self.is_cluster,
            batch_max: self.batch_max,
            counter_time_to_live_ms: self.counter_time_to_live_ms,
            digests,
        };
        let mut burst = Burst::new(asks, keys, &form);
        let tracking = self.tracking();
        let (commands, count) = burst.take_commands(tracking.as_ref());
        let mut replies = self.wire.ask(&commands, count).await?;
        if tracking.is_some() {
            let first = replies.drain(..1.min(replies.len())).next();
            self.tracked(first.and_then(Reply::into_value))?;
        }
        Ok(burst.answers(replies))
    }

    /// Sends one command of another kind.
    pub(crate) async fn command(&self, words: &[&str]) -> Result<Value> {
        let mut command = Cmd::new();
        for word in words {
            command.arg(*word);
        }
        let replies = self.wire.ask(&command.get_packed_command(), 1).await?;
        match replies.into_iter().next().and_then(Reply::into_value).unwrap_or_default() {
            Value::ServerError(error) => Err(failure::of_server(&error)),
            value => Ok(value),
        }
    }

    /// Lets the server be asked at once whether it answers.
    pub(crate) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Asks the server from time to time how it is; returns why the connection is given up.
    ///
    /// `hear` is called when the server begins or ceases to tell what happens.
    pub(crate) async fn watch(&self, config: &RedisConfig, hear: impl Fn()) -> &'static str {
        let interval = Duration::from_millis(config.ping_interval_ms.max(1));
        let timeout = Duration::from_millis(config.command_timeout_ms);
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.doubt.notified() => {}
            }
            match tokio::time::timeout(timeout, self.look()).await {
                Ok(Ok(health)) if health.is_replica && !self.is_cluster => {
                    return "the server became a replica";
                }
                Ok(Ok(health)) => {
                    if self.can_track.load(Ordering::SeqCst)
                        && self.is_full.swap(health.is_full, Ordering::SeqCst) != health.is_full
                    {
                        hear();
                    }
                }
                Ok(Err(_)) => return "the connection was lost",
                Err(_) => return "the server does not answer",
            }
        }
    }

    async fn look(&self) -> Result<Health> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("INFO").arg("replication");
        pipeline.cmd("INFO").arg("stats");
        pipeline.cmd("CONFIG").arg("GET").arg(TABLE_LIMIT);
        let mut replies = ask(&self.wire, &pipeline).await?.into_iter();
        // A server that is busy, or loads its data, says so instead.
        let (replication, stats) = (replies.next(), replies.next());
        let words = |reply: Option<Value>| text(reply.unwrap_or_default()).unwrap_or_default();
        let (replication, stats) = (words(replication), words(stats));
        let keys = field(&stats, "tracking_total_keys").and_then(|keys| keys.parse().ok());
        let limit = replies.next().and_then(setting).unwrap_or(TABLE_KEYS_MAX);
        Ok(Health {
            is_replica: field(&replication, "role") == Some("slave"),
            is_full: limit != 0 && keys.unwrap_or(0_u64) >= limit / 2,
        })
    }
}

/// How a server is.
struct Health {
    is_replica: bool,
    /// More than half of what it can track is tracked.
    ///
    /// Servers leave keys out of a full table without telling the connection whose own read filled it,
    /// if it asked not to be told of itself (`NOLOOP`). Half a table is more than is read between two
    /// looks.
    is_full: bool,
}

/// The setting that limits how many keys a server tracks, and what it is if the server does not tell.
const TABLE_LIMIT: &str = "tracking-table-max-keys";
const TABLE_KEYS_MAX: u64 = 1_000_000;

/// The value of `CONFIG GET`.
fn setting(reply: Value) -> Option<u64> {
    let value = match reply {
        Value::Map(pairs) => pairs.into_iter().next()?.1,
        Value::Array(values) => values.into_iter().nth(1)?,
        _ => return None,
    };
    text(value).ok()?.parse().ok()
}

/// A replica was made of the server.
fn is_doubtful(answer: &Answer) -> bool {
    matches!(answer, Answer::Failed(error) if error.code() == "READONLY")
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Resp2,
    /// Servers tell of themselves in this one alone.
    Resp3,
}

/// What a server refused when a connection was opened.
enum Refused {
    /// Who this is, and what is spoken.
    Greeting(ServerError),
    Database,
}

/// Connects, says who this is, and takes the database. Within, why the server refuses that.
async fn connect(
    address: &Address,
    config: &RedisConfig,
    protocol: Protocol,
    hear: impl Fn(PushInfo) + Send + Sync + 'static,
) -> Result<Result<(Wire, Driver), Refused>> {
    let stream = TcpStream::connect((&*address.host, address.port)).await;
    let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    let stream = stream
        .map_err(|error| failure::unavailable("no server answers").with("cause", error.kind()))?;
    let (wire, driver) = Wire::open(stream, hear);
    let mut pipeline = Pipeline::new();
    match (protocol, &config.password) {
        (Protocol::Resp3, None) => _ = pipeline.cmd("HELLO").arg(3),
        (Protocol::Resp3, Some(password)) => {
            let user = config.user.as_deref().unwrap_or("default");
            pipeline.cmd("HELLO").arg(3).arg("AUTH").arg(user).arg(password);
        }
        (Protocol::Resp2, Some(password)) => {
            pipeline.cmd("AUTH").arg(&config.user).arg(password);
        }
        (Protocol::Resp2, None) => {}
    }
    let greetings = pipeline.len();
    if config.database != 0 {
        pipeline.cmd("SELECT").arg(config.database);
    }
    let must_do = pipeline.len();
    // Servers before 7.2 do not know these.
    pipeline.cmd("CLIENT").arg("SETINFO").arg("LIB-NAME").arg("sora");
    pipeline.cmd("CLIENT").arg("SETINFO").arg("LIB-VER").arg(env!("CARGO_PKG_VERSION"));
    let replies = ask(&wire, &pipeline).await?;
    for (place, reply) in replies.into_iter().take(must_do).enumerate() {
        match reply {
            Value::ServerError(error) if place < greetings => {
                return Ok(Err(Refused::Greeting(error)));
            }
            Value::ServerError(_) => return Ok(Err(Refused::Database)),
            _ => {}
        }
    }
    Ok(Ok((wire, driver)))
}

/// Sends commands at once.
async fn ask(wire: &Wire, pipeline: &Pipeline) -> Result<Vec<Value>> {
    let replies = wire.ask(&pipeline.get_packed_pipeline(), pipeline.len()).await?;
    Ok(replies.into_iter().map(|reply| reply.into_value().unwrap_or_default()).collect())
}

/// `CLIENT TRACKING ON`, without what this connection itself writes.
fn track() -> Cmd {
    let mut command = redis::cmd("CLIENT");
    command.arg("TRACKING").arg("ON").arg("NOLOOP");
    command
}

/// What is said first. `CLIENT TRACKING` is last, where the server may hear it at all; it is undone while
/// nobody listens, for it takes a third of the server's time for a key that is read, and memory.
fn greeting(speaks_3: bool, is_heard: bool) -> Pipeline {
    let mut pipeline = Pipeline::new();
    pipeline.cmd("CLIENT").arg("SETNAME").arg("sora");
    pipeline.cmd("CLIENT").arg("NO-EVICT").arg("ON");
    pipeline.cmd("INFO").arg("server");
    pipeline.cmd("INFO").arg("replication");
    for script in Script::ALL {
        pipeline.cmd("SCRIPT").arg("LOAD").arg(script.text());
    }
    if speaks_3 {
        pipeline.add_command(track());
        if !is_heard {
            pipeline.cmd("CLIENT").arg("TRACKING").arg("OFF");
        }
    }
    pipeline
}

impl Refused {
    fn error(&self, config: &RedisConfig) -> Error {
        let error = |message| Error::new(ErrorKind::Unavailable, message);
        match self {
            Self::Greeting(refused) if matches!(refused.code(), "WRONGPASS" | "NOAUTH") => {
                error("Redis refused the user or the password")
            }
            Self::Greeting(refused) => {
                failure::unavailable("the server refuses connections").with("code", refused.code())
            }
            Self::Database => {
                error("Redis refused the database: the address names one it does not have")
                    .with("database", config.database)
            }
        }
    }
}

fn no_run() -> Error {
    let message = "the Redis server does not tell its run_id: let the user run INFO";
    Error::new(ErrorKind::Unavailable, message)
}

fn text(value: Value) -> Result<String> {
    match value {
        Value::BulkString(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => Ok(text),
        // Who may not ask is told so; a server that is busy says that.
        Value::ServerError(error) if error.code() != "NOPERM" => Err(failure::of_server(&error)),
        _ => Err(no_run()),
    }
}

/// A field of `INFO`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}
