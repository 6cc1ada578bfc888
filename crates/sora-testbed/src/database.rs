//! Databases of tests.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::thread;

use tokio_postgres::NoTls;

use crate::Postgres;
use crate::url::Url;

/// An empty database of a random name. Dropping it drops the database, with whoever is connected.
#[derive(Debug)]
pub struct Database {
    server: Url,
    name: String,
}

impl Postgres {
    /// Creates an empty database that orders text by bytes (`C`): about 50 ms.
    ///
    /// # Errors
    ///
    /// If the server does not answer, or does not let this user create a database.
    pub fn database(&self) -> io::Result<Database> {
        self.create("LC_COLLATE 'C' LC_CTYPE 'C'", "LOCALE_PROVIDER libc")
    }

    /// Creates an empty database that orders text by an ICU locale, such as `en-US-x-icu`; needs
    /// PostgreSQL 15.
    ///
    /// # Errors
    ///
    /// As [`database`](Self::database); if the server was built without ICU, too.
    pub fn icu_database(&self, locale: &str) -> io::Result<Database> {
        let provider = format!("LOCALE_PROVIDER icu ICU_LOCALE '{}'", locale.replace('\'', "''"));
        self.create("LC_COLLATE 'C' LC_CTYPE 'C'", &provider)
    }

    /// Runs statements, separated by semicolons, in a database, and waits for their end.
    ///
    /// # Errors
    ///
    /// With what the server says.
    pub fn execute(&self, database: &str, statements: &str) -> io::Result<()> {
        execute(&self.address().clone().with_database(database), statements)
    }

    fn create(&self, locale: &str, provider: &str) -> io::Result<Database> {
        let server = self.address().clone();
        let random = RandomState::new().build_hasher().finish();
        let name = format!("sora_test_{random:016x}");
        // Older servers know no providers of locales.
        let create = |provider: &str| {
            format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {locale} {provider}")
        };
        let result = execute(&server, &create(provider));
        match result {
            Err(error) if error.to_string().contains("\"locale_provider\" not recognized") => {
                execute(&server, &create(""))?;
            }
            other => other?,
        }
        Ok(Database { server, name })
    }
}

impl Database {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address.
    pub fn url(&self) -> String {
        self.address().text()
    }

    /// Runs statements, separated by semicolons, and waits for their end.
    ///
    /// # Errors
    ///
    /// With what the server says.
    pub fn execute(&self, statements: &str) -> io::Result<()> {
        execute(&self.address(), statements)
    }

    fn address(&self) -> Url {
        self.server.clone().with_database(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server that is gone has taken its databases along.
        let _ = execute(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// Runs statements on a thread of their own, so that it can be called from everywhere: from a runtime
/// whose clock is paused, from none, and from `drop`.
fn execute(url: &Url, statements: &str) -> io::Result<()> {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let connected = tokio_postgres::connect(&url.text(), NoTls).await;
            let (client, connection) = connected.map_err(|error| said(&error))?;
            let run = async {
                let result = client.batch_execute(statements).await;
                drop(client);
                result
            };
            let (result, ended) = tokio::join!(run, connection);
            result.and(ended).map_err(|error| said(&error))
        })
    };
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// What the server said; the driver's own text is only that it said something.
fn said(error: &tokio_postgres::Error) -> io::Error {
    match error.as_db_error() {
        Some(error) => io::Error::other(format!("{} ({})", error.message(), error.code().code())),
        None => match std::error::Error::source(error) {
            Some(source) => io::Error::other(format!("{error}: {source}")),
            None => io::Error::other(error.to_string()),
        },
    }
}
