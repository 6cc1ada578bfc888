//! TLS with a certificate authority of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use sora_core::{ErrorKind, Retry};
use sora_testbed::{Postgres, PostgresOptions};

use super::support::{pool, texts, until, write};

/// Certificates in a directory that is removed with them.
struct Authority {
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let made = Self { directory };
        for name in ["ca", "other"] {
            made.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                 -subj /CN={name} -addext basicConstraints=critical,CA:TRUE \
                 -keyout {name}.key -out {name}.pem"
            ));
        }
        made
    }

    /// Returns a certificate and its key for a name, as PEM.
    fn issue(&self, alternative: &str) -> (String, String) {
        let extensions = format!("subjectAltName={alternative}\nbasicConstraints=CA:FALSE\n");
        std::fs::write(self.path("extensions"), extensions).expect("written");
        self.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server \
             -keyout server.key -out server.csr",
        );
        self.openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile extensions -out server.pem",
        );
        let read = |name| std::fs::read_to_string(self.path(name)).expect("a file");
        (read("server.pem"), read("server.key"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.directory.path() as &Path)
            .output()
            .expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn modes_of_tls_check_what_they_say() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("DNS:localhost");
    let options = PostgresOptions::new().tls(&certificate, &key).password("s3cret");
    let server = Postgres::start(&options).expect("a server");
    let port = server.port();
    let (ca, other) = (authority.path("ca.pem"), authority.path("other.pem"));
    let (ca, other) = (ca.display(), other.display());
    let none = authority.path("none.pem");
    let user = user_of(&server);
    for (host, parameters, expected) in [
        ("localhost", "sslmode=disable".to_owned(), Ok("false")),
        ("localhost", "sslmode=allow".to_owned(), Ok("false")),
        ("localhost", "sslmode=prefer".to_owned(), Ok("true")),
        ("localhost", "sslmode=require".to_owned(), Ok("true")),
        ("127.0.0.1", "sslmode=require".to_owned(), Ok("true")),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={ca}"), Ok("true")),
        ("localhost", format!("sslmode=require&sslrootcert={other}"), Err("not trusted")),
        ("localhost", format!("sslmode=prefer&sslrootcert={other}"), Ok("false")),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ca}"), Ok("true")),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other}"), Err("not trusted")),
        ("localhost", format!("sslmode=verify-full&sslrootcert={ca}"), Ok("true")),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ca}"), Err("not trusted")),
        ("localhost", format!("sslmode=verify-full&sslrootcert={other}"), Err("not trusted")),
        ("localhost", "sslrootcert=system".to_owned(), Err("not trusted")),
        ("localhost", "sslmode=require&channel_binding=require".to_owned(), Ok("true")),
        ("localhost", "sslmode=disable&channel_binding=require".to_owned(), Err("channel binding")),
    ] {
        let url = format!("postgres://{user}:s3cret@{host}:{port}/postgres");
        let pool = pool(&url, &parameters);
        let opened = pool.acquire().await;
        match (opened, expected) {
            (Ok(lease), Ok(is_tls)) => {
                let sql = "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()";
                assert_eq!(texts(&lease, sql).await.expect("read"), [is_tls], "{parameters}");
                assert!(lease.keeps_statements(), "{parameters}");
            }
            (Err(error), Err(said)) => {
                assert!(error.to_string().contains(said), "{host} {parameters}: {error}");
                let expected = (ErrorKind::Unavailable, Retry::Never);
                assert_eq!((error.kind(), error.retry()), expected);
            }
            (opened, _) => panic!("{host} {parameters}: {:?}", opened.err()),
        }
    }
    let config = super::support::config(
        &server.url("postgres"),
        &format!("sslmode=verify-ca&sslrootcert={}", none.display()),
    );
    let error = crate::pool::Pool::new(config).expect_err("no file");
    assert!(error.to_string().contains("none.pem"), "{error}");
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("DNS:localhost");
    // It is copied: the server's user cannot read the directory of the test.
    let options = PostgresOptions::new().tls(&certificate, &key);
    let server = Postgres::start(&options).expect("a server");
    let directory = server.socket_directory().expect("its own").to_owned();
    let copy = directory.join("ca.pem");
    std::fs::copy(authority.path("ca.pem"), &copy).expect("copied");
    let superuser = pool(&server.url("postgres"), "").acquire().await.expect("a connection");
    let set = format!("alter system set ssl_ca_file = '{}'", copy.display());
    write(&superuser, &set).await.expect("set");
    texts(&superuser, "select pg_reload_conf()::text").await.expect("reloaded");
    until(
        &superuser,
        "select (setting like '%ca.pem')::text from pg_settings where name = 'ssl_ca_file'",
        "true",
    )
    .await;

    let name = |file: &str| authority.path(file).display().to_string();
    let identity = format!("sslcert={}&sslkey={}", name("server.pem"), name("server.key"));
    let sql = "select client_dn from pg_stat_ssl where pid = pg_backend_pid()";
    for (parameters, expected) in [("", "NULL"), (identity.as_str(), "/CN=server")] {
        let pool = pool(&server.url("postgres"), &format!("sslmode=require&{parameters}"));
        let lease = pool.acquire().await.expect("a connection");
        assert_eq!(texts(&lease, sql).await.expect("read"), [expected]);
    }
    for (identity, part) in [
        (format!("sslcert={}&sslkey={}", name("server.pem"), name("ca.key")), "fit together"),
        (format!("sslcert={}&sslkey={}", name("server.pem"), name("server.pem")), "sslkey"),
        (format!("sslcert={}&sslkey={}", name("server.key"), name("server.key")), "sslcert"),
    ] {
        let config = super::support::config(&server.url("postgres"), &identity);
        let error = crate::pool::Pool::new(config).expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_statement_is_stopped_over_tls_too() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("DNS:localhost");
    let options = PostgresOptions::new().tls(&certificate, &key);
    let server = Postgres::start(&options).expect("a server");
    let url = format!("postgres://{}@localhost:{}/postgres", user_of(&server), server.port());
    let tls = format!(
        "connections_max=1&sslmode=verify-full&sslrootcert={}",
        authority.path("ca.pem").display()
    );
    for parameters in
        [&tls, "connections_max=1&sslmode=prefer", "connections_max=1&sslmode=disable"]
    {
        let pool = pool(&url, parameters);
        let watcher = super::support::pool(&url, "").acquire().await.expect("a connection");
        let lease = pool.acquire().await.expect("a connection");
        let process = lease.process();
        let sleeping = "select count(*)::text from pg_stat_activity where wait_event = 'PgSleep'";
        tokio::select! {
            _ = texts(&lease, "select pg_sleep(3600)::text") => panic!("it slept for an hour"),
            () = until(&watcher, sleeping, "1") => {}
        }
        drop(lease);
        let lease = pool.acquire().await.expect("a connection");
        assert_eq!(lease.process(), process, "{parameters}");
        assert_eq!(texts(&watcher, sleeping).await.expect("read"), ["0"]);
    }
}

#[tokio::test]
async fn a_refused_log_in_shows_no_password() {
    let server = Postgres::start(&PostgresOptions::new().password("s3cret")).expect("a server");
    let user = user_of(&server);
    for login in [format!("{user}:wr0ng"), user.clone(), "n0body:wr0ng".to_owned()] {
        let url = format!("postgres://{login}@{}:{}/postgres", server.host(), server.port());
        let error = pool(&url, "passfile=/dev/null").acquire().await.expect_err("refused");
        let expected = (ErrorKind::Unavailable, Retry::Never);
        assert_eq!((error.kind(), error.retry()), expected, "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("wr0ng") && !shown.contains("s3cret"), "{shown}");
        assert!(shown.contains(&server.port().to_string()), "{shown}");
    }
    let url = format!("postgres://{user}:s3cret@{}:{}/missing", server.host(), server.port());
    let error = pool(&url, "").acquire().await.expect_err("no such database");
    assert!(error.to_string().contains("missing"), "{error}");
    assert_eq!(error.retry(), Retry::Never);
}

fn user_of(server: &Postgres) -> String {
    super::support::config(&server.url("postgres"), "").user
}
