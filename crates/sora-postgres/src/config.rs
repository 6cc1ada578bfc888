//! How a database is reached.

mod environment;
mod parameter;
mod password_file;
mod url;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use sora_core::Result;

pub(crate) use self::environment::Environment;
use self::environment::ProcessEnvironment;
use crate::host::Host;

/// Where the database is, who connects, and what limits hold.
///
/// An address is `postgres://user:password@host:port/database?parameter=value`, or the same with
/// `postgresql://`. Every part may be absent, and several hosts may be named:
/// `postgres://one:5432,two:5433/app?target_session_attrs=read-write`. What the address does not say
/// is taken from libpq's environment, then from its defaults:
///
/// | parameter | variable | default |
/// | --- | --- | --- |
/// | `host` | `PGHOST` | the socket in `/var/run/postgresql` if it is there, else `localhost` |
/// | `port` | `PGPORT` | 5432 |
/// | `dbname` | `PGDATABASE` | the user |
/// | `user` | `PGUSER` | the user of the operating system |
/// | `password` | `PGPASSWORD` | from `passfile` |
/// | `passfile` | `PGPASSFILE` | `~/.pgpass` |
/// | `sslmode` | `PGSSLMODE` | `prefer` |
/// | `sslrootcert` | `PGSSLROOTCERT` | `~/.postgresql/root.crt`; `system` is the roots of the system |
/// | `sslcert`, `sslkey` | `PGSSLCERT`, `PGSSLKEY` | `~/.postgresql/postgresql.crt` and `.key` if they are there |
/// | `channel_binding` | `PGCHANNELBINDING` | `prefer` |
/// | `target_session_attrs` | `PGTARGETSESSIONATTRS` | `any` |
/// | `load_balance_hosts` | `PGLOADBALANCEHOSTS` | `disable`; `random` shuffles |
/// | `connect_timeout` | `PGCONNECT_TIMEOUT` | 10, in seconds and for each host; 0 is none |
/// | `application_name` | `PGAPPNAME` | none |
/// | `options` | `PGOPTIONS` | none |
///
/// The rest is Sora's own and has a setter of the same name: `connections_min`, `connections_max`,
/// `acquire_timeout_ms`, `idle_timeout_ms`, `lifetime_ms`, `connect_timeout_ms`,
/// `statement_timeout_ms`, `statements_max`, `statements` and `lookup_connections`.
///
/// Neither `Debug` nor `Display` nor any error shows a password.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// At least one.
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) database: String,
    /// Why the password file was not used, to be told when the server refuses the user.
    pub(crate) password_note: Option<String>,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ssl_root: Option<SslRoot>,
    /// This side's certificate and its key.
    pub(crate) ssl_identity: Option<(PathBuf, PathBuf)>,
    pub(crate) channel_binding: ChannelBinding,
    pub(crate) target: TargetSession,
    pub(crate) shuffle_hosts: bool,
    pub(crate) application_name: Option<String>,
    pub(crate) options: Option<String>,
    pub(crate) connections_min: usize,
    pub(crate) connections_max: usize,
    pub(crate) acquire_timeout_ms: u32,
    pub(crate) idle_timeout_ms: u32,
    pub(crate) lifetime_ms: u32,
    pub(crate) connect_timeout_ms: u32,
    pub(crate) statement_timeout_ms: u32,
    pub(crate) statements_max: usize,
    pub(crate) statements: StatementNames,
    pub(crate) lookup_connections: usize,
}

/// Whether statements are prepared under a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatementNames {
    /// If the connection is proved direct: the server sees this socket's own addresses, so that no
    /// pooler stands between. The default.
    #[default]
    Auto,
    /// Always. Right behind a pooler in session mode, one that tracks prepared statements (PgBouncer
    /// 1.21 with `max_prepared_statements`), and behind a translation of addresses.
    Named,
    /// Never: each statement is parsed anew, in the same round trip.
    Unnamed,
}

/// How TLS is used, as libpq has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Which certificate authorities are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SslRoot {
    File(PathBuf),
    System,
}

/// Whether the log-in must be bound to the TLS connection, so that nobody can stand between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelBinding {
    Disable,
    Prefer,
    Require,
}

/// Which servers will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetSession {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl PostgresConfig {
    /// Reads an address; what it does not say comes from the environment and from the password file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](sora_core::ErrorKind::InvalidInput) if it is not such an address;
    /// the error names the part and the remedy.
    pub fn parse(address: &str) -> Result<Self> {
        Self::parse_in(address, &ProcessEnvironment)
    }

    /// The same in a given environment.
    pub(crate) fn parse_in(address: &str, environment: &dyn Environment) -> Result<Self> {
        parameter::settle(url::Address::parse(address)?, environment)
    }

    /// Sets how many connections are kept open even when nothing happens: 0 by default, at most
    /// `connections_max`.
    pub fn connections_min(mut self, connections_min: usize) -> Self {
        self.connections_min = connections_min;
        self
    }

    /// Sets how many connections are open at most, 1 to 10,000; 16 by default. Those of
    /// [`lookup_connections`](Self::lookup_connections) are not among them.
    pub fn connections_max(mut self, connections_max: usize) -> Self {
        self.connections_max = connections_max.clamp(1, CONNECTIONS_MAX);
        self
    }

    /// Sets how long a caller waits for a connection, its opening included: 30,000 by default.
    pub fn acquire_timeout_ms(mut self, acquire_timeout_ms: u32) -> Self {
        self.acquire_timeout_ms = acquire_timeout_ms;
        self
    }

    /// Sets how long an unused connection stays open: 600,000 by default, 0 is for ever.
    pub fn idle_timeout_ms(mut self, idle_timeout_ms: u32) -> Self {
        self.idle_timeout_ms = idle_timeout_ms;
        self
    }

    /// Sets how old a connection gets: 1,800,000 by default, 0 is without end. Each gets up to a tenth
    /// less, so that they are not all replaced at once.
    pub fn lifetime_ms(mut self, lifetime_ms: u32) -> Self {
        self.lifetime_ms = lifetime_ms;
        self
    }

    /// Sets how long connecting to one host may take, TLS and log-in included: 10,000 by default, 0 is
    /// without end.
    pub fn connect_timeout_ms(mut self, connect_timeout_ms: u32) -> Self {
        self.connect_timeout_ms = connect_timeout_ms;
        self
    }

    /// Sets after what time the server ends a statement: 0 by default, which leaves it to the role and
    /// the server. Behind a pooler it holds inside transactions only: elsewhere a setting would stay
    /// on a connection that others use.
    pub fn statement_timeout_ms(mut self, statement_timeout_ms: u32) -> Self {
        self.statement_timeout_ms = statement_timeout_ms.min(MS_MAX);
        self
    }

    /// Sets how many prepared statements each connection keeps: 128 by default, at least 1.
    pub fn statements_max(mut self, statements_max: usize) -> Self {
        self.statements_max = statements_max.max(1);
        self
    }

    /// Sets whether statements are prepared under a name: [`StatementNames::Auto`] by default.
    pub fn statements(mut self, statements: StatementNames) -> Self {
        self.statements = statements;
        self
    }

    /// Sets how many more connections are shared by look-ups of single keys, 1 to 64; 2 by default.
    pub fn lookup_connections(mut self, lookup_connections: usize) -> Self {
        self.lookup_connections = lookup_connections.clamp(1, LOOKUP_CONNECTIONS_MAX);
        self
    }
}

/// More would be more than a server holds.
pub(crate) const CONNECTIONS_MAX: usize = 10_000;
const LOOKUP_CONNECTIONS_MAX: usize = 64;
/// The server's own limit of a time in milliseconds.
const MS_MAX: u32 = i32::MAX.cast_unsigned();

impl fmt::Display for PostgresConfig {
    /// The address without password and parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@", self.user)?;
        for (at, host) in self.hosts.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{host}")?;
        }
        write!(f, "/{}", self.database)
    }
}
