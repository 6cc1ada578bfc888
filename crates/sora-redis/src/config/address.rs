//! Addresses as text.

use std::fmt;

use sora_core::{Error, ErrorKind, Result};

use super::malformed;

const PORT: u16 = 6_379;
/// As many nodes as anybody lists to find a cluster.
const NODES_MAX: usize = 1_024;

/// Host and port of a server.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
}

/// What an address says.
#[derive(PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) addresses: Vec<Address>,
    pub(super) is_cluster: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: u32,
}

impl Parts {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| malformed("it has no scheme"))?;
        let is_cluster = match scheme {
            "redis" | "valkey" => false,
            "redis+cluster" | "valkey+cluster" => true,
            "rediss" | "valkeys" | "rediss+cluster" | "valkeys+cluster" => {
                let message = "encrypted connections to Redis are not supported yet: use redis://, \
                               through a tunnel where the network is not trusted";
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            _ => return Err(malformed("its scheme is not redis or redis+cluster")),
        };
        let (before, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains(['?', '#']) || before.contains(['?', '#']) {
            return Err(malformed("it takes no options; a # or ? of a password is %23 or %3F"));
        }
        let (login, hosts) = match before.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, before),
        };
        let (user, password) = match login.map(|login| login.split_once(':')) {
            None => (None, None),
            Some(None) => return Err(malformed("a user needs a password")),
            Some(Some((user, password))) => (decode(user)?, decode(password)?),
        };
        if user.is_some() && password.is_none() {
            return Err(malformed("a user needs a password"));
        }
        let database = match path.trim_end_matches('/') {
            "" => 0,
            text => text.parse().map_err(|_| malformed("its database is not a number"))?,
        };
        if is_cluster && database != 0 {
            return Err(malformed("a cluster has database 0 alone"));
        }
        let addresses: Vec<Address> =
            hosts.split(',').map(Address::parse).collect::<Result<_>>()?;
        if !is_cluster && addresses.len() > 1 {
            return Err(malformed("several servers are redis+cluster://"));
        }
        if addresses.len() > NODES_MAX {
            return Err(malformed("it lists too many servers"));
        }
        Ok(Self { addresses, is_cluster, user, password, database })
    }
}

impl Address {
    /// Reads `host:port`, `host`, `[address]:port`, as Redis writes `address:port` of IPv6 without
    /// brackets, too.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or("-"))),
            None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None => PORT,
            Some(port) => port.parse().map_err(|_| malformed("a port is not a number"))?,
        };
        if host.is_empty() || port == 0 {
            return Err(malformed("a host or port is missing"));
        }
        Ok(Self { host: host.into(), port })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Reads `%2F` as a byte; nothing is none.
fn decode(text: &str) -> Result<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        if *byte != b'%' {
            bytes.push(*byte);
            rest = behind;
            continue;
        }
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| malformed("a % is not followed by two digits"))?);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).map(Some).map_err(|_| malformed("user or password is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match Parts::parse(text) {
            Ok(parts) => {
                let Parts { addresses, is_cluster, user, password, database } = parts;
                format!("{addresses:?} {is_cluster} {user:?} {password:?} {database}")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn addresses_are_read() {
        for (text, expected) in [
            ("redis://a", "[a:6379] false None None 0"),
            ("redis://a:1/2", "[a:1] false None None 2"),
            ("redis://[::1]:1/", "[::1:1] false None None 0"),
            ("redis://:p%40w@a", r#"[a:6379] false None Some("p@w") 0"#),
            ("redis://u:p:w@a:1", r#"[a:1] false Some("u") Some("p:w") 0"#),
            ("redis+cluster://u:p@a,b:2", r#"[a:6379, b:2] true Some("u") Some("p") 0"#),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_malformed_address_is_refused_without_its_password() {
        for (text, part) in [
            ("a:1", "no scheme"),
            ("http://a", "scheme is not redis"),
            ("rediss://:secret@a", "not supported yet"),
            ("redis://:secret@a:x", "port"),
            ("redis://:secret@", "host"),
            ("redis://:secret@a,b", "redis+cluster"),
            ("redis://secret@a", "needs a password"),
            ("redis://:secret%@a", "two digits"),
            ("redis://:sec#ret@a", "%23"),
            ("redis://:sec?ret@a/1", "%3F"),
            ("redis://:secret@a/b", "database"),
            ("redis+cluster://:secret@a/1", "database 0"),
        ] {
            let said = read(text);
            assert!(said.contains(part) && !said.contains("secret"), "{text}: {said}");
        }
    }
}
