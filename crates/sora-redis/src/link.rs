//! One connection to a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, ProtocolVersion, PushInfo, RedisConnectionInfo,
    RedisError, Value,
};
use sora_core::{Error, ErrorKind, Result};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::ask::{Answer, Ask};
use crate::burst::{Burst, Form};
use crate::config::{Address, RedisConfig};
use crate::ears::Ears;
use crate::failure;
use crate::fetches::Keys;
use crate::held::Run;
use crate::script::Script;

/// A connection, and what was found out about the server behind it.
#[derive(Debug)]
pub(crate) struct Link {
    connection: MultiplexedConnection,
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

/// What drives a connection. Dropped, the connection is closed.
#[derive(Debug)]
pub(crate) struct Driver(JoinHandle<()>);

impl Link {
    /// Connects and finds out what the server offers; two round trips.
    ///
    /// What the server tells of itself is handed to `hear`, in its order, while it is driven.
    pub(crate) async fn open(
        address: &Address,
        config: &RedisConfig,
        ears: &Arc<Ears>,
        hear: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + Clone + 'static,
    ) -> Result<(Self, Driver)> {
        let (mut connection, driver, speaks_3) = match connect(address, config, Some(hear)).await {
            // An old server, or a proxy.
            Err(error) if is_unknown_protocol(&error) => {
                let silent = None::<fn(PushInfo) -> Result<(), ()>>;
                let (connection, driver) =
                    connect(address, config, silent).await.map_err(|e| of_opening(&e))?;
                (connection, driver, false)
            }
            other => {
                let (connection, driver) = other.map_err(|error| of_opening(&error))?;
                (connection, driver, true)
            }
        };
        let is_heard = ears.is_heard();
        let pipeline = greeting(speaks_3, is_heard);
        let count = pipeline.len();
        let replies = connection.send_packed_commands(&pipeline, 0, count).await;
        let mut replies = replies.map_err(|error| failure::of_connection(&error))?.into_iter();
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
            connection,
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
        let mut connection = self.connection.clone();
        let tracking = self.tracking();
        let replies = if let Some(command) = burst.only().filter(|_| tracking.is_none()) {
            connection.send_packed_command(command).await.map(|reply| vec![reply])
        } else {
            let is_due = tracking.is_some();
            let pipeline = burst.take_pipeline(tracking);
            let count = pipeline.len();
            let mut replies = connection.send_packed_commands(&pipeline, 0, count).await;
            if let Ok(replies) = &mut replies
                && is_due
            {
                self.tracked(replies.drain(..1.min(replies.len())).next())?;
            }
            replies
        };
        match replies {
            Ok(replies) => Ok(burst.answers(replies)),
            Err(error) => Err(failure::of_connection(&error)),
        }
    }

    /// Sends one command of another kind.
    pub(crate) async fn command(&self, words: &[&str]) -> Result<Value> {
        let mut command = Cmd::new();
        for word in words {
            command.arg(*word);
        }
        let reply = self.connection.clone().send_packed_command(&command).await;
        match reply.map_err(|error| failure::of_connection(&error))? {
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
        let replies = self.connection.clone().send_packed_commands(&pipeline, 0, 3).await;
        let mut replies = replies.map_err(|error| failure::of_connection(&error))?.into_iter();
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

/// What is read from a connection at a time.
const READ_BYTES_MAX: usize = 64 * 1024;

async fn connect<H>(
    address: &Address,
    config: &RedisConfig,
    hear: Option<H>,
) -> Result<(MultiplexedConnection, Driver), RedisError>
where
    H: Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
{
    let stream = TcpStream::connect((&*address.host, address.port)).await?;
    stream.set_nodelay(true)?;
    let protocol = if hear.is_some() { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 };
    let mut info = RedisConnectionInfo::default()
        .set_protocol(protocol)
        .set_db(i64::from(config.database))
        .set_lib_name("sora", env!("CARGO_PKG_VERSION"));
    if let Some(user) = &config.user {
        info = info.set_username(user);
    }
    if let Some(password) = &config.password {
        info = info.set_password(password);
    }
    // What bounds a call is the time of the whole call.
    let mut settings =
        AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    if let Some(hear) = hear {
        settings = settings.set_push_sender(hear);
    }
    // The client reads 8 KiB at a time: a reply to many names would be several calls of the system.
    let stream = BufReader::with_capacity(READ_BYTES_MAX, stream);
    let (connection, driver) =
        MultiplexedConnection::new_with_config(&info, stream, settings).await?;
    Ok((connection, Driver(tokio::spawn(driver))))
}

/// Whether it may be `HELLO` that the server does not know.
fn is_unknown_protocol(error: &RedisError) -> bool {
    let is_refused = matches!(error.code(), Some("ERR" | "NOPROTO"));
    is_refused || error.kind() == redis::ErrorKind::RESP3NotSupported
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

fn of_opening(error: &RedisError) -> Error {
    if error.kind() == redis::ErrorKind::AuthenticationFailed {
        return Error::new(ErrorKind::Unavailable, "Redis refused the user or the password");
    }
    failure::unavailable("no server answers").with("cause", error.category())
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

impl Driver {
    /// Waits until the connection has ended.
    pub(crate) async fn ended(&mut self) {
        // A panic of it ends the connection, too.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
