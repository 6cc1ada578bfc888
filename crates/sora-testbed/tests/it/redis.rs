use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use sora_testbed::{Redis, RedisOptions, Reply};

use crate::servers::{listens, works_in};

fn start() -> Redis {
    Redis::start(&RedisOptions::new()).expect("starts")
}

fn set(redis: &Redis, key: &str, value: &str) {
    assert_eq!(redis.command(&["SET", key, value]).expect("set"), Reply::Simple("OK".into()));
}

pub(crate) fn get(redis: &Redis, key: &str) -> Option<String> {
    redis.command(&["GET", key]).expect("an answer").text().map(Into::into)
}

fn directory(redis: &Redis) -> PathBuf {
    let reply = redis.command(&["CONFIG", "GET", "dir"]).expect("an answer");
    reply.values().expect("an array")[1].text().expect("a path").into()
}

#[test]
fn a_server_is_gone_when_it_is_dropped() {
    let redis = start();
    set(&redis, "k", "v");
    assert_eq!(get(&redis, "k").as_deref(), Some("v"));
    let (directory, port) = (directory(&redis), redis.port());
    assert!(directory.exists() && works_in(&directory) == 1 && listens(port));
    redis.pause().expect("paused");
    drop(redis);
    assert!(!directory.exists() && works_in(&directory) == 0 && !listens(port));
}

const ROLE: &str = "SORA_TESTBED_ROLE";

/// The test runs itself as another process, which starts a server, and leaves a killed one and a paused
/// one behind, and is killed.
#[test]
fn everything_is_gone_when_the_process_is_killed() {
    if env::var(ROLE).is_ok() {
        let servers = [start(), start(), start()];
        let words = servers.each_ref().map(|redis| directory(redis).display().to_string());
        servers[1].kill().expect("killed");
        servers[2].pause().expect("paused");
        writeln!(io::stdout(), "dirs {}", words.join(" ")).expect("it is read");
        loop {
            thread::park();
        }
    }
    let mut process = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "redis::everything_is_gone_when_the_process_is_killed", "--nocapture"])
        .env(ROLE, "killed")
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program again");
    let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
    let line = lines.find_map(|line| Some(line.ok()?.split_once("dirs ")?.1.to_owned()));
    let directories: Vec<PathBuf> =
        line.expect("it says what it started").split(' ').map(Into::into).collect();
    let running = directories.iter().map(|directory| works_in(directory));
    assert_eq!(running.collect::<Vec<_>>(), [1, 0, 1]);
    process.kill().expect("killed");
    process.wait().expect("waited for");
    // The guards see the end of the process, and act, in their own time.
    while directories.iter().any(|directory| directory.exists()) {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(directories.iter().map(|directory| works_in(directory)).sum::<usize>(), 0);
}

#[test]
fn a_server_comes_back_as_it_was_empty_or_older() {
    for is_persisted in [false, true] {
        let options = RedisOptions::new();
        let options = if is_persisted { options.persisted() } else { options };
        let redis = Redis::start(&options).expect("starts");
        set(&redis, "k", "old");
        let snapshot = redis.snapshot().expect("a snapshot");
        set(&redis, "k", "new");
        let (first, port) = (redis.run_id().expect("an id"), redis.port());
        let kept = is_persisted.then_some("new");
        redis.kill().expect("killed");
        assert!(!listens(port) && !redis.is_running() && redis.command(&["PING"]).is_err());
        redis.restart().expect("starts again");
        assert_eq!(get(&redis, "k").as_deref(), kept);
        assert!(redis.port() == port && redis.run_id().expect("an id") != first);
        redis.restart_with(&snapshot).expect("starts again");
        assert_eq!(get(&redis, "k").as_deref(), Some("old"));
        set(&redis, "j", "newer");
        redis.restart().expect("stops and starts");
        assert_eq!(get(&redis, "k").as_deref(), is_persisted.then_some("old"));
        assert_eq!(get(&redis, "j").as_deref(), is_persisted.then_some("newer"));
        set(&redis, "k", "again");
        redis.restart_empty().expect("starts again");
        assert_eq!(redis.command(&["DBSIZE"]).expect("an answer"), Reply::Integer(0));
        redis.stop().expect("stopped");
        assert!(!listens(port) && redis.kill().is_err());
    }
}

#[test]
fn a_paused_server_answers_when_it_is_resumed() {
    let redis = start();
    let mut connection = redis.connect().expect("connects");
    let mut other = redis.connect().expect("connects");
    redis.pause().expect("paused");
    connection.send(&["PING"]).expect("sent");
    thread::scope(|scope| {
        let (told, tells) = std::sync::mpsc::channel();
        scope.spawn(move || told.send(connection.read().expect("an answer")).expect("heard"));
        let answer = tells.recv_timeout(Duration::from_millis(50));
        assert!(answer.is_err(), "a paused server has answered");
        redis.resume().expect("resumed");
        assert_eq!(tells.recv().expect("an answer"), Reply::Simple("PONG".into()));
    });
    assert_eq!(other.command(&["PING"]).expect("an answer"), Reply::Simple("PONG".into()));
    redis.pause().expect("paused");
    redis.stop().expect("a paused server can be stopped");
}

#[test]
fn passwords_are_asked_for() {
    let password = "it's: \"a\\secret\"/";
    let options = RedisOptions::new().password(password).user("ann", "x y", "~ann:* &* +@all");
    let redis = Redis::start(&options).expect("starts");
    set(&redis, "ann:k", "v");
    set(&redis, "k", "v");
    let nobody = Redis::given(&format!("redis://127.0.0.1:{}", redis.port())).expect("a handle");
    let error = nobody.command(&["GET", "k"]).expect_err("it has no password").to_string();
    assert!(error.starts_with("NOAUTH"), "{error}");
    let again = Redis::given(&redis.url()).expect("a handle");
    assert_eq!(get(&again, "k").as_deref(), Some("v"));
    let ann = Redis::given(&redis.url_as("ann", "x y")).expect("a handle");
    assert_eq!(get(&ann, "ann:k").as_deref(), Some("v"));
    let error = ann.command(&["GET", "k"]).expect_err("it is not hers").to_string();
    assert!(error.starts_with("NOPERM"), "{error}");
    let replica = redis.replica().expect("a replica knows the password");
    assert_eq!(get(&replica, "k").as_deref(), Some("v"));
    assert!(!format!("{redis:?} {options:?}").contains("secret"));
}

#[test]
fn memory_is_limited() {
    let options = RedisOptions::new().memory("noeviction", 2 * 1024 * 1024);
    let redis = Redis::start(&options).expect("starts");
    set(&redis, "k", "v");
    let large = vec![b'x'; 4 * 1024 * 1024];
    let error = redis.command(&[&b"SET"[..], b"j", &large]).expect_err("full").to_string();
    assert!(error.starts_with("OOM"), "{error}");
    assert!(!redis.log().is_empty());
}

#[test]
fn commands_are_counted() {
    let redis = start();
    redis.command(&["MGET", "a", "b"]).expect("an answer");
    redis.command(&["EVAL", "return redis.call('GET', 'a')", "0"]).expect("an answer");
    let calls = redis.calls().expect("counted");
    let of = |name: &str| calls.get(name).copied().unwrap_or(0);
    assert_eq!((of("mget"), of("get"), of("eval"), of("set")), (1, 1, 1, 0));
    redis.command(&["CONFIG", "RESETSTAT"]).expect("reset");
    assert_eq!(redis.calls().expect("counted").get("mget"), None);
}

#[test]
fn a_replica_follows_lags_and_is_promoted() {
    let redis = start();
    set(&redis, "k", "old");
    let replica = redis.replica().expect("a replica");
    assert_eq!(get(&replica, "k").as_deref(), Some("old"));
    set(&redis, "k", "told");
    replica.catch_up(&redis).expect("caught up");
    assert_eq!(get(&replica, "k").as_deref(), Some("told"));
    assert!(replica.command(&["SET", "k", "no"]).is_err(), "it is read-only");
    replica.detach().expect("cut off");
    set(&redis, "k", "not told");
    assert_eq!(get(&replica, "k").as_deref(), Some("told"));
    replica.attach().expect("follows again");
    replica.catch_up(&redis).expect("caught up");
    assert_eq!(get(&replica, "k").as_deref(), Some("not told"));
    replica.detach().expect("cut off");
    set(&redis, "k", "lost");
    redis.kill().expect("killed");
    replica.promote().expect("promoted");
    assert_eq!(get(&replica, "k").as_deref(), Some("not told"));
    set(&replica, "k", "new");
    redis.restart().expect("starts again");
    redis.follow(&replica).expect("follows");
    assert_eq!(get(&redis, "k").as_deref(), Some("new"));
    // It still follows when it is started again.
    redis.restart().expect("stops and starts");
    redis.catch_up(&replica).expect("caught up");
    assert_eq!(get(&redis, "k").as_deref(), Some("new"));
}

#[test]
fn the_shared_server_is_one() {
    let (first, second) = (Redis::shared().expect("one"), Redis::shared().expect("the same"));
    let (prefix, other) = (Redis::prefix(), Redis::prefix());
    assert_ne!(prefix, other);
    set(first, &prefix, "v");
    assert_eq!(get(second, &prefix).as_deref(), Some("v"));
    first.command(&["DEL", &prefix]).expect("deleted");
}

#[test]
fn a_given_server_is_left_alone() {
    let redis = Redis::given("redis://someone:secret@host/0").expect("an address");
    assert_eq!(redis.url(), "redis://someone:secret@host:6379/0");
    for refused in [
        redis.kill(),
        redis.stop(),
        redis.pause(),
        redis.restart_empty(),
        redis.detach(),
        redis.promote(),
        redis.snapshot().map(drop),
        redis.replica().map(drop),
    ] {
        let error = refused.expect_err("it is not ours").to_string();
        assert!(error.contains("Redis::start"), "{error}");
    }
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let options = RedisOptions::new().set("maxmemory", "a lot");
    let error = Redis::start(&options).expect_err("it cannot start").to_string();
    assert!(error.contains("maxmemory"), "{error}");
}
