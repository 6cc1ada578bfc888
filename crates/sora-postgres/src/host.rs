//! One server of an address.

use std::fmt;
use std::path::PathBuf;

/// A server, and the password for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) place: Place,
    pub(crate) port: u16,
    pub(crate) password: Option<Password>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A name or an address.
    Tcp(String),
    /// The directory of a Unix socket.
    Unix(PathBuf),
}

/// A secret: it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(String);

impl Host {
    pub(crate) fn new(name: &str, port: u16) -> Self {
        let place = match name.starts_with('/') {
            true => Place::Unix(name.into()),
            false => Place::Tcp(name.into()),
        };
        Self { place, port, password: None }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(name) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Place::Tcp(name) => write!(f, "{name}:{}", self.port),
            Place::Unix(directory) => write!(f, "{}:{}", directory.display(), self.port),
        }
    }
}

impl Password {
    pub(crate) fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the server alone.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
