//! The process of a Redis server, its settings and its files.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::RedisSnapshot;
use super::address::Address;
use super::connection::RedisConnection;
use super::options::{RedisOptions, SETTINGS};
use super::reply::Reply;
use crate::binary::program;
use crate::daemon::Daemon;
use crate::guard::{Guard, give, unprivileged};
use crate::port::free_port;

/// Another process may take the port that was just free.
pub(super) const STARTS_MAX: usize = 3;
/// Where Redis writes what it is told to save, and looks for what it has saved.
const SNAPSHOT: &str = "dump.rdb";
/// Where it keeps each write: a base, what came since, and a list of both.
const WRITES: &str = "appendonlydir";
const BASE: &str = "appendonly.aof.1.base.rdb";
const LIST: &str = "appendonly.aof.manifest";

#[derive(Debug)]
pub(super) struct Server {
    daemon: Daemon,
    options: RedisOptions,
    lasting: Mutex<Lasting>,
}

/// What was said to a server since it was set up, and holds when it starts again.
#[derive(Clone, Copy, Debug, Default)]
struct Lasting {
    /// The port of the primary that it follows.
    primary: Option<u16>,
    /// The port that it tells its cluster, and the clients of that.
    announced: Option<u16>,
}

/// With what data a server starts again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start<'a> {
    Empty,
    Kept,
    With(&'a RedisSnapshot),
}

impl Server {
    pub(super) fn new(name: &str, options: &RedisOptions) -> io::Result<Self> {
        // Said before anything is made.
        program("redis-server")?;
        let daemon = Daemon::new(Guard::new(name, &[])?);
        let settings = settings(daemon.directory(), options);
        let server = Self { daemon, options: options.clone(), lasting: Mutex::default() };
        let file = server.path("redis.conf");
        fs::write(&file, settings)?;
        give(&file)?;
        Ok(server)
    }

    pub(super) fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    pub(super) fn options(&self) -> &RedisOptions {
        &self.options
    }

    /// Says whom it follows when it starts.
    pub(super) fn follow(&self, primary: Option<u16>) {
        self.lasting().primary = primary;
    }

    /// Says what port it tells its cluster when it starts.
    #[cfg(feature = "client")]
    pub(super) fn announce(&self, port: u16) {
        self.lasting().announced = Some(port);
    }

    /// Starts it on a free port, which is returned.
    pub(super) fn start_somewhere(&self, address: impl Fn(u16) -> Address) -> io::Result<u16> {
        let mut tries = 1;
        loop {
            let port = free_port()?;
            match self.start(&address(port)) {
                Ok(()) => return Ok(port),
                Err(error) if tries < STARTS_MAX && is_taken(&error) => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts it, and waits until it answers.
    pub(super) fn start(&self, address: &Address) -> io::Result<()> {
        let mut command = unprivileged(&program("redis-server")?, self.daemon.directory());
        command.arg(self.path("redis.conf")).args(["--port", &address.port().to_string()]);
        let Lasting { primary, announced } = *self.lasting();
        if let Some(primary) = primary {
            command.args(["--replicaof", "127.0.0.1", &primary.to_string()]);
        }
        if let Some(announced) = announced {
            command.args(["--cluster-announce-port", &announced.to_string()]);
        }
        // Written behind the port is bound: another server there is not taken for this one.
        let pid_file = self.path("pid");
        remove(&pid_file)?;
        self.daemon.start(command, || {
            let ping = || RedisConnection::open(address)?.command(&["PING"]);
            pid_file.exists() && matches!(ping(), Ok(Reply::Simple(_)))
        })
    }

    /// Puts the files in order for a start with some data.
    pub(super) fn prepare(&self, how: Start<'_>) -> io::Result<()> {
        if matches!(how, Start::Kept) {
            return Ok(());
        }
        match fs::remove_dir_all(self.path(WRITES)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => remove(&self.path(SNAPSHOT))?,
        }
        let Start::With(snapshot) = how else { return Ok(()) };
        if !self.options.is_persisted {
            return write(&self.path(SNAPSHOT), &snapshot.file);
        }
        // What keeps each write loads no snapshot, but a base of the same format.
        let writes = self.path(WRITES);
        fs::create_dir(&writes)?;
        give(&writes)?;
        write(&writes.join(BASE), &snapshot.file)?;
        write(&writes.join(LIST), format!("file {BASE} seq 1 type b\n").as_bytes())
    }

    /// Removes what was only there to start with, so that the next start finds nothing.
    pub(super) fn settle(&self) -> io::Result<()> {
        remove(&self.path(SNAPSHOT))
    }

    /// Returns what the server has saved, and removes it.
    pub(super) fn take_snapshot(&self) -> io::Result<Vec<u8>> {
        let file = fs::read(self.path(SNAPSHOT))?;
        self.settle()?;
        Ok(file)
    }

    pub(super) fn log(&self) -> String {
        let bytes = fs::read(self.daemon.log()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn lasting(&self) -> MutexGuard<'_, Lasting> {
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.daemon.directory().join(name)
    }
}

/// Whether a server did not start for its port.
pub(super) fn is_taken(error: &io::Error) -> bool {
    error.to_string().contains("Address already in use")
}

/// The text of `redis.conf`.
fn settings(directory: &Path, options: &RedisOptions) -> String {
    let pid_file = directory.join("pid").display().to_string();
    let directory = directory.display().to_string();
    let appends = if options.is_persisted { "yes" } else { "no" };
    let own = [("dir", &*directory), ("pidfile", &pid_file), ("appendonly", appends)];
    let given = options.settings.iter().map(|(name, value)| (&**name, &**value));
    let passwords = options.password.iter();
    let passwords =
        passwords.flat_map(|password| [("requirepass", &**password), ("masterauth", password)]);
    let mut text = String::new();
    for (name, value) in own.into_iter().chain(SETTINGS).chain(passwords).chain(given) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} {}", quoted(value));
    }
    for user in &options.users {
        let password = quoted(&format!(">{}", user.password));
        let _ = writeln!(text, "user {} on {password} {}", quoted(&user.name), user.rules);
    }
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    give(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
