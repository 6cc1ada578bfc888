use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, io, thread};

use sora_testbed::{PgBouncer, PoolMode, Postgres, PostgresOptions};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

pub(crate) async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

pub(crate) async fn one(client: &Client, query: &str) -> String {
    let messages = client.simple_query(query).await.expect("an answer");
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.unwrap_or_default().to_owned()
}

pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The processes that work in a directory, as the guard finds them.
pub(crate) fn works_in(directory: &Path) -> usize {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let places = entries.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok());
    places.filter(|place| place.starts_with(directory)).count()
}

#[tokio::test]
async fn a_server_is_gone_when_it_is_dropped() {
    let postgres = Postgres::start(&PostgresOptions::new().set("work_mem", "7MB")).expect("starts");
    let database = postgres.database().expect("a database");
    let connected = client(&database.url()).await;
    assert_eq!(one(&connected, "SHOW work_mem").await, "7MB");
    assert_eq!(one(&connected, "SELECT current_database()").await, database.name());
    let directory = postgres.socket_directory().expect("a directory").to_owned();
    assert!(directory.exists() && works_in(&directory) > 1);
    let port = postgres.port();
    drop(postgres);
    assert!(!directory.exists() && works_in(&directory) == 0 && !listens(port));
    // Its server is gone; that is no reason to fail.
    drop(database);
}

const ROLE: &str = "SORA_TESTBED_ROLE";

/// The test runs itself as another process, which starts a server and a `PgBouncer`, leaves one
/// killed server behind and is killed.
#[test]
fn everything_is_gone_when_the_process_is_killed() {
    if env::var(ROLE).is_ok() {
        let memory = PostgresOptions::new().wal_in_memory();
        let postgres = Postgres::start(&memory).expect("starts");
        let bouncer = PgBouncer::start(&postgres, PoolMode::Session).expect("starts");
        let killed = Postgres::start(&PostgresOptions::new()).expect("starts");
        killed.kill().expect("killed");
        let directory = |server: &Postgres| server.socket_directory().expect("one").to_owned();
        let (first, second) = (directory(&postgres), directory(&killed));
        writeln!(io::stdout(), "dirs {} {} {}", first.display(), second.display(), bouncer.port())
            .expect("it is read");
        loop {
            thread::park();
        }
    }
    let mut process = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "servers::everything_is_gone_when_the_process_is_killed", "--nocapture"])
        .env(ROLE, "killed")
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program again");
    let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
    let line = lines.find_map(|line| Some(line.ok()?.split_once("dirs ")?.1.to_owned()));
    let line = line.expect("it says what it started");
    let words: Vec<&str> = line.split(' ').collect();
    let directories: Vec<PathBuf> = words[..2].iter().map(PathBuf::from).collect();
    let port = words[2].parse().expect("a port");
    let wal = fs::read_link(directories[0].join("data/pg_wal")).expect("its log is elsewhere");
    assert!(wal.exists() && works_in(&directories[0]) > 1 && listens(port));
    process.kill().expect("killed");
    process.wait().expect("waited for");
    let is_there = || {
        let left = directories.iter().any(|directory| directory.exists());
        left || wal.exists() || listens(port)
    };
    // The guards see the end of the process, and act, in their own time.
    while is_there() {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(works_in(&directories[0]) + works_in(&directories[1]), 0);
}

#[tokio::test]
async fn what_is_committed_survives_a_killed_server() {
    let postgres = Postgres::start(&PostgresOptions::new()).expect("starts");
    postgres.execute("postgres", "CREATE TABLE t (a int); INSERT INTO t VALUES (7)").expect("done");
    let before = client(&postgres.url("postgres")).await;
    postgres.kill().expect("killed");
    assert!(before.simple_query("SELECT 1").await.is_err());
    assert!(!listens(postgres.port()));
    assert!(postgres.kill().is_err(), "it does not run");
    postgres.restart().expect("starts again");
    let after = client(&postgres.url("postgres")).await;
    assert_eq!(one(&after, "SELECT a FROM t").await, "7");
    postgres.restart().expect("stops and starts");
    let after = client(&postgres.url("postgres")).await;
    assert_eq!(one(&after, "SELECT a FROM t").await, "7");
}

#[tokio::test]
async fn a_paused_server_answers_when_it_is_resumed() {
    let postgres = Postgres::start(&PostgresOptions::new()).expect("starts");
    let client = client(&postgres.url("postgres")).await;
    postgres.pause().expect("paused");
    let mut answer = Box::pin(one(&client, "SELECT 5"));
    tokio::select! {
        biased;
        _ = &mut answer => panic!("a paused server has answered"),
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    postgres.resume().expect("resumed");
    assert_eq!(answer.await, "5");
    postgres.pause().expect("a paused server can be dropped");
}

#[tokio::test]
async fn a_replica_follows_and_is_promoted() {
    let postgres = Postgres::start(&PostgresOptions::new()).expect("starts");
    let replica = postgres.replica().expect("a replica");
    let primary = client(&postgres.url("postgres")).await;
    let name = replica.name();
    let wait = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
    postgres.execute("postgres", &wait).expect("set");
    postgres.execute("postgres", "SELECT pg_reload_conf()").expect("loaded");
    primary
        .batch_execute("SET synchronous_commit = remote_apply; CREATE TABLE t AS SELECT 3 AS a")
        .await
        .expect("done");
    // Those that are connected before read their settings when they have the time; new ones at once.
    while one(&primary, "SHOW synchronous_standby_names").await != name {
        tokio::task::yield_now().await;
    }
    primary.batch_execute("CREATE TABLE u AS SELECT 3 AS a").await.expect("seen by the replica");
    let reader = client(&replica.url("postgres")).await;
    assert_eq!(one(&reader, "SELECT a FROM u").await, "3");
    assert!(reader.batch_execute("CREATE TABLE v ()").await.is_err(), "it is read-only");
    postgres.kill().expect("killed");
    replica.promote().expect("promoted");
    client(&replica.url("postgres"))
        .await
        .batch_execute("CREATE TABLE v ()")
        .await
        .expect("writes");
}

#[tokio::test]
async fn databases_are_fresh_and_go() {
    let postgres = Postgres::shared().expect("a server");
    let (first, second) = (postgres.database().expect("one"), postgres.database().expect("two"));
    first.execute("CREATE TABLE t ()").expect("created");
    second.execute("CREATE TABLE t ()").expect("created in another");
    let error = second.execute("CREATE TABLE t ()").expect_err("there already");
    assert!(error.to_string().contains("42P07"), "{error}");
    let order = "SELECT string_agg(a, '' ORDER BY a) FROM unnest(ARRAY['b', 'A', 'a', 'B']) AS a";
    assert_eq!(one(&client(&first.url()).await, order).await, "ABab");
    let icu = postgres.icu_database("en-US-x-icu").expect("an ICU database");
    assert_eq!(one(&client(&icu.url()).await, order).await, "aAbB");
    let maintenance = client(&postgres.url("postgres")).await;
    let count = format!(
        "SELECT count(*) FROM pg_database WHERE datname IN ('{}', '{}')",
        first.name(),
        icu.name()
    );
    assert_eq!(one(&maintenance, &count).await, "2");
    drop((first, icu));
    assert_eq!(one(&maintenance, &count).await, "0");
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let options = PostgresOptions::new().password("it's: a/secret");
    let postgres = Postgres::start(&options).expect("starts");
    let database = postgres.database().expect("a database");
    assert_eq!(one(&client(&database.url()).await, "SELECT 1").await, "1");
    let without = format!("postgres://postgres@127.0.0.1:{}/postgres", postgres.port());
    assert!(tokio_postgres::connect(&without, NoTls).await.is_err());
    let bouncer = PgBouncer::start(&postgres, PoolMode::Transaction).expect("starts");
    let through = client(&bouncer.url(database.name())).await;
    assert_eq!(one(&through, "SELECT current_database()").await, database.name());
    // It stands between: the server sees the bouncer's socket, and the client another one.
    assert_ne!(one(&through, "SELECT inet_server_port()").await, bouncer.port().to_string());
}

#[tokio::test]
async fn a_bouncer_in_transaction_mode_loses_named_statements() {
    let postgres = Postgres::shared().expect("a server");
    let bouncer = PgBouncer::start(postgres, PoolMode::Transaction).expect("starts");
    let (first, second) =
        (client(&bouncer.url("postgres")).await, client(&bouncer.url("postgres")).await);
    let statement = first.prepare("SELECT 1").await.expect("prepared");
    // Holds the one connection on which it was prepared.
    second.batch_execute("BEGIN").await.expect("begun");
    assert!(first.query(&statement, &[]).await.is_err());
    bouncer.kill().expect("killed");
    assert!(first.simple_query("SELECT 1").await.is_err());
}

#[test]
fn a_given_server_is_left_alone() {
    let postgres = Postgres::given("postgres://someone:secret@host/db").expect("an address");
    assert_eq!(postgres.url("other"), "postgres://someone:secret@host:5432/other");
    let error: io::Error = postgres.kill().expect_err("it is not ours");
    assert!(error.to_string().contains("Postgres::start"), "{error}");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let options = PostgresOptions::new().set("shared_buffers", "a lot");
    let error = Postgres::start(&options).expect_err("it cannot start").to_string();
    assert!(error.contains("shared_buffers"), "{error}");
}
