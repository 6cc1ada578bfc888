//! Addresses of stores, as `--store` and `SORA_STORE` give them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use sora::memory::Memory;
use sora::postgres::{Postgres, PostgresConfig};
use sora::sqlite::{Sqlite, SqliteConfig};
use sora::{Error, ErrorKind, Sora, SoraBuilder};

use crate::failure::Outcome;

/// Where the tables are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreAddress {
    /// A store of this process alone, gone at its end.
    Memory,
    /// A SQLite database of this process alone, gone at its end.
    SqliteMemory,
    /// A SQLite database in a file.
    SqliteFile(PathBuf),
    /// A database of PostgreSQL.
    Postgres(PostgresAddress),
}

/// The address of a database of PostgreSQL, which may hold a password and never shows it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PostgresAddress(String);

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing is changed, not even the journal mode of a SQLite file.
    Read,
    /// What is not there is created.
    Write,
}

impl StoreAddress {
    /// Opens the store.
    pub(crate) async fn open(&self, access: Access, builder: SoraBuilder) -> Outcome<Sora> {
        let config = match self {
            Self::Memory => return Ok(builder.provider(Arc::new(Memory::new()))),
            Self::SqliteMemory => SqliteConfig::memory(),
            Self::SqliteFile(path) => SqliteConfig::file(path)?.read_only(access == Access::Read),
            Self::Postgres(address) => {
                let store = Postgres::open(PostgresConfig::parse(&address.0)?).await?;
                return Ok(builder.provider(Arc::new(store)));
            }
        };
        Ok(builder.provider(Arc::new(Sqlite::open(config).await?)))
    }

    /// Whether what is written is gone when the program ends.
    pub(crate) fn is_private(&self) -> bool {
        matches!(self, Self::Memory | Self::SqliteMemory)
    }

    /// Returns the address of a store of the same kind in a directory; none if stores of the kind
    /// are not made of files.
    pub(crate) fn beside(&self, directory: &Path) -> Option<Self> {
        match self {
            Self::SqliteFile(_) => Some(Self::SqliteFile(directory.join("probe.db"))),
            Self::Memory | Self::SqliteMemory => Some(self.clone()),
            Self::Postgres(_) => None,
        }
    }

    /// The file, if the store is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::SqliteFile(path) => Some(path),
            Self::Memory | Self::SqliteMemory | Self::Postgres(_) => None,
        }
    }
}

const SUPPORTED: &str =
    "this build supports `sqlite:PATH`, `sqlite::memory:`, `memory:` and `postgres://…`";

impl FromStr for StoreAddress {
    type Err = Error;

    /// Reads an address. An error never repeats more of it than the scheme, because the rest may
    /// hold a password.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = |message: String| Error::new(ErrorKind::InvalidInput, message);
        let Some((scheme, rest)) = text.split_once(':') else {
            let message = format!(
                "a store address names its kind first, such as `sqlite:data.db`; {SUPPORTED}"
            );
            return Err(invalid(message));
        };
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(invalid("`memory:` takes nothing behind the colon".into())),
            "sqlite" => sqlite(rest).map_err(invalid),
            "postgres" | "postgresql" => {
                // What is wrong with it is told before anything else is done.
                PostgresConfig::parse(text)?;
                Ok(Self::Postgres(PostgresAddress(text.into())))
            }
            // The scheme is shown only if it can be one: anything else could be `user:password@…`.
            _ if is_scheme(scheme) && rest.starts_with("//") => Err(invalid(format!(
                "stores of the kind `{scheme}` are not supported; {SUPPORTED}"
            ))),
            _ => Err(invalid(format!("this is not the address of a store; {SUPPORTED}"))),
        }
    }
}

fn sqlite(rest: &str) -> Result<StoreAddress, String> {
    if rest == ":memory:" {
        return Ok(StoreAddress::SqliteMemory);
    }
    if rest.starts_with("//") && !rest.starts_with("///") {
        // Other tools disagree whether `sqlite://data.db` is beside them or at the root.
        return Err("write `sqlite:PATH`, the path as anywhere else, without `//`".into());
    }
    if rest.is_empty() {
        return Err("the path of the database is missing: `sqlite:PATH`".into());
    }
    Ok(StoreAddress::SqliteFile(rest.into()))
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '+' | '0'..='9'))
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::SqliteMemory => f.write_str("sqlite::memory:"),
            Self::SqliteFile(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PostgresConfig::parse(&self.0) {
            Ok(config) => config.fmt(f),
            Err(_) => f.write_str("postgres:"),
        }
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let file = |path: &str| StoreAddress::SqliteFile(path.into());
        for (text, expected) in [
            ("memory:", StoreAddress::Memory),
            ("sqlite::memory:", StoreAddress::SqliteMemory),
            ("sqlite:z.db", file("z.db")),
            ("sqlite:/var/z.db", file("/var/z.db")),
            ("sqlite:///var/z.db", file("///var/z.db")),
            ("sqlite:file:z.db?mode=ro", file("file:z.db?mode=ro")),
        ] {
            assert_eq!(text.parse::<StoreAddress>().expect(text), expected, "{text}");
        }
    }

    #[test]
    fn says_what_is_supported_and_never_a_password() {
        for text in [
            "postgres://ann:secret@host/db?sslmod=require",
            "postgres://ann:secret@host:port/db",
            "mysql://ann:secret@host/db",
            "ann:secret@host",
            "secret",
            "memory:secret",
            "sqlite:",
            "sqlite://secret.db",
            "",
        ] {
            let error = text.parse::<StoreAddress>().expect_err(text).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let error = "mysql://h/d".parse::<StoreAddress>().expect_err("unsupported").to_string();
        assert!(error.contains("stores of the kind `mysql` are not supported"), "{error}");
        assert!(error.contains("`sqlite:PATH`, `sqlite::memory:`, `memory:` and"), "{error}");
        let address = "postgres://ann:secret@host/db".parse::<StoreAddress>().expect("an address");
        assert_eq!(address.to_string(), "postgres://ann@host:5432/db");
        assert!(!format!("{address:?}").contains("secret"));
    }
}
