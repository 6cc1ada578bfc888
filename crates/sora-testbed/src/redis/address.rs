//! Addresses of Redis servers, taken apart and put together.

use std::io;

use crate::url::{decode, encode};

/// The parts of `redis://user:password@host:port/database`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    user: Option<String>,
    password: Option<String>,
    host: String,
    port: u16,
    database: String,
}

impl Address {
    /// Takes an address apart.
    ///
    /// # Errors
    ///
    /// Never with the address in it: it may hold a password.
    pub(crate) fn parse(url: &str) -> io::Result<Self> {
        let parts = || {
            let rest = url.strip_prefix("redis://")?;
            let (server, database) = rest.split_once('/').unwrap_or((rest, ""));
            let (user, address) = server.rsplit_once('@').unwrap_or(("", server));
            let (user, password) = match user.split_once(':') {
                Some((user, password)) => (user, Some(decode(password))),
                None => (user, None),
            };
            let (host, port) = match address.rsplit_once(':') {
                // The last colon of an IPv6 address without a port stands within brackets.
                Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
                _ => (address, 6379),
            };
            (!host.is_empty()).then(|| Self {
                user: (!user.is_empty()).then(|| decode(user)),
                password,
                host: host.into(),
                port,
                database: database.into(),
            })
        };
        parts().ok_or_else(|| {
            let message = "the address of a server must read redis://user:password@host:port/0";
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }

    /// A server on the loopback address.
    pub(crate) fn local(password: Option<&str>, port: u16) -> Self {
        let (host, database) = ("127.0.0.1".into(), "0".into());
        Self { user: None, password: password.map(Into::into), host, port, database }
    }

    pub(crate) fn with_user(mut self, user: &str, password: &str) -> Self {
        self.user = Some(user.into());
        self.password = Some(password.into());
        self
    }

    pub(crate) fn with_address(mut self, host: &str, port: u16) -> Self {
        self.host = host.into();
        self.port = port;
        self
    }

    /// The host, an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    pub(crate) fn text(&self) -> String {
        let Self { user, password, host, port, database } = self;
        let user = user.as_deref().map(encode).unwrap_or_default();
        let password = password.as_deref().map(|password| format!(":{}", encode(password)));
        let credentials = user + &password.unwrap_or_default();
        let mark = if credentials.is_empty() { "" } else { "@" };
        format!("redis://{credentials}{mark}{host}:{port}/{database}")
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "redis://{}:{}/{}", self.host, self.port, self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_put_together() {
        for (url, text, user, password, host, port) in [
            ("redis://h", "redis://h:6379/", None, None, "h", 6379),
            ("redis://h:1/0", "redis://h:1/0", None, None, "h", 1),
            ("redis://:p%40@h:1/2", "redis://:p%40@h:1/2", None, Some("p@"), "h", 1),
            ("redis://u:p@[::1]:7/0", "redis://u:p@[::1]:7/0", Some("u"), Some("p"), "::1", 7),
        ] {
            let parsed = Address::parse(url).expect("an address");
            assert_eq!((parsed.user(), parsed.password()), (user, password), "{url}");
            assert_eq!((parsed.host(), parsed.port()), (host, port), "{url}");
            assert_eq!(parsed.text(), text);
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in ["rediss://u:secret@h", "u:secret", "redis://:secret@"] {
            let error = Address::parse(url).expect_err("no address");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let shown = format!("{:?}", Address::parse("redis://u:secret@h").expect("an address"));
        assert_eq!(shown, "redis://h:6379/");
    }
}
