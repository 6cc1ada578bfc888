//! The parameters of an address, with libpq's variables and defaults behind them.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use sora_core::{Result, unknown_name};

use super::environment::Environment;
use super::password_file::PasswordFile;
use super::url::{Address, refuse};
use super::{
    CONNECTIONS_MAX, ChannelBinding, LOOKUP_CONNECTIONS_MAX, MS_MAX, PostgresConfig, SslMode,
    SslRoot, StatementNames, TargetSession,
};
use crate::host::{Host, Password};

/// Where Debian, Red Hat and the containers put the socket.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";
const PORT: u16 = 5432;
/// libpq has no such limit; here it bounds what one connection may try.
const HOSTS_MAX: usize = 64;

/// Every parameter, with its variable.
const PARAMETERS: [(&str, &str); 26] = [
    ("acquire_timeout_ms", ""),
    ("application_name", "PGAPPNAME"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("connect_timeout_ms", ""),
    ("connections_max", ""),
    ("connections_min", ""),
    ("dbname", "PGDATABASE"),
    ("host", "PGHOST"),
    ("idle_timeout_ms", ""),
    ("lifetime_ms", ""),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("lookup_connections", ""),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("statement_timeout_ms", ""),
    ("statements", ""),
    ("statements_max", ""),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("user", "PGUSER"),
];

/// Makes a configuration of what the address, the environment and the defaults say.
pub(super) fn settle(address: Address, environment: &dyn Environment) -> Result<PostgresConfig> {
    let settings = Settings::new(address, environment)?;
    let user = match settings.text("user") {
        Some(user) => user,
        None => ["USER", "LOGNAME", "USERNAME"]
            .iter()
            .find_map(|name| environment.variable(name))
            .ok_or_else(|| {
                refuse("the address names no user; write postgres://user@host/database")
            })?,
    };
    let database = settings.text("dbname").unwrap_or_else(|| user.clone());
    let (ssl_mode, ssl_root) = settings.ssl()?;
    let mut hosts = settings.hosts()?;
    let password_note = settings.passwords(&mut hosts, &database, &user);
    let connect_timeout_ms = match settings.number("connect_timeout_ms", 0..=MS_MAX)? {
        Some(connect_timeout_ms) => Some(connect_timeout_ms),
        None => settings.number("connect_timeout", 0..=MS_MAX / 1_000)?.map(|s| s * 1_000),
    };
    let connections_max = settings.count("connections_max", 1..=CONNECTIONS_MAX)?.unwrap_or(16);
    let connections_min = settings.count("connections_min", 0..=CONNECTIONS_MAX)?.unwrap_or(0);
    if connections_min > connections_max {
        return Err(refuse(
            "connections_min is more than connections_max; lower the one or raise the other",
        ));
    }
    Ok(PostgresConfig {
        hosts,
        user,
        database,
        password_note,
        ssl_mode,
        ssl_root,
        ssl_identity: settings.ssl_identity()?,
        channel_binding: settings
            .one_of("channel_binding", &CHANNEL_BINDINGS)?
            .unwrap_or(ChannelBinding::Prefer),
        target: settings.one_of("target_session_attrs", &TARGETS)?.unwrap_or(TargetSession::Any),
        shuffle_hosts: settings.one_of("load_balance_hosts", &LOAD_BALANCE)?.unwrap_or(false),
        application_name: settings.text("application_name"),
        options: settings.text("options"),
        connections_min,
        connections_max,
        acquire_timeout_ms: settings.number("acquire_timeout_ms", 0..=MS_MAX)?.unwrap_or(30_000),
        idle_timeout_ms: settings.number("idle_timeout_ms", 0..=MS_MAX)?.unwrap_or(600_000),
        lifetime_ms: settings.number("lifetime_ms", 0..=MS_MAX)?.unwrap_or(1_800_000),
        connect_timeout_ms: connect_timeout_ms.unwrap_or(10_000),
        statement_timeout_ms: settings.number("statement_timeout_ms", 0..=MS_MAX)?.unwrap_or(0),
        statements_max: settings.count("statements_max", 1..=usize::MAX)?.unwrap_or(128),
        statements: settings.one_of("statements", &STATEMENTS)?.unwrap_or_default(),
        lookup_connections: settings
            .count("lookup_connections", 1..=LOOKUP_CONNECTIONS_MAX)?
            .unwrap_or(2),
    })
}

const TARGETS: [(&str, TargetSession); 6] = [
    ("any", TargetSession::Any),
    ("read-write", TargetSession::ReadWrite),
    ("read-only", TargetSession::ReadOnly),
    ("primary", TargetSession::Primary),
    ("standby", TargetSession::Standby),
    ("prefer-standby", TargetSession::PreferStandby),
];
const LOAD_BALANCE: [(&str, bool); 2] = [("disable", false), ("random", true)];
const STATEMENTS: [(&str, StatementNames); 3] = [
    ("auto", StatementNames::Auto),
    ("named", StatementNames::Named),
    ("unnamed", StatementNames::Unnamed),
];
const CHANNEL_BINDINGS: [(&str, ChannelBinding); 3] = [
    ("disable", ChannelBinding::Disable),
    ("prefer", ChannelBinding::Prefer),
    ("require", ChannelBinding::Require),
];
const SSL_MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// The parameters of an address before the variables of an environment.
struct Settings<'a> {
    address: Address,
    environment: &'a dyn Environment,
}

impl<'a> Settings<'a> {
    fn new(mut address: Address, environment: &'a dyn Environment) -> Result<Self> {
        let names = PARAMETERS.iter().map(|(name, _)| *name);
        for (at, (name, _)) in address.parameters.iter().enumerate() {
            if !names.clone().any(|known| known == name) {
                return Err(unknown_name("address parameter", name, names));
            }
            if address.parameters[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(refuse(&format!("the address sets {name} twice; keep one")));
            }
        }
        // libpq lets a parameter win over the part of the address that says the same.
        let mut part = |name: &str, value: Option<String>| {
            if let Some(value) = value
                && !address.parameters.iter().any(|(known, _)| known == name)
            {
                address.parameters.push((name.into(), value));
            }
        };
        part("user", address.user.take());
        part("password", address.password.take());
        part("dbname", address.database.take());
        Ok(Self { address, environment })
    }

    fn text(&self, name: &str) -> Option<String> {
        self.given(name).map(|(value, _)| value)
    }

    /// The value, and how its origin is called.
    fn given(&self, name: &str) -> Option<(String, String)> {
        let here = self.address.parameters.iter().find(|(known, _)| known == name);
        if let Some((_, value)) = here.filter(|(_, value)| !value.is_empty()) {
            return Some((value.clone(), format!("the parameter {name} of the address")));
        }
        let variable = PARAMETERS.iter().find(|(known, _)| *known == name)?.1;
        if variable.is_empty() {
            return None;
        }
        let value = self.environment.variable(variable)?;
        Some((value, format!("the variable {variable}")))
    }

    fn number(&self, name: &str, range: RangeInclusive<u32>) -> Result<Option<u32>> {
        let Some((value, origin)) = self.given(name) else { return Ok(None) };
        let number = value.trim().parse().ok().filter(|number| range.contains(number));
        let wrong = || {
            refuse(&format!("{origin} is a whole number from {} to {}", range.start(), range.end()))
        };
        number.ok_or_else(wrong).map(Some)
    }

    fn count(&self, name: &str, range: RangeInclusive<usize>) -> Result<Option<usize>> {
        let start = u32::try_from(*range.start()).unwrap_or(u32::MAX);
        let end = u32::try_from(*range.end()).unwrap_or(u32::MAX);
        let number = self.number(name, start..=end)?;
        Ok(number.and_then(|number| usize::try_from(number).ok()))
    }

    fn one_of<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let Some((value, origin)) = self.given(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == value);
        let wrong = || {
            let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            refuse(&format!("{origin} is one of {}", list.join(", ")))
        };
        found.map(|(_, meaning)| Some(*meaning)).ok_or_else(wrong)
    }

    /// The mode, and what is trusted.
    fn ssl(&self) -> Result<(SslMode, Option<SslRoot>)> {
        let mode = self.one_of("sslmode", &SSL_MODES)?;
        let root = match self.text("sslrootcert") {
            Some(root) if root == "system" => Some(SslRoot::System),
            Some(path) => Some(SslRoot::File(path.into())),
            None => self
                .environment
                .at_home(".postgresql/root.crt")
                .filter(|path| self.environment.exists(path))
                .map(SslRoot::File),
        };
        match (&root, mode) {
            // Anybody can get a certificate of a public authority: the name must be checked.
            (Some(SslRoot::System), None) => Ok((SslMode::VerifyFull, root)),
            (Some(SslRoot::System), Some(mode)) if mode != SslMode::VerifyFull => {
                Err(refuse("sslrootcert=system needs sslmode=verify-full, or no sslmode"))
            }
            (None, Some(SslMode::VerifyCa | SslMode::VerifyFull)) => Err(refuse(
                "sslmode verify-ca and verify-full need sslrootcert, the file of the certificate \
                 authority, or sslrootcert=system",
            )),
            (_, mode) => Ok((mode.unwrap_or(SslMode::Prefer), root)),
        }
    }

    /// The certificate of this side and its key.
    fn ssl_identity(&self) -> Result<Option<(PathBuf, PathBuf)>> {
        let home = |name| {
            self.environment.at_home(name).filter(|path: &PathBuf| self.environment.exists(path))
        };
        let given = |name| self.text(name).map(PathBuf::from);
        let certificate = given("sslcert").or_else(|| home(".postgresql/postgresql.crt"));
        let key = given("sslkey").or_else(|| home(".postgresql/postgresql.key"));
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (Some(_), None) => Err(refuse("there is sslcert but no sslkey; name both files")),
            (None, _) => Ok(None),
        }
    }

    fn hosts(&self) -> Result<Vec<Host>> {
        let listed = |name| {
            let value: Option<String> = self.text(name);
            value.map(|value| value.split(',').map(|item| item.trim().to_owned()).collect())
        };
        let parameter = |name: &str| self.address.parameters.iter().any(|(known, _)| known == name);
        let in_address = &self.address.hosts;
        let mut names: Vec<String> = in_address.iter().map(|(name, _)| name.clone()).collect();
        let mut ports: Vec<String> = in_address.iter().map(|(_, port)| port.clone()).collect();
        if names.iter().all(String::is_empty) || parameter("host") {
            let count = names.len();
            names = listed("host").unwrap_or_default();
            if count != names.len() {
                ports.truncate(1);
            }
        }
        if names.is_empty() {
            names.push(String::new());
        }
        if ports.iter().all(String::is_empty) || parameter("port") {
            ports = listed("port").unwrap_or_default();
        }
        if names.len() > HOSTS_MAX {
            return Err(refuse(&format!("the address names more than {HOSTS_MAX} hosts")));
        }
        if ports.len() > 1 && ports.len() != names.len() {
            return Err(refuse(
                "there is not one port for each host; name as many, or one for all",
            ));
        }
        let default = match self.environment.exists(Path::new(SOCKET_DIRECTORY)) {
            true => SOCKET_DIRECTORY,
            false => "localhost",
        };
        let one = |(at, name): (usize, &String)| {
            let port = ports.get(if ports.len() == 1 { 0 } else { at });
            let port = port_of(port.map_or("", String::as_str), at)?;
            Ok(Host::new(if name.is_empty() { default } else { name }, port))
        };
        names.iter().enumerate().map(one).collect()
    }

    /// Gives each host its password; returns why the password file was not used.
    fn passwords(&self, hosts: &mut [Host], database: &str, user: &str) -> Option<String> {
        if let Some(password) = self.text("password") {
            for host in hosts {
                host.password = Some(Password::new(password.clone()));
            }
            return None;
        }
        let path = self.text("passfile").map(PathBuf::from);
        let path = path.or_else(|| self.environment.at_home(".pgpass"))?;
        let file = PasswordFile::read(&path, self.environment);
        for host in hosts {
            host.password = file.find(host, database, user, SOCKET_DIRECTORY);
        }
        file.note
    }
}

fn port_of(port: &str, at: usize) -> Result<u16> {
    if port.is_empty() {
        return Ok(PORT);
    }
    let number = port.parse().ok().filter(|port| *port != 0);
    number.ok_or_else(|| {
        // The text is not shown: of `user:p/word@host` it is the password.
        refuse(&format!(
            "the port of host {} is not a number from 1 to 65535; if a password stands there, write \
             / @ : ? # % in it as % and two hexadecimal digits",
            at + 1
        ))
    })
}
