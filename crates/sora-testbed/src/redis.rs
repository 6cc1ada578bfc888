//! Redis servers of tests.

mod address;
mod cluster;
mod connection;
mod migration;
mod options;
mod reply;
mod server;
mod topology;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::process::Signal;

pub use cluster::RedisCluster;
pub use connection::RedisConnection;
pub use migration::SlotMigration;
pub use options::RedisOptions;
pub use reply::Reply;

use crate::REDIS_URL;
use crate::daemon::until;
use address::Address;
use server::{Server, Start};

/// The name by which a replica that was cut off asks its primary, which refuses it.
const DETACHED: &str = "detached";

/// A Redis server. Dropping one that was started stops and removes it.
#[derive(Debug)]
pub struct Redis {
    address: Address,
    /// None for a server that was given.
    server: Option<Server>,
}

/// The data that a server held at one time: made by [`Redis::snapshot`].
#[derive(Clone)]
pub struct RedisSnapshot {
    /// A file of Redis's own format.
    pub(crate) file: Vec<u8>,
}

impl Redis {
    /// Returns the server that all tests of this process share: the one that `SORA_TEST_REDIS_URL`
    /// names, else one that is started now (a tenth of a second) and ends with the process.
    ///
    /// It is never stopped, paused, flushed or configured, since others work on it: their keys begin
    /// with a [`prefix`](Self::prefix) of their own. Tests of outages, of eviction, of counted commands
    /// and of passwords [`start`](Self::start) one.
    ///
    /// # Errors
    ///
    /// Says what is missing and how to get it, or why the server did not start.
    pub fn shared() -> io::Result<&'static Self> {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = SHARED.get() {
            return Ok(shared);
        }
        let shared = match env::var(REDIS_URL) {
            Ok(url) => Self::given(&url)?,
            Err(_) => Self::start(&RedisOptions::new())?,
        };
        Ok(SHARED.get_or_init(|| shared))
    }

    /// Returns a handle of a server that runs already.
    ///
    /// # Errors
    ///
    /// If the address does not read `redis://user:password@host:port/0`.
    pub fn given(url: &str) -> io::Result<Self> {
        let error = |error| io::Error::other(format!("{REDIS_URL}: {error}"));
        Ok(Self { address: Address::parse(url).map_err(error)?, server: None })
    }

    /// Starts a server of one's own, with a new directory on a free port: a tenth of a second.
    ///
    /// # Errors
    ///
    /// Says what is missing and how to get it, or why the server did not start.
    pub fn start(options: &RedisOptions) -> io::Result<Self> {
        Self::launch("redis", options, None)
    }

    /// Starts a replica that follows this server, set up as this one was, and waits until it has its
    /// data: half a second.
    ///
    /// # Errors
    ///
    /// If this server was given, or does not run.
    pub fn replica(&self) -> io::Result<Self> {
        let options = self.server()?.options();
        let replica = Self::launch("replica", options, Some(self.port()))?;
        replica.wait_link(true)?;
        Ok(replica)
    }

    /// Cuts a replica from its primary, and waits until it is cut: it keeps what it has, so that it
    /// lags, stays a replica, and may be promoted (by its cluster, too). What it was told before it
    /// has. Until [`attach`](Self::attach) or its restart.
    ///
    /// # Errors
    ///
    /// If it is no replica, or does not run.
    pub fn detach(&self) -> io::Result<()> {
        self.server()?;
        // It connects again at once, and its primary refuses it: by a name that nobody has.
        self.command(&["CONFIG", "SET", "masteruser", DETACHED, "masterauth", DETACHED])?;
        self.command(&["CLIENT", "KILL", "TYPE", "master"])?;
        self.wait_link(false)
    }

    /// Whether a replica was cut from its primary on purpose.
    fn is_detached(&self) -> io::Result<bool> {
        let reply = self.command(&["CONFIG", "GET", "masteruser"])?;
        let value = reply.values().and_then(|values| values.last()).and_then(Reply::text);
        Ok(value == Some(DETACHED))
    }

    /// Lets a replica that was [detached](Self::detach) follow its primary again, and waits until it
    /// does.
    ///
    /// # Errors
    ///
    /// If it is no replica, or its primary does not run.
    pub fn attach(&self) -> io::Result<()> {
        self.server()?;
        let password = self.address.password().unwrap_or_default();
        self.command(&["CONFIG", "SET", "masteruser", "", "masterauth", password])?;
        self.wait_link(true)
    }

    /// Waits until a replica has all that its primary was told until now.
    ///
    /// # Errors
    ///
    /// If one of them does not run, or is not what it should be.
    pub fn catch_up(&self, primary: &Self) -> io::Result<()> {
        let offset = |redis: &Self, name: &str| {
            let offset = redis.info("replication")?.get(name).and_then(|text| text.parse().ok());
            offset.ok_or_else(|| io::Error::other(format!("INFO replication has no {name}")))
        };
        let told: u64 = offset(primary, "master_repl_offset")?;
        until("the replica has caught up", || Ok(offset(self, "slave_repl_offset")? >= told))
    }

    /// Makes a replica a primary, with the data that it has.
    ///
    /// # Errors
    ///
    /// If it was given, or does not run.
    pub fn promote(&self) -> io::Result<()> {
        let server = self.server()?;
        self.command(&["REPLICAOF", "NO", "ONE"])?;
        server.follow(None);
        Ok(())
    }

    /// Makes this server a replica of another, and waits until it has its data in the place of its own.
    ///
    /// # Errors
    ///
    /// If one of them was given, or does not run.
    pub fn follow(&self, primary: &Self) -> io::Result<()> {
        let server = self.server()?;
        primary.server()?;
        self.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()])?;
        server.follow(Some(primary.port()));
        self.wait_link(true)
    }

    /// The address, as the user that everybody is.
    pub fn url(&self) -> String {
        self.address.text()
    }

    /// The address as another user, such as one of [`RedisOptions::user`].
    pub fn url_as(&self, user: &str, password: &str) -> String {
        self.address.clone().with_user(user, password).text()
    }

    /// The address through another port of the loopback address, such as that of a proxy.
    pub fn url_through(&self, port: u16) -> String {
        self.address.clone().with_address("127.0.0.1", port).text()
    }

    /// The host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        self.address.host()
    }

    /// The port. It stays the same when the server is restarted.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A random word for the keys of one test to begin with, on a server that others use too.
    pub fn prefix() -> String {
        format!("sora_test_{:016x}", RandomState::new().build_hasher().finish())
    }

    /// Opens a connection, for a session of a test itself.
    ///
    /// # Errors
    ///
    /// If the server does not run, or does not take the password.
    pub fn connect(&self) -> io::Result<RedisConnection> {
        RedisConnection::open(&self.address)
    }

    /// Sends a command on a connection of its own, and returns its answer.
    ///
    /// # Errors
    ///
    /// If the server does not answer within ten seconds, and if its answer is an error: with its text.
    pub fn command<A: AsRef<[u8]>>(&self, words: &[A]) -> io::Result<Reply> {
        self.connect()?.command(words)
    }

    /// Returns the names and values of a section of `INFO`, such as `replication`.
    ///
    /// # Errors
    ///
    /// As [`command`](Self::command).
    pub fn info(&self, section: &str) -> io::Result<BTreeMap<String, String>> {
        let reply = self.command(&["INFO", section])?;
        let text = reply.text().ok_or_else(|| io::Error::other("INFO is no text"))?;
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        Ok(fields.map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// Returns the `run_id`, which is another one after each start.
    ///
    /// # Errors
    ///
    /// As [`command`](Self::command).
    pub fn run_id(&self) -> io::Result<String> {
        let id = self.info("server")?.remove("run_id");
        id.ok_or_else(|| io::Error::other("INFO server has no run_id"))
    }

    /// Returns how often each command ran since the start or `CONFIG RESETSTAT`, by
    /// `INFO commandstats`: names are in small letters, those of subcommands as `config|get`, and what
    /// a script called is counted too. The commands of this handle are among them: `info`, and `auth`
    /// where there is a password.
    ///
    /// # Errors
    ///
    /// As [`command`](Self::command).
    pub fn calls(&self) -> io::Result<BTreeMap<String, u64>> {
        let calls = |(name, value): (String, String)| {
            let name = name.strip_prefix("cmdstat_")?;
            let (first, _) = value.strip_prefix("calls=")?.split_once(',')?;
            Some((name.to_owned(), first.parse().ok()?))
        };
        Ok(self.info("commandstats")?.into_iter().filter_map(calls).collect())
    }

    /// Returns all that the server holds now; it answers nobody meanwhile.
    ///
    /// # Errors
    ///
    /// If it was given, or does not run.
    pub fn snapshot(&self) -> io::Result<RedisSnapshot> {
        let server = self.server()?;
        self.command(&["SAVE"])?;
        server.take_snapshot().map(|file| RedisSnapshot { file })
    }

    /// Kills the server with SIGKILL, as a crash does, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// If it was given, or does not run.
    pub fn kill(&self) -> io::Result<()> {
        self.server()?.daemon().kill()
    }

    /// Stops the server as its administrator does: connections are closed, and it keeps its data only
    /// if it was started as [`persisted`](RedisOptions::persisted).
    ///
    /// # Errors
    ///
    /// If it was given, or does not run.
    pub fn stop(&self) -> io::Result<()> {
        let daemon = self.server()?.daemon();
        daemon.signal(Signal::TERM)?;
        // One that was paused ends, too.
        daemon.signal(Signal::CONT)?;
        daemon.reap()
    }

    /// Starts the server again on its port, after stopping it if it runs: with its data if it was
    /// started as [`persisted`](RedisOptions::persisted), empty otherwise.
    ///
    /// # Errors
    ///
    /// If it was given, or does not start.
    pub fn restart(&self) -> io::Result<()> {
        self.start_again(Start::Kept)
    }

    /// Starts the server again on its port, after stopping it if it runs, without any data.
    ///
    /// # Errors
    ///
    /// If it was given, or does not start.
    pub fn restart_empty(&self) -> io::Result<()> {
        self.start_again(Start::Empty)
    }

    /// Starts the server again on its port, after stopping it if it runs, with the data of a snapshot:
    /// it forgets what was written since.
    ///
    /// # Errors
    ///
    /// If it was given, or does not start.
    pub fn restart_with(&self, snapshot: &RedisSnapshot) -> io::Result<()> {
        self.start_again(Start::With(snapshot))
    }

    /// Stops the server where it is (SIGSTOP): connections stay open, and nothing answers.
    ///
    /// # Errors
    ///
    /// If it was given, or does not run.
    pub fn pause(&self) -> io::Result<()> {
        self.server()?.daemon().signal_all(Signal::STOP)
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    ///
    /// If it was given, or does not run.
    pub fn resume(&self) -> io::Result<()> {
        self.server()?.daemon().signal_all(Signal::CONT)
    }

    /// Whether the server was started and neither stopped nor killed since, by this handle.
    pub fn is_running(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.daemon().is_running())
    }

    /// What the server has written to its log; empty if it was given.
    pub fn log(&self) -> String {
        self.server.as_ref().map(Server::log).unwrap_or_default()
    }

    fn launch(name: &str, options: &RedisOptions, primary: Option<u16>) -> io::Result<Self> {
        let server = Server::new(name, options)?;
        server.follow(primary);
        let password = options.password.as_deref();
        let port = server.start_somewhere(|port| Address::local(password, port))?;
        Ok(Self { address: Address::local(password, port), server: Some(server) })
    }

    fn start_again(&self, how: Start<'_>) -> io::Result<()> {
        let server = self.server()?;
        if server.daemon().is_running() {
            self.stop()?;
        }
        server.prepare(how)?;
        server.start(&self.address)?;
        server.settle()
    }

    /// Waits until the link of a replica to its primary is up, or down.
    fn wait_link(&self, is_up: bool) -> io::Result<()> {
        let expected = if is_up { "up" } else { "down" };
        until(&format!("the replica's link is {expected}"), || {
            let info = self.info("replication")?;
            let status = info.get("master_link_status");
            let status = status.ok_or_else(|| io::Error::other("this server is no replica"))?;
            Ok(status == expected)
        })
    }

    fn server(&self) -> io::Result<&Server> {
        self.server.as_ref().ok_or_else(|| {
            let message = "this server was given to the tests and is left alone: start one with \
                           `Redis::start`";
            io::Error::other(message)
        })
    }
}

impl fmt::Debug for RedisSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisSnapshot({} bytes)", self.file.len())
    }
}
