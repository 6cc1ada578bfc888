//! How a Redis server of a test is set up.

use std::fmt;

/// The set-up of a server: made for [`Redis::start`](crate::Redis::start).
///
/// As it comes: no password, no limit of memory, and nothing is kept when it ends.
#[derive(Clone, Default)]
pub struct RedisOptions {
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) users: Vec<User>,
    pub(crate) password: Option<String>,
    pub(crate) is_persisted: bool,
}

/// A user besides the one that everybody is.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) rules: String,
}

/// What is set before the settings of the test, which win.
pub(crate) const SETTINGS: [(&str, &str); 8] = [
    ("bind", "127.0.0.1"),
    ("save", ""),
    // Survives a killed process, though no loss of power.
    ("appendfsync", "no"),
    ("enable-debug-command", "local"),
    // Redis waits for replicas ten seconds otherwise, when it is told to end.
    ("shutdown-timeout", "0"),
    // A replica is served at once, and leaves no file behind that a restart would find.
    ("repl-diskless-sync-delay", "0"),
    ("rdb-del-sync-files", "yes"),
    // A replica that hears nothing of its primary says so soon.
    ("repl-ping-replica-period", "1"),
];

impl RedisOptions {
    /// A set-up as it comes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a line of `redis.conf`, such as `tracking-table-max-keys` to `10`.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Asks everybody for a password (`requirepass`).
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Adds a user with a password and rules, such as `~app:* &* +@all -@dangerous`; see
    /// [`Redis::url_as`](crate::Redis::url_as).
    pub fn user(mut self, name: &str, password: &str, rules: &str) -> Self {
        let user = User { name: name.into(), password: password.into(), rules: rules.into() };
        self.users.push(user);
        self
    }

    /// Limits the memory, and says what happens behind the limit: a `maxmemory-policy`, such as
    /// `allkeys-lru` or `noeviction`.
    pub fn memory(self, policy: &str, bytes_max: u64) -> Self {
        self.set("maxmemory", &bytes_max.to_string()).set("maxmemory-policy", policy)
    }

    /// Keeps each write (in an append-only file), so that a server that was killed or stopped comes
    /// back with all its data.
    pub fn persisted(mut self) -> Self {
        self.is_persisted = true;
        self
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users: Vec<&str> = self.users.iter().map(|user| &*user.name).collect();
        f.debug_struct("RedisOptions")
            .field("settings", &self.settings)
            .field("users", &users)
            .field("has_password", &self.password.is_some())
            .field("is_persisted", &self.is_persisted)
            .finish()
    }
}
