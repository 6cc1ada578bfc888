//! How a PostgreSQL server of a test is set up.

/// The set-up of a server: made for [`Postgres::start`](crate::Postgres::start).
///
/// As it comes: UTF-8, order by bytes (`C`), no password, no TLS, and nothing is flushed to the disk,
/// which survives a killed server but no loss of power.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) icu_locale: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) tls: Option<Tls>,
    pub(crate) wal_in_memory: bool,
}

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// What is set before the settings of the test, which win.
pub(crate) const SETTINGS: [(&str, &str); 4] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("max_connections", "200"),
    // A replica finds its primary again soon.
    ("wal_retrieve_retry_interval", "100ms"),
];

impl PostgresOptions {
    /// A set-up as it comes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a line of `postgresql.conf`, such as `synchronous_standby_names` to `*`.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Orders text by an ICU locale, such as `en-US-x-icu`, in all databases that do not say otherwise.
    pub fn icu(mut self, locale: &str) -> Self {
        self.icu_locale = Some(locale.into());
        self
    }

    /// Asks for a password (SCRAM).
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Speaks TLS with a certificate and its key, as PEM; connections without it are taken too.
    pub fn tls(mut self, certificate: &str, key: &str) -> Self {
        self.tls = Some(Tls { certificate: certificate.into(), key: key.into() });
        self
    }

    /// Keeps the log of writes in memory, so that `commit_delay` alone decides what a flush costs.
    pub fn wal_in_memory(mut self) -> Self {
        self.wal_in_memory = true;
        self
    }
}
