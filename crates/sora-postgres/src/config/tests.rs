use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use sora_core::ErrorKind;

use super::environment::{Environment, SecretFile};
use super::*;
use crate::host::Password;

/// Variables and files as a test has them.
#[derive(Default)]
struct Made {
    variables: HashMap<&'static str, &'static str>,
    files: HashMap<PathBuf, (&'static str, bool)>,
}

impl Made {
    fn new(variables: &[(&'static str, &'static str)]) -> Self {
        let mut variables: HashMap<_, _> = variables.iter().copied().collect();
        variables.entry("USER").or_insert("ann");
        Self { variables, files: HashMap::new() }
    }

    fn file(mut self, path: &str, text: &'static str, is_open: bool) -> Self {
        self.files.insert(path.into(), (text, is_open));
        self
    }
}

impl Environment for Made {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).filter(|value| !value.is_empty()).map(|value| (*value).into())
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn secret_file(&self, path: &Path) -> io::Result<SecretFile> {
        let (text, is_open) = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(SecretFile { text: (*text).into(), is_open: *is_open })
    }
}

fn parsed(address: &str, environment: &Made) -> PostgresConfig {
    PostgresConfig::parse_in(address, environment).expect(address)
}

fn refused(address: &str, environment: &Made) -> String {
    let error = PostgresConfig::parse_in(address, environment).expect_err(address);
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{address}");
    error.to_string()
}

fn passwords(config: &PostgresConfig) -> Vec<Option<&str>> {
    config.hosts.iter().map(|host| host.password.as_ref().map(Password::reveal)).collect()
}

#[test]
fn addresses_name_user_hosts_and_database() {
    let none = Made::new(&[]);
    let socket = Made::new(&[]).file("/var/run/postgresql", "", false);
    for (address, expected) in [
        ("postgres://bob@db.example:6000/app", "postgres://bob@db.example:6000/app"),
        ("postgresql://bob@db.example", "postgres://bob@db.example:5432/bob"),
        ("postgres://", "postgres://ann@localhost:5432/ann"),
        ("postgres:///app", "postgres://ann@localhost:5432/app"),
        ("postgres://:6000", "postgres://ann@localhost:6000/ann"),
        ("postgres://a:1,b:2,c/app", "postgres://ann@a:1,b:2,c:5432/app"),
        ("postgres://[::1]:7,[fe80::1]/app", "postgres://ann@[::1]:7,[fe80::1]:5432/app"),
        ("postgres://b%40b:p@h/a%2Fb", "postgres://b@b@h:5432/a/b"),
        ("postgres://%2Fvar%2Frun/app", "postgres://ann@/var/run:5432/app"),
        ("postgres:///app?host=/tmp&port=7", "postgres://ann@/tmp:7/app"),
        ("postgres://h/app?host=a,b&port=1,2", "postgres://ann@a:1,b:2/app"),
        ("postgres:///app?host=a,b&port=7", "postgres://ann@a:7,b:7/app"),
        ("postgres://bob@h:7/app?user=eve&dbname=other", "postgres://eve@h:7/other"),
    ] {
        assert_eq!(parsed(address, &none).to_string(), expected, "{address}");
    }
    assert_eq!(
        parsed("postgres://", &socket).to_string(),
        "postgres://ann@/var/run/postgresql:5432/ann"
    );
}

#[test]
fn the_environment_fills_what_the_address_leaves_open() {
    let variables = Made::new(&[
        ("PGHOST", "one,two"),
        ("PGPORT", "6001,6002"),
        ("PGDATABASE", "app"),
        ("PGUSER", "bob"),
        ("PGPASSWORD", "secret"),
        ("PGSSLMODE", "require"),
        ("PGSSLROOTCERT", "/ca.pem"),
        ("PGTARGETSESSIONATTRS", "read-write"),
        ("PGCONNECT_TIMEOUT", "3"),
        ("PGAPPNAME", "shop"),
        ("PGOPTIONS", "-c search_path=x"),
    ]);
    let config = parsed("postgres://", &variables);
    assert_eq!(config.to_string(), "postgres://bob@one:6001,two:6002/app");
    assert_eq!(passwords(&config), [Some("secret"), Some("secret")]);
    assert_eq!(config.ssl_mode, SslMode::Require);
    assert_eq!(config.ssl_root, Some(SslRoot::File("/ca.pem".into())));
    assert_eq!(config.target, TargetSession::ReadWrite);
    assert_eq!(config.connect_timeout_ms, 3_000);
    assert_eq!(config.application_name.as_deref(), Some("shop"));
    assert_eq!(config.options.as_deref(), Some("-c search_path=x"));

    let config = parsed(
        "postgres://eve:other@h:7/db?sslmode=disable&connect_timeout_ms=5&application_name=till",
        &variables,
    );
    assert_eq!(config.to_string(), "postgres://eve@h:7/db");
    assert_eq!(passwords(&config), [Some("other")]);
    assert_eq!(config.ssl_mode, SslMode::Disable);
    assert_eq!(config.connect_timeout_ms, 5);
    assert_eq!(config.application_name.as_deref(), Some("till"));
}

#[test]
fn limits_have_defaults_and_can_be_set() {
    let none = Made::new(&[]);
    let limits = |config: &PostgresConfig| {
        let counts = [
            config.connections_min,
            config.connections_max,
            config.statements_max,
            config.lookup_connections,
        ];
        let times = [
            config.acquire_timeout_ms,
            config.idle_timeout_ms,
            config.lifetime_ms,
            config.connect_timeout_ms,
            config.statement_timeout_ms,
        ];
        (counts, times, config.statements, config.shuffle_hosts)
    };
    let times = [30_000, 600_000, 1_800_000, 10_000, 0];
    let expected = ([0, 16, 128, 2], times, StatementNames::Auto, false);
    assert_eq!(limits(&parsed("postgres://h", &none)), expected);
    let address = "postgres://h?connections_min=3&connections_max=4&statements_max=5\
                   &lookup_connections=6&acquire_timeout_ms=7&idle_timeout_ms=8&lifetime_ms=9\
                   &connect_timeout_ms=10&statement_timeout_ms=11&statements=named\
                   &load_balance_hosts=random";
    let expected = ([3, 4, 5, 6], [7, 8, 9, 10, 11], StatementNames::Named, true);
    assert_eq!(limits(&parsed(address, &none)), expected);
    let set = parsed("postgres://h", &none)
        .connections_min(3)
        .connections_max(4)
        .statements_max(5)
        .lookup_connections(6)
        .acquire_timeout_ms(7)
        .idle_timeout_ms(8)
        .lifetime_ms(9)
        .connect_timeout_ms(10)
        .statement_timeout_ms(11)
        .statements(StatementNames::Named);
    assert_eq!(limits(&set), (expected.0, expected.1, StatementNames::Named, false));
}

#[test]
fn modes_of_tls_need_what_they_check() {
    let file =
        Made::new(&[("HOME", "/home/ann")]).file("/home/ann/.postgresql/root.crt", "", false);
    let none = Made::new(&[]);
    let ssl = |address: &str, environment: &Made| {
        let config = parsed(address, environment);
        (config.ssl_mode, config.ssl_root)
    };
    let root = |path: &str| Some(SslRoot::File(path.into()));
    for (query, environment, expected) in [
        ("", &none, (SslMode::Prefer, None)),
        ("", &file, (SslMode::Prefer, root("/home/ann/.postgresql/root.crt"))),
        ("sslmode=allow", &none, (SslMode::Allow, None)),
        ("sslmode=verify-ca&sslrootcert=/a", &none, (SslMode::VerifyCa, root("/a"))),
        (
            "sslmode=verify-full",
            &file,
            (SslMode::VerifyFull, root("/home/ann/.postgresql/root.crt")),
        ),
        ("sslrootcert=system", &none, (SslMode::VerifyFull, Some(SslRoot::System))),
    ] {
        assert_eq!(ssl(&format!("postgres://h?{query}"), environment), expected, "{query}");
    }
    let identity = |address: &str, environment: &Made| parsed(address, environment).ssl_identity;
    let pair = |certificate: &str, key: &str| Some((certificate.into(), key.into()));
    let home = Made::new(&[("HOME", "/h"), ("PGSSLKEY", "/k"), ("PGCHANNELBINDING", "require")])
        .file("/h/.postgresql/postgresql.crt", "", false)
        .file("/h/.postgresql/postgresql.key", "", false);
    assert_eq!(identity("postgres://h", &none), None);
    assert_eq!(identity("postgres://h", &home), pair("/h/.postgresql/postgresql.crt", "/k"));
    assert_eq!(identity("postgres://h?sslcert=/c&sslkey=/d", &home), pair("/c", "/d"));
    assert!(refused("postgres://h?sslcert=/c", &none).contains("no sslkey"));
    assert_eq!(parsed("postgres://h", &home).channel_binding, ChannelBinding::Require);
    assert_eq!(parsed("postgres://h", &none).channel_binding, ChannelBinding::Prefer);

    let message = refused("postgres://h?sslmode=verify-full", &none);
    assert!(message.contains("sslrootcert"), "{message}");
    let message = refused("postgres://h?sslmode=require&sslrootcert=system", &none);
    assert!(message.contains("verify-full"), "{message}");
}

#[test]
fn passwords_come_from_the_first_line_that_fits() {
    let lines = "# h:5432:app:bob:comment\n\
                 other:5432:app:bob:wrong\n\
                 h:5432:app:bob:first\n\
                 h:*:*:*:second\n\
                 a\\:b:5432:app:b\\\\ob:es\\:ca\\\\ped:rest\r\n\
                 localhost:5432:*:*:socket\n\
                 /tmp:5432:*:*:elsewhere\n\
                 short:line\n";
    for (address, expected) in [
        ("postgres://bob@h/app", Some("first")),
        ("postgres://bob@h:7/app", Some("second")),
        ("postgres://bob@H/app", None),
        ("postgres://bob@[a:b]/app", None),
        ("postgres://b%5Cob@[a:b]/app", Some("es:ca\\ped:rest")),
        ("postgres://bob@%2Fvar%2Frun%2Fpostgresql/app", Some("socket")),
        ("postgres://bob@%2Ftmp/app", Some("elsewhere")),
        ("postgres://bob:given@h/app", Some("given")),
        ("postgres://bob@short/app", None),
    ] {
        let made = Made::new(&[("HOME", "/home/ann")]).file("/home/ann/.pgpass", lines, false);
        assert_eq!(passwords(&parsed(address, &made)), [expected], "{address}");
    }
    let made = Made::new(&[("PGPASSFILE", "/p")]).file("/p", "a:*:*:*:one\nb:*:*:*:two", false);
    assert_eq!(passwords(&parsed("postgres://a,b,c", &made)), [Some("one"), Some("two"), None]);
}

#[test]
fn a_password_file_that_others_can_read_is_not_used() {
    let made = Made::new(&[("PGPASSFILE", "/p")]).file("/p", "*:*:*:*:secret", true);
    let config = parsed("postgres://h", &made);
    assert_eq!(passwords(&config), [None]);
    let note = config.password_note.expect("a note");
    assert!(note.contains("/p") && note.contains("chmod 600"), "{note}");
    let missing = parsed("postgres://h", &Made::new(&[("PGPASSFILE", "/none")]));
    assert_eq!(missing.password_note, None);
}

#[test]
fn refusals_name_the_part_and_show_no_secret() {
    let none = Made::new(&[]);
    for (address, part) in [
        ("mysql://s3cret@h", "begins with postgres://"),
        ("postgres:h", "begins with postgres://"),
        ("postgres://u:s3cret/x@h/db", "name of the database"),
        ("postgres://u:s3cret/x", "port of host 1"),
        ("postgres://u:s3cret?x@h/db", "@ after ?"),
        ("postgres://u:5432/s3cret@h/db", "name of the database"),
        ("postgres://u:5432#s3cret@[h/db", "[ without ]"),
        ("postgres://u:s3cret%zz@h", "password"),
        ("postgres://u:s3cret%00@h", "password"),
        ("postgres://u:s3cret%ff@h", "password"),
        ("postgres://u:s3cret@h:0", "port of host 1"),
        ("postgres://u:s3cret@h:70000", "port of host 1"),
        ("postgres://u:s3cret@a,b?port=1,2,3", "one port for each host"),
        ("postgres://u:s3cret@h?connections_max=0", "connections_max of the address"),
        ("postgres://u:s3cret@h?connections_max=x", "from 1 to 10000"),
        ("postgres://u:s3cret@h?connections_min=9&connections_max=3", "connections_min is more"),
        ("postgres://u:s3cret@h?sslmode=s3cret", "one of disable, allow"),
        ("postgres://u:s3cret@h?user=a&user=b", "sets user twice"),
        ("postgres://u:s3cret@h?user", "no ="),
        ("postgres://u:s3cret@h?conections_max=3", "did you mean \"connections_max\"?"),
    ] {
        let message = refused(address, &none);
        assert!(message.contains(part), "{address}: {message}");
        assert!(!message.contains("s3cret"), "{address}: {message}");
    }
    let variables = Made::new(&[("PGPORT", "s3cret")]);
    assert!(refused("postgres://h", &variables).contains("port of host 1"));
    let variables = Made::new(&[("PGCONNECT_TIMEOUT", "soon")]);
    assert!(refused("postgres://h", &variables).contains("the variable PGCONNECT_TIMEOUT"));
    let nobody = Made::new(&[("USER", "")]);
    assert!(refused("postgres://h", &nobody).contains("names no user"));
}

#[test]
fn nothing_shows_a_password() {
    let config = parsed("postgres://bob:s3cret@h/app", &Made::new(&[("PGPASSWORD", "s3cret")]));
    assert_eq!(passwords(&config), [Some("s3cret")]);
    for shown in [format!("{config}"), format!("{config:?}"), format!("{config:#?}")] {
        assert!(shown.contains("bob") && !shown.contains("s3cret"), "{shown}");
    }
}

#[cfg(unix)]
#[test]
fn permissions_of_a_real_file_are_seen() {
    use std::os::unix::fs::PermissionsExt;

    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "*:*:*:*:secret\n").expect("written");
    for (mode, is_open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(file.path(), permissions).expect("changed");
        let found = ProcessEnvironment.secret_file(file.path()).expect("read");
        assert_eq!(found.is_open, is_open, "{mode:o}");
        assert_eq!(found.text, "*:*:*:*:secret\n");
    }
    let directory = file.path().parent().expect("a directory");
    assert!(ProcessEnvironment.secret_file(directory).is_err());
}
