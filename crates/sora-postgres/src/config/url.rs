//! The text of an address.

use sora_core::{Error, ErrorKind, Result};

/// The parts of an address, decoded.
#[derive(Debug, Default)]
pub(crate) struct Address {
    /// Host and port as they stand there: either may be empty.
    pub(crate) hosts: Vec<(String, String)>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) parameters: Vec<(String, String)>,
}

/// What most often goes wrong: no part of the address can be shown then, it may be the password.
const REMEDY: &str = "in user, password and database each of / @ : ? # % is written as % and two \
                      hexadecimal digits, such as %40 for @";

impl Address {
    /// Splits `postgres://user:password@host:port,host:port/database?name=value&name=value`.
    pub(crate) fn parse(address: &str) -> Result<Self> {
        let rest = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| address.strip_prefix(scheme))
            .ok_or_else(|| {
                refuse(
                    "the address of a PostgreSQL database begins with postgres:// or postgresql://",
                )
            })?;
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (authority, database) = match rest.split_once('/') {
            Some((authority, database)) => (authority, Some(database)),
            None => (rest, None),
        };
        let mut parsed = Self::default();
        let hosts = match authority.rsplit_once('@') {
            Some((login, hosts)) => {
                parsed.read_login(login)?;
                hosts
            }
            None => authority,
        };
        parsed.read_hosts(hosts)?;
        if let Some(database) = database.filter(|database| !database.is_empty()) {
            if database.contains(['/', '@', '#']) {
                return Err(refuse(&format!(
                    "the name of the database in the address contains / @ or #; {REMEDY}"
                )));
            }
            parsed.database = Some(decode("database", database)?);
        }
        if let Some(query) = query {
            parsed.read_query(query)?;
        }
        Ok(parsed)
    }

    fn read_login(&mut self, login: &str) -> Result<()> {
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        if !user.is_empty() {
            self.user = Some(decode("user", user)?);
        }
        if let Some(password) = password.filter(|password| !password.is_empty()) {
            self.password = Some(decode("password", password)?);
        }
        Ok(())
    }

    fn read_hosts(&mut self, hosts: &str) -> Result<()> {
        if hosts.is_empty() {
            return Ok(());
        }
        for host in hosts.split(',') {
            let (name, port) = match host.strip_prefix('[') {
                Some(rest) => {
                    let Some((name, port)) = rest.split_once(']') else {
                        return Err(refuse("a host of the address has [ without ]"));
                    };
                    (name, port)
                }
                None => host.split_at(host.find(':').unwrap_or(host.len())),
            };
            let port = match port.strip_prefix(':') {
                Some(port) => port,
                None if port.is_empty() => "",
                None => return Err(refuse("after the ] of a host comes : and its port")),
            };
            self.hosts.push((decode("host", name)?, decode("port", port)?));
        }
        Ok(())
    }

    fn read_query(&mut self, query: &str) -> Result<()> {
        if query.contains('@') {
            // More likely a password with ? in it than a parameter.
            return Err(refuse(&format!(
                "the address has @ after ?; {REMEDY}, and in parameters too"
            )));
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(refuse("a parameter of the address has no =; write name=value"));
            };
            self.parameters.push((decode("parameter", name)?, decode("parameter", value)?));
        }
        Ok(())
    }
}

/// Returns an error of the input. Whoever calls it shows no part of the address but known names.
pub(super) fn refuse(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

/// Replaces `%41` by `A`.
fn decode(part: &str, text: &str) -> Result<String> {
    let wrong = || {
        refuse(&format!(
            "the {part} in the address is not percent-encoded UTF-8 without U+0000; {REMEDY}"
        ))
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { return Err(wrong()) };
                u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte")
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    if text.contains('\0') {
        return Err(wrong());
    }
    Ok(text)
}
