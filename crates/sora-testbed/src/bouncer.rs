//! PgBouncer between tests and a server.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpStream};

use rustix::process::Signal;

use crate::Postgres;
use crate::binary::program;
use crate::daemon::Daemon;
use crate::guard::{Guard, give, unprivileged};
use crate::port::free_port;
use crate::url::Url;

/// Another process may take the port that was just free.
const STARTS_MAX: usize = 3;

/// A PgBouncer in front of a server. Dropping it stops and removes it.
#[derive(Debug)]
pub struct PgBouncer {
    url: Url,
    daemon: Daemon,
}

/// For how long a client keeps a connection of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// Until it disconnects.
    Session,
    /// For each statement.
    Statement,
    /// For each transaction.
    Transaction,
}

impl PgBouncer {
    /// Starts one that forwards every database of a server, on a free port: a tenth of a second.
    /// Clients need no password. All else is as PgBouncer comes.
    ///
    /// # Errors
    ///
    /// Says what is missing and how to get it, or why it did not start.
    pub fn start(server: &Postgres, mode: PoolMode) -> io::Result<Self> {
        let binary = program("pgbouncer")?;
        let daemon = Daemon::new(Guard::new("pgbouncer", &[])?);
        let mut tries = 1;
        loop {
            let port = free_port()?;
            configure(&daemon, server.address(), mode, port)?;
            let mut command = unprivileged(&binary, daemon.directory());
            command.arg(daemon.directory().join("pgbouncer.ini"));
            let answers = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
            match daemon.start(command, answers) {
                Ok(()) => {
                    let url = Url::local(&server.address().user(), None, port);
                    return Ok(Self { url, daemon });
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

    /// The address of a database through it.
    pub fn url(&self, database: &str) -> String {
        self.url.clone().with_database(database).text()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.url.port()
    }

    /// Kills it with SIGKILL: all connections through it break.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn kill(&self) -> io::Result<()> {
        self.daemon.signal(Signal::KILL)?;
        self.daemon.reap()
    }
}

fn configure(daemon: &Daemon, server: &Url, mode: PoolMode, port: u16) -> io::Result<()> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let (user, password) = (server.user(), server.password());
    let credentials = match &password {
        Some(password) => format!("user={} password={}", quoted(&user), quoted(password)),
        None => format!("user={}", quoted(&user)),
    };
    let mode = match mode {
        PoolMode::Session => "session",
        PoolMode::Statement => "statement",
        PoolMode::Transaction => "transaction",
    };
    let users = daemon.directory().join("users.txt");
    let user = user.replace('"', "\"\"");
    fs::write(&users, format!("\"{user}\" \"\"\n"))?;
    let host = server.host().trim_matches(['[', ']']);
    let settings = format!(
        "[databases]\n* = host={host} port={} {credentials}\n[pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n\
         auth_file = {}\npool_mode = {mode}\nmax_client_conn = 1000\n",
        server.port(),
        users.display()
    );
    let file = daemon.directory().join("pgbouncer.ini");
    fs::write(&file, settings)?;
    [users, file].iter().try_for_each(|file| give(file))
}
