//! libpq's password file: `host:port:database:user:password` a line.

use std::path::Path;

use super::environment::Environment;
use crate::host::{Host, Password, Place};

/// A password file that can be used.
#[derive(Default)]
pub(crate) struct PasswordFile {
    text: String,
    /// Why it is not used.
    pub(crate) note: Option<String>,
}

/// libpq's file calls the socket in its own directory by this name.
const SOCKET_NAME: &str = "localhost";

impl PasswordFile {
    /// Reads the file. That it is not there says nothing, as in libpq; what others can read is not
    /// used.
    pub(crate) fn read(path: &Path, environment: &dyn Environment) -> Self {
        let shown = path.display();
        match environment.secret_file(path) {
            Ok(file) if file.is_open => Self {
                text: String::new(),
                note: Some(format!(
                    "{shown} was not used, because others may read it: chmod 600 {shown}"
                )),
            },
            Ok(file) => Self { text: file.text, note: None },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                Self { text: String::new(), note: Some(format!("{shown} was not used: {error}")) }
            }
        }
    }

    /// Returns the password of the first line that fits.
    pub(crate) fn find(
        &self,
        host: &Host,
        database: &str,
        user: &str,
        socket_directory: &str,
    ) -> Option<Password> {
        let name = match &host.place {
            Place::Tcp(name) => name.clone(),
            Place::Unix(directory) if directory == Path::new(socket_directory) => {
                SOCKET_NAME.into()
            }
            Place::Unix(directory) => directory.to_string_lossy().into_owned(),
        };
        let wanted = [&name, &host.port.to_string(), database, user];
        self.text.lines().find_map(|line| password_of(line, wanted))
    }
}

fn password_of(line: &str, wanted: [&str; 4]) -> Option<Password> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line;
    for value in wanted {
        let (raw, after) = split_field(rest)?;
        if raw != "*" && unescape(raw) != value {
            return None;
        }
        rest = after;
    }
    // What follows the fourth colon is the password, whether its own colons are escaped or not.
    Some(Password::new(unescape(rest))).filter(|password| !password.reveal().is_empty())
}

/// Splits at the first colon that no backslash escapes.
fn split_field(line: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b':' => return Some((&line[..at], &line[at + 1..])),
            _ => {}
        }
    }
    None
}

fn unescape(raw: &str) -> String {
    let mut plain = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(char) = chars.next() {
        plain.extend(if char == '\\' { chars.next() } else { Some(char) });
    }
    plain
}
