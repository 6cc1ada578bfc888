//! Opening one connection.

mod facts;

use std::error::Error as _;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sora_core::{Error, ErrorKind, Result, Retry};
use tokio::net::lookup_host;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_postgres::config::{ChannelBinding as Binding, SslMode as Mode};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::facts::Told;
use crate::cancel::{CancelKey, Canceller};
use crate::config::{ChannelBinding, PostgresConfig, SslMode, StatementNames, TargetSession};
use crate::failure::{Stage, is_refused_user, store_error};
use crate::host::{Host, Place};
use crate::link::{Limits, Link};
use crate::socket::{Address, Socket};
use crate::tls::client_config;

/// What opens connections, each to the first host that will do.
///
/// A connection counts as direct if the server sees the very addresses and ports that this socket
/// has, and works in the process whose number it gave at the start: then no pooler stands between,
/// and neither does a translation of addresses. Over a Unix socket the number of the process alone
/// must do: poolers give one of their own.
#[derive(Debug)]
pub(crate) struct Connector {
    config: PostgresConfig,
    tls: Option<Arc<ClientConfig>>,
    /// The host that did last.
    last: AtomicUsize,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// One caller at a time, any statement.
    Exclusive,
    /// Look-ups by key of many callers. Their plans do not depend on how many keys there are, so that
    /// few keys are not planned anew each time.
    Lookup,
}

impl Connector {
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the certificates cannot be read.
    pub(crate) fn new(config: PostgresConfig) -> Result<Self> {
        let tls = client_config(&config)?;
        Ok(Self { config, tls, last: AtomicUsize::new(0) })
    }

    pub(crate) fn config(&self) -> &PostgresConfig {
        &self.config
    }

    /// Opens a connection: the TCP and TLS handshakes, the log-in, and one round trip.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`], never to be retried if the server refuses the user.
    pub(crate) async fn open(&self, purpose: Purpose) -> Result<Link> {
        let passes: &[TargetSession] = match self.config.target {
            TargetSession::PreferStandby => &[TargetSession::Standby, TargetSession::Any],
            ref target => std::slice::from_ref(target),
        };
        let mut errors = Vec::new();
        for target in passes {
            for at in self.order() {
                let host = &self.config.hosts[at];
                match self.open_in_time(host, *target, purpose).await {
                    Ok(link) => {
                        self.last.store(at, Ordering::Relaxed);
                        return Ok(link);
                    }
                    Err(Refusal { error, is_final: true }) => return Err(error),
                    Err(Refusal { error, .. }) => errors.push(error),
                }
            }
        }
        Err(join(errors))
    }

    /// The hosts in the order in which they are asked.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.config.hosts.len()).collect();
        if self.config.shuffle_hosts {
            let random = RandomState::new();
            order.sort_by_cached_key(|at| random.hash_one(at));
        } else if self.needs_primary() {
            // Only one will do, so a host that does not answer need not cost every connection its
            // time.
            order.rotate_left(self.last.load(Ordering::Relaxed));
        }
        order
    }

    fn needs_primary(&self) -> bool {
        matches!(self.config.target, TargetSession::Primary | TargetSession::ReadWrite)
    }

    async fn open_in_time(
        &self,
        host: &Host,
        target: TargetSession,
        purpose: Purpose,
    ) -> Result<Link, Refusal> {
        let opened = Box::pin(self.open_host(host, target, purpose));
        let opened = match self.config.connect_timeout_ms {
            0 => opened.await,
            timeout_ms => match timeout(Duration::from_millis(timeout_ms.into()), opened).await {
                Ok(opened) => opened,
                Err(_) => {
                    let message = format!(
                        "the server did not answer in {timeout_ms} ms; see whether it is there, or \
                         raise connect_timeout_ms"
                    );
                    Err(Error::new(ErrorKind::Unavailable, message).into())
                }
            },
        };
        opened.map_err(|refusal| Refusal { error: refusal.error.with("host", host), ..refusal })
    }

    async fn open_host(
        &self,
        host: &Host,
        target: TargetSession,
        purpose: Purpose,
    ) -> Result<Link, Refusal> {
        let mut refusal = None;
        for address in resolve(host).await? {
            match self.open_address(host, &address, target, purpose).await {
                Ok(link) => return Ok(link),
                Err(last @ Refusal { is_final: true, .. }) => return Err(last),
                Err(last) => refusal = Some(last),
            }
        }
        Err(refusal.unwrap_or_else(|| unreachable("the name of the host has no address").into()))
    }

    async fn open_address(
        &self,
        host: &Host,
        address: &Address,
        target: TargetSession,
        purpose: Purpose,
    ) -> Result<Link, Refusal> {
        let is_local = matches!(address, Address::Unix(_));
        let mode = if is_local { SslMode::Disable } else { self.config.ssl_mode };
        let modes: &[Mode] = match mode {
            SslMode::Disable => &[Mode::Disable],
            SslMode::Allow => &[Mode::Disable, Mode::Require],
            SslMode::Prefer => &[Mode::Prefer, Mode::Disable],
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Mode::Require],
        };
        let mut refused = None;
        for mode in modes {
            let socket = address
                .connect()
                .await
                .map_err(|error| unreachable(NOT_REACHED).with_source(error))?;
            let addresses = socket.addresses();
            match self.log_in(host, socket, *mode).await {
                Ok(session) => {
                    let way = Way { address: address.clone(), addresses, mode: *mode };
                    return self.finish(host, session, way, target, purpose).await;
                }
                Err(error) if may_change_mode(&error) && mode != &modes[modes.len() - 1] => {
                    refused.get_or_insert(error);
                }
                // The error of the first way says more about what is wrong.
                Err(error) => return Err(self.refusal(host, refused.unwrap_or(error))),
            }
        }
        Err(unreachable("the host was not asked").into())
    }

    async fn log_in(
        &self,
        host: &Host,
        socket: Socket,
        mode: Mode,
    ) -> Result<Session, tokio_postgres::Error> {
        let mut config = Config::new();
        config.user(&self.config.user).dbname(&self.config.database).ssl_mode(mode);
        config.channel_binding(match self.config.channel_binding {
            ChannelBinding::Disable => Binding::Disable,
            ChannelBinding::Prefer => Binding::Prefer,
            ChannelBinding::Require => Binding::Require,
        });
        if let Some(password) = &host.password {
            config.password(password.reveal());
        }
        if let Some(name) = &self.config.application_name {
            config.application_name(name);
        }
        if let Some(options) = &self.config.options {
            config.options(options);
        }
        match (&self.tls, &host.place) {
            (Some(tls), Place::Tcp(name)) if mode != Mode::Disable => {
                let mut tls = MakeRustlsConnect::new(ClientConfig::clone(tls));
                let Ok(connect) = MakeTlsConnect::<Socket>::make_tls_connect(&mut tls, name);
                start(&config, socket, connect).await
            }
            _ => start(&config, socket, NoTls).await,
        }
    }

    /// Learns what there is to know, sets what is to be set, and sees whether the server will do.
    async fn finish(
        &self,
        host: &Host,
        session: Session,
        way: Way,
        target: TargetSession,
        purpose: Purpose,
    ) -> Result<Link, Refusal> {
        session.told.check_encoding().map_err(|error| Refusal { error, is_final: true })?;
        let is_plain = way.mode == Mode::Disable;
        let key = CancelKey::of(&session.client.cancel_token(), !is_plain).await;
        let process = key.as_ref().map(CancelKey::process);
        let timeout_ms = self.config.statement_timeout_ms;
        let asked =
            facts::Question { addresses: way.addresses, process, target, purpose, timeout_ms };
        let learned = asked.ask(&session.client, &session.told).await;
        let (is_direct, will_do) = learned.map_err(|error| self.refusal(host, error))?;
        if !will_do {
            let message = format!("the server is not {}", facts::wanted(target));
            return Err(unreachable(&message).into());
        }
        let tls = match (&self.tls, &host.place) {
            (Some(tls), Place::Tcp(name)) if !is_plain => {
                ServerName::try_from(name.clone()).ok().map(|name| (tls.clone(), name))
            }
            _ => None,
        };
        let needs_tls = way.mode == Mode::Require;
        let canceller = key.map(|key| Canceller { address: way.address, tls, needs_tls, key });
        let has_names = match self.config.statements {
            StatementNames::Auto => is_direct,
            StatementNames::Named => true,
            StatementNames::Unnamed => false,
        };
        let limits = Limits {
            expires: self.expiry(),
            needs_primary: self.needs_primary(),
            transaction_timeout_ms: if is_direct { 0 } else { timeout_ms },
        };
        let statements_max = has_names.then_some(self.config.statements_max);
        Ok(Link::new(session.client, session.driver, statements_max, canceller, limits))
    }

    /// When a connection that is opened now is too old: up to a tenth earlier than configured.
    fn expiry(&self) -> Option<Instant> {
        let lifetime_ms = u64::from(self.config.lifetime_ms);
        let earlier_ms = RandomState::new().hash_one(0) % (lifetime_ms / 10).max(1);
        (lifetime_ms != 0).then(|| Instant::now() + Duration::from_millis(lifetime_ms - earlier_ms))
    }

    fn refusal(&self, host: &Host, error: tokio_postgres::Error) -> Refusal {
        let is_final = is_refused_user(&error);
        let mut made = connect_error(error);
        let is_about_user = is_final || made.message().contains("password");
        if host.password.is_none() && is_about_user {
            let note = self.config.password_note.as_deref();
            made = made.with("password", note.unwrap_or("none was given"));
        }
        Refusal { error: made, is_final }
    }
}

/// Why a host will not do.
#[derive(Debug)]
struct Refusal {
    error: Error,
    /// No other host is asked.
    is_final: bool,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, is_final: false }
    }
}

/// A connection whose user is logged in.
struct Session {
    client: Client,
    driver: JoinHandle<()>,
    told: Told,
}

/// How the server was reached.
struct Way {
    address: Address,
    addresses: Option<(std::net::SocketAddr, std::net::SocketAddr)>,
    mode: Mode,
}

async fn start<T>(config: &Config, socket: Socket, tls: T) -> Result<Session, tokio_postgres::Error>
where
    T: TlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect_raw(socket, tls).await?;
    let told = Told::new(|name| connection.parameter(name));
    let driver = tokio::spawn(async move {
        // Whoever waits for an answer is told; if nobody does, nobody need know.
        let _ = connection.await;
    });
    Ok(Session { client, driver, told })
}

async fn resolve(host: &Host) -> Result<Vec<Address>> {
    match &host.place {
        Place::Tcp(name) => {
            let found = lookup_host((name.as_str(), host.port)).await.map_err(|error| {
                unreachable("the name of the host cannot be resolved; see how it is written")
                    .with_source(error)
            })?;
            Ok(found.map(Address::Tcp).collect())
        }
        Place::Unix(directory) => {
            Ok(vec![Address::Unix(directory.join(format!(".s.PGSQL.{}", host.port)))])
        }
    }
}

/// Whether the other way, with TLS or without it, may succeed.
fn may_change_mode(error: &tokio_postgres::Error) -> bool {
    is_refused_user(error) || tls_error(error).is_some()
}

fn tls_error(error: &tokio_postgres::Error) -> Option<&rustls::Error> {
    let source = error.source()?.downcast_ref::<io::Error>()?;
    source.get_ref()?.downcast_ref()
}

fn connect_error(error: tokio_postgres::Error) -> Error {
    if error.as_db_error().is_some() {
        return store_error(error, Stage::BeforeSend);
    }
    if let Some(refused) = tls_error(&error) {
        let message = format!("the TLS connection to the server is not trusted: {refused}");
        let made = Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Never);
        return made.with_source(error);
    }
    match error.source() {
        Some(source) if !source.is::<io::Error>() => {
            // What the client itself says: no TLS, no password, a signature that does not fit.
            let remedy = match &*source.to_string() {
                "server does not support TLS" => {
                    "; switch ssl on in the server, or connect without it by sslmode=prefer"
                }
                "password missing" => "; give one by PGPASSWORD, ~/.pgpass or the address",
                _ => "",
            };
            let message = format!("the connection cannot be set up: {source}{remedy}");
            Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Never).with_source(error)
        }
        _ => unreachable("the server closed the connection while it was set up").with_source(error),
    }
}

const NOT_REACHED: &str =
    "the host cannot be reached; see whether the server runs, and listens on this host and port";

fn unreachable(message: &str) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

/// One error of what all hosts said.
fn join(mut errors: Vec<Error>) -> Error {
    if errors.len() == 1
        && let Some(only) = errors.pop()
    {
        return only;
    }
    let can_help = errors.iter().any(|error| error.retry() != Retry::Never);
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let message = format!("none of the hosts will do: {}", said.join("; "));
    let joined = Error::new(ErrorKind::Unavailable, message);
    if can_help { joined } else { joined.with_retry(Retry::Never) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_asked_in_order_at_random_or_where_the_primary_was() {
        let order = |query: &str, last| {
            let address = format!("postgres://u@a,b,c,d/db?{query}");
            let config = PostgresConfig::parse(&address).expect("a configuration");
            let connector = Connector::new(config).expect("a connector");
            connector.last.store(last, Ordering::Relaxed);
            connector.order()
        };
        assert_eq!(order("", 2), [0, 1, 2, 3]);
        assert_eq!(order("target_session_attrs=standby", 2), [0, 1, 2, 3]);
        assert_eq!(order("target_session_attrs=primary", 2), [2, 3, 0, 1]);
        let shuffled: Vec<_> = (0..200).map(|_| order("load_balance_hosts=random", 0)).collect();
        for first in 0..4 {
            assert!(shuffled.iter().any(|order| order[0] == first), "{first} is never first");
        }
        for mut order in shuffled {
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3]);
        }
    }
}
