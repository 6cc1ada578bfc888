//! Addresses of PostgreSQL servers, taken apart and put together.

use std::io;

/// The parts of `postgres://user:password@host:port/database?options`, as they stand in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    user: String,
    host: String,
    port: u16,
    database: String,
    options: String,
}

impl Url {
    /// Takes an address apart.
    ///
    /// # Errors
    ///
    /// Never with the address in it: it may hold a password.
    pub(crate) fn parse(url: &str) -> io::Result<Self> {
        let parts = || {
            let rest =
                url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))?;
            let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
            let (server, database) = rest.split_once('/').unwrap_or((rest, "postgres"));
            let (user, address) = server.rsplit_once('@')?;
            let (host, port) = match address.rsplit_once(':') {
                // The last colon of an IPv6 address without a port stands within brackets.
                Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
                _ => (address, 5432),
            };
            let is_one = !host.is_empty() && !host.contains(',');
            is_one.then(|| Self {
                user: user.into(),
                host: host.into(),
                port,
                database: database.into(),
                options: options.into(),
            })
        };
        parts().ok_or_else(|| {
            let message = "the address of a server must read postgres://user@host:port/database";
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }

    /// A server on the loopback address.
    pub(crate) fn local(user: &str, password: Option<&str>, port: u16) -> Self {
        let user = match password {
            Some(password) => format!("{user}:{}", encode(password)),
            None => user.into(),
        };
        let (host, options) = (String::new(), String::new());
        let url = Self { user, host, port, database: "postgres".into(), options };
        url.with_address("127.0.0.1", port)
    }

    pub(crate) fn with_address(mut self, host: &str, port: u16) -> Self {
        self.host = host.into();
        self.port = port;
        self
    }

    pub(crate) fn with_database(mut self, database: &str) -> Self {
        self.database = database.into();
        self
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn user(&self) -> String {
        decode(self.user.split_once(':').map_or(&*self.user, |(user, _)| user))
    }

    pub(crate) fn password(&self) -> Option<String> {
        self.user.split_once(':').map(|(_, password)| decode(password))
    }

    pub(crate) fn text(&self) -> String {
        let Self { user, host, port, database, options } = self;
        let mark = if options.is_empty() { "" } else { "?" };
        format!("postgres://{user}@{host}:{port}/{database}{mark}{options}")
    }
}

pub(crate) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_put_together() {
        for (url, host, port, database) in [
            ("postgres://u@h:1/d", "h", 1, "d"),
            ("postgres://u:p%40@h:1/d?sslmode=require", "h", 1, "d"),
            ("postgres://u@[::1]:7/d", "[::1]", 7, "d"),
        ] {
            let parsed = Url::parse(url).expect("an address");
            assert_eq!((parsed.host(), parsed.port(), &*parsed.database), (host, port, database));
            assert_eq!(parsed.text(), url);
        }
        assert_eq!(Url::parse("postgresql://u@[::1]").expect("an address").port(), 5432);
        assert_eq!(Url::parse("postgres://u@h").expect("an address").database, "postgres");
    }

    #[test]
    fn a_password_is_decoded_and_never_shown() {
        let url = Url::local("u", Some("a/b:c%é"), 9);
        let again = Url::parse(&url.text()).expect("an address");
        assert_eq!(again.password().as_deref(), Some("a/b:c%é"));
        assert_eq!(again.user(), "u");
        let error = Url::parse("u:secret").expect_err("no address");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
