//! PostgreSQL servers of tests.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::process::Signal;

use crate::POSTGRES_URL;
use crate::binary::postgres_program;
use crate::daemon::{Daemon, run};
use crate::guard::{Guard, give, private_directory, unprivileged};
use crate::options::{PostgresOptions, SETTINGS};
use crate::port::free_port;
use crate::url::Url;

const USER: &str = "postgres";
/// Another process may take the port that was just free.
const STARTS_MAX: usize = 3;

/// A PostgreSQL server. Dropping one that was started stops and removes it.
#[derive(Debug)]
pub struct Postgres {
    url: Url,
    /// None for a server that was given.
    server: Option<Server>,
}

#[derive(Debug)]
struct Server {
    daemon: Daemon,
    data: PathBuf,
}

impl Postgres {
    /// Returns the server that all tests of this process share: the one that
    /// `SORA_TEST_POSTGRES_URL` names, else one that is started now (two seconds) and ends with the
    /// process. It is never killed or paused; [`start`](Self::start) one for that.
    ///
    /// # Errors
    ///
    /// Says what is missing and how to get it, or why the server did not start.
    pub fn shared() -> io::Result<&'static Self> {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = SHARED.get() {
            return Ok(shared);
        }
        let shared = match env::var(POSTGRES_URL) {
            Ok(url) => Self::given(&url)?,
            Err(_) => Self::start(&PostgresOptions::new())?,
        };
        Ok(SHARED.get_or_init(|| shared))
    }

    /// Returns a handle of a server that runs already.
    ///
    /// # Errors
    ///
    /// If the address does not read `postgres://user:password@host:port/database`.
    pub fn given(url: &str) -> io::Result<Self> {
        let error = |error| io::Error::other(format!("{POSTGRES_URL}: {error}"));
        Ok(Self { url: Url::parse(url).map_err(error)?, server: None })
    }

    /// Starts a server of one's own, with a new directory on a free port: two seconds.
    ///
    /// # Errors
    ///
    /// Says what is missing and how to get it, or why the server did not start.
    pub fn start(options: &PostgresOptions) -> io::Result<Self> {
        let initdb = postgres_program("initdb")?;
        let wal = match options.wal_in_memory {
            true => Some(private_directory("wal", Path::new("/dev/shm"))?),
            false => None,
        };
        let guard = Guard::new("postgres", wal.as_slice())?;
        let directory = guard.directory();
        let data = directory.join("data");
        let mut command = unprivileged(&initdb, directory);
        command.args(["--username", USER, "--encoding", "UTF8", "--no-sync", "--no-locale"]);
        command.arg("--pgdata").arg(&data);
        if let Some(wal) = &wal {
            command.arg("--waldir").arg(wal.join("pg_wal"));
        }
        if let Some(locale) = &options.icu_locale {
            command.args(["--locale-provider", "icu", "--icu-locale", locale]);
        }
        match &options.password {
            Some(password) => {
                let file = directory.join("password");
                fs::write(&file, password)?;
                give(&file)?;
                command.args(["--auth", "scram-sha-256"]).arg("--pwfile").arg(file);
            }
            None => {
                command.args(["--auth", "trust"]);
            }
        }
        run(command)?;
        configure(&data, options)?;
        Self::launch(guard, data, options.password.as_deref())
    }

    /// Starts a replica that follows this server, and waits until it answers: three seconds.
    ///
    /// Its primary knows it by its [`name`](Self::name), as in `synchronous_standby_names`.
    ///
    /// # Errors
    ///
    /// If this server was given, or does not run.
    pub fn replica(&self) -> io::Result<Self> {
        self.server()?;
        let guard = Guard::new("replica", &[])?;
        let directory = guard.directory();
        let data = directory.join("data");
        let mut command = unprivileged(&postgres_program("pg_basebackup")?, directory);
        let password = self.url.password();
        if let Some(password) = &password {
            command.env("PGPASSWORD", password);
        }
        let port = self.url.port().to_string();
        command.args(["--host", "127.0.0.1", "--port", &port, "--username", USER, "--no-sync"]);
        command.args(["--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast"]);
        command.arg("--pgdata").arg(&data);
        run(command)?;
        Self::launch(guard, data, password.as_deref())
    }

    /// Makes a replica a primary, and waits until it takes writes.
    ///
    /// # Errors
    ///
    /// If it is none, or does not run.
    pub fn promote(&self) -> io::Result<()> {
        let Server { daemon, data } = self.server()?;
        let mut command = unprivileged(&postgres_program("pg_ctl")?, daemon.directory());
        command.args(["promote", "--wait", "--silent", "--pgdata"]).arg(data);
        run(command)
    }

    /// The address of a database of this server.
    pub fn url(&self, database: &str) -> String {
        self.url.clone().with_database(database).text()
    }

    /// The host, as it stands in addresses.
    pub fn host(&self) -> &str {
        self.url.host()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.url.port()
    }

    /// The name of the server: its `cluster_name`, and of a replica its `application_name` too.
    pub fn name(&self) -> String {
        name(self.port())
    }

    /// The directory of the Unix socket; none if the server was given.
    pub fn socket_directory(&self) -> Option<&Path> {
        self.server.as_ref().map(|server| server.daemon.directory())
    }

    /// Kills all processes of the server with SIGKILL, as a crash does, and waits until they are gone.
    ///
    /// # Errors
    ///
    /// If it was given, or does not run.
    pub fn kill(&self) -> io::Result<()> {
        self.server()?.daemon.kill()
    }

    /// Stops the server as its administrator does: clients are told (57P01) and disconnected, and what
    /// is committed is kept.
    ///
    /// # Errors
    ///
    /// If it was given, or does not run.
    pub fn stop(&self) -> io::Result<()> {
        let Server { daemon, .. } = self.server()?;
        daemon.signal(Signal::INT)?;
        daemon.reap()
    }

    /// Starts the server again on its port, after stopping it if it runs; after
    /// [`kill`](Self::kill) it recovers first.
    ///
    /// # Errors
    ///
    /// If it was given, or does not start.
    pub fn restart(&self) -> io::Result<()> {
        let server = self.server()?;
        if server.daemon.is_running() {
            self.stop()?;
        }
        server.start(self.port())
    }

    /// Stops all processes of the server where they are (SIGSTOP): connections stay open, and nothing
    /// answers.
    ///
    /// # Errors
    ///
    /// If it was given, or does not run.
    pub fn pause(&self) -> io::Result<()> {
        self.server()?.daemon.signal_all(Signal::STOP)
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    ///
    /// If it was given, or does not run.
    pub fn resume(&self) -> io::Result<()> {
        self.server()?.daemon.signal_all(Signal::CONT)
    }

    /// What the server has written to its log; empty if it was given.
    pub fn log(&self) -> String {
        let read = |server: &Server| fs::read(server.daemon.log()).unwrap_or_default();
        let bytes = self.server.as_ref().map(read).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn address(&self) -> &Url {
        &self.url
    }

    fn server(&self) -> io::Result<&Server> {
        self.server.as_ref().ok_or_else(|| {
            let message = "this server was given to the tests and is left alone: start one with \
                           `Postgres::start`";
            io::Error::other(message)
        })
    }

    fn launch(guard: Guard, data: PathBuf, password: Option<&str>) -> io::Result<Self> {
        let server = Server { daemon: Daemon::new(guard), data };
        let mut tries = 1;
        loop {
            let port = free_port()?;
            match server.start(port) {
                Ok(()) => {
                    let url = Url::local(USER, password, port);
                    return Ok(Self { url, server: Some(server) });
                }
                Err(error) => {
                    let is_taken = error.to_string().contains("Address already in use");
                    if !is_taken || tries == STARTS_MAX {
                        return Err(error);
                    }
                }
            }
            tries += 1;
        }
    }
}

impl Server {
    fn start(&self, port: u16) -> io::Result<()> {
        let Self { daemon, data } = self;
        let mut command = unprivileged(&postgres_program("postgres")?, daemon.directory());
        command.arg("-D").arg(data).args(["-p", &port.to_string()]);
        command.args(["-c", &format!("cluster_name={}", name(port))]);
        // A killed server has left its file; the one that starts writes its own.
        let pid_file = data.join("postmaster.pid");
        let before = fs::read_to_string(&pid_file).unwrap_or_default();
        daemon.start(command, || {
            let now = fs::read_to_string(&pid_file).unwrap_or_default();
            // The eighth line says what state the server is in.
            now != before && now.lines().nth(7).is_some_and(|state| state.trim() == "ready")
        })
    }
}

fn name(port: u16) -> String {
    format!("sora_{port}")
}

/// Writes the settings of a server into its directory.
fn configure(data: &Path, options: &PostgresOptions) -> io::Result<()> {
    let sockets = data.parent().unwrap_or(data).display().to_string();
    let own = [("listen_addresses", "127.0.0.1"), ("unix_socket_directories", &sockets)];
    let given = options.settings.iter().map(|(name, value)| (&**name, &**value));
    let tls = options.tls.iter().map(|_| ("ssl", "on"));
    let mut text = String::new();
    for (name, value) in own.into_iter().chain(SETTINGS).chain(tls).chain(given) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
    }
    let file = data.join("postgresql.conf");
    let found = fs::read_to_string(&file)?;
    fs::write(&file, found + "\n" + &text)?;
    if let Some(tls) = &options.tls {
        for (name, text) in [("server.crt", &tls.certificate), ("server.key", &tls.key)] {
            use std::os::unix::fs::PermissionsExt as _;
            let file = data.join(name);
            fs::write(&file, text)?;
            give(&file)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}
