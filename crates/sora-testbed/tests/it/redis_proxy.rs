use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use sora_testbed::{
    Direction, Fault, FaultAction, PushAction, Redis, RedisConnection, RedisOptions, RedisProxy,
    Reply,
};

fn start() -> (Redis, RedisProxy) {
    let redis = Redis::start(&RedisOptions::new()).expect("starts");
    let proxy = RedisProxy::start(&redis).expect("a proxy");
    (redis, proxy)
}

fn connect(proxy: &RedisProxy) -> RedisConnection {
    Redis::given(proxy.url()).expect("an address").connect().expect("connects")
}

/// A connection that is told when keys change that it has read.
fn tracking(proxy: &RedisProxy) -> RedisConnection {
    let mut connection = connect(proxy);
    connection.command(&["HELLO", "3"]).expect("speaks RESP3");
    connection.command(&["CLIENT", "TRACKING", "ON"]).expect("tracks");
    connection
}

/// Reads a key, so that its next change is told.
fn track(connection: &mut RedisConnection, key: &str) {
    assert_eq!(connection.command(&["GET", key]).expect("an answer"), Reply::Nil);
}

fn invalidation(key: &str) -> Reply {
    let key = Reply::Bulk(key.into());
    Reply::Push(vec![Reply::Bulk("invalidate".into()), Reply::Array(vec![key])])
}

fn ping(connection: &mut RedisConnection) -> io::Result<Reply> {
    connection.send(&["PING"])?;
    connection.read()
}

fn pong() -> Reply {
    Reply::Simple("PONG".into())
}

#[test]
fn round_trips_are_bursts_on_a_connection() {
    let (redis, proxy) = start();
    let mut first = connect(&proxy);
    let mut second = connect(&proxy);
    for _ in 0..3 {
        first.command(&["PING"]).expect("an answer");
    }
    // While the server is paused all is one burst, in whatever pieces it comes.
    redis.pause().expect("paused");
    let passed = proxy.faults().passed(Direction::ToServer);
    for _ in 0..100 {
        second.send(&["ECHO", &"x".repeat(1000)]).expect("sent");
    }
    while proxy.faults().passed(Direction::ToServer) < passed + 100_000 {
        thread::yield_now();
    }
    redis.resume().expect("resumed");
    for _ in 0..100 {
        second.read().expect("an answer");
    }
    assert_eq!(proxy.round_trips_by_connection(), [3, 1]);
    second.command(&["PING"]).expect("an answer");
    assert_eq!(proxy.round_trips(), 5);
}

#[test]
fn pushes_are_no_answers() {
    let (redis, proxy) = start();
    let mut client = tracking(&proxy);
    track(&mut client, "k");
    let before = proxy.round_trips();
    client.send(&["BLPOP", "list", "0"]).expect("sent");
    redis.command(&["SET", "k", "v"]).expect("set");
    assert_eq!(client.read().expect("a push"), invalidation("k"));
    let passed = proxy.faults().passed(Direction::ToServer);
    client.send(&["PING"]).expect("sent");
    while proxy.faults().passed(Direction::ToServer) == passed {
        thread::yield_now();
    }
    redis.command(&["LPUSH", "list", "v"]).expect("pushed");
    let popped = [Reply::Bulk("list".into()), Reply::Bulk("v".into())];
    assert_eq!(client.read().expect("an answer").values(), Some(&popped[..]));
    assert_eq!(client.read().expect("an answer"), pong());
    assert_eq!((proxy.round_trips() - before, proxy.pushes()), (1, 1));
}

#[tokio::test]
async fn invalidations_are_lost_and_repeated() {
    let (redis, proxy) = start();
    for (number, action, expected) in [
        (1, PushAction::Pass, 1),
        (2, PushAction::Drop, 0),
        (3, PushAction::Duplicate, 2),
        (4, PushAction::Delay(Duration::ZERO), 1),
    ] {
        let mut client = tracking(&proxy);
        track(&mut client, "k");
        proxy.on_push(action);
        redis.command(&["SET", "k", "v"]).expect("set");
        proxy.wait_pushes(number).await;
        for _ in 0..expected {
            assert_eq!(client.read().expect("a push"), invalidation("k"), "{action:?}");
        }
        assert_eq!(ping(&mut client).expect("an answer"), pong(), "{action:?}");
        redis.command(&["DEL", "k"]).expect("deleted");
    }
}

#[tokio::test]
async fn invalidations_are_held_and_overtaken() {
    let (redis, proxy) = start();
    let mut client = tracking(&proxy);
    for (keys, is_reversed) in [(["a", "b"], false), (["d", "c"], true)] {
        for key in keys {
            track(&mut client, key);
        }
        let before = proxy.pushes();
        proxy.on_push(PushAction::Hold);
        let mut changed = keys;
        changed.sort_unstable();
        for key in changed {
            redis.command(&["SET", key, "v"]).expect("set");
        }
        proxy.wait_pushes(before + 2).await;
        assert_eq!(ping(&mut client).expect("an answer"), pong());
        proxy.on_push(PushAction::Pass);
        client.send(&["GET", "z"]).expect("sent");
        assert_eq!(client.read().expect("an answer"), Reply::Nil);
        redis.command(&["SET", "z", "v"]).expect("set");
        assert_eq!(client.read().expect("a push"), invalidation("z"));
        redis.command(&["DEL", "z"]).expect("deleted");
        match is_reversed {
            true => proxy.release_pushes_reversed(),
            false => proxy.release_pushes(),
        }
        for key in keys {
            assert_eq!(client.read().expect("a push"), invalidation(key));
        }
    }
}

#[test]
fn an_invalidation_of_ones_own_write_keeps_its_place() {
    let (_redis, proxy) = start();
    let mut client = tracking(&proxy);
    for number in 0..100 {
        let key = number.to_string();
        track(&mut client, &key);
        assert_eq!(client.command(&["SET", &key, "v"]).expect("set"), Reply::Simple("OK".into()));
        assert_eq!(client.read().expect("a push"), invalidation(&key));
    }
}

#[test]
fn delayed_answers_do_not_wait_for_each_other() {
    let (redis, proxy) = start();
    let mut client = connect(&proxy);
    let delay = Duration::from_millis(200);
    proxy.faults().delay(Direction::ToClient, delay);
    let started = Instant::now();
    for number in 0..20 {
        client.send(&["ECHO", &number.to_string()]).expect("sent");
    }
    for number in 0..20 {
        assert_eq!(client.read().expect("an answer"), Reply::Bulk(number.to_string().into()));
    }
    assert!(started.elapsed() >= delay);
    // `clear` ends the wait of those on their way.
    proxy.faults().delay(Direction::ToClient, Duration::from_hours(1));
    for number in 0..20 {
        client.send(&["ECHO", &number.to_string()]).expect("sent");
        while redis.calls().expect("counted").get("echo") != Some(&(21 + number)) {}
    }
    proxy.faults().clear();
    for number in 0..20 {
        assert_eq!(client.read().expect("an answer"), Reply::Bulk(number.to_string().into()));
    }
}

#[test]
fn answers_are_lost_and_the_end_is_not_told() {
    let (redis, proxy) = start();
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).expect("connects");
    client.write_all(b"PING\r\n").expect("sent");
    client.read_exact(&mut [0; 7]).expect("+PONG and its end");
    proxy.faults().lose(Direction::ToClient);
    client.write_all(b"INCR k\r\n").expect("sent");
    // New connections work; the server has done it, and its answer is lost.
    let mut other = connect(&proxy);
    while other.command(&["GET", "k"]).expect("an answer") != Reply::Bulk("1".into()) {}
    redis.kill().expect("killed");
    assert_ne!(other.read().expect_err("it is told the end").kind(), ErrorKind::TimedOut);
    client.set_read_timeout(Some(Duration::from_millis(50))).expect("set");
    let error = client.read(&mut [0]).expect_err("nothing comes");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn requests_are_lost_and_the_end_is_not_told() {
    let (redis, proxy) = start();
    let clients = || {
        let listed = redis.command(&["CLIENT", "LIST"]).expect("an answer");
        listed.text().expect("text").matches("name=half").count()
    };
    let mut client = connect(&proxy);
    client.command(&["CLIENT", "SETNAME", "half"]).expect("set");
    proxy.faults().lose(Direction::ToServer);
    let passed = proxy.faults().passed(Direction::ToServer);
    client.send(&["SET", "k", "v"]).expect("sent");
    drop(client);
    // Whoever comes later is served later.
    let mut other = connect(&proxy);
    assert_eq!(other.command(&["GET", "k"]).expect("an answer"), Reply::Nil);
    assert_eq!(clients(), 1);
    let get = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".len() as u64;
    assert_eq!(proxy.faults().passed(Direction::ToServer), passed + get);
    proxy.faults().reset_all();
    while clients() > 0 {}
}

#[test]
fn a_client_is_led_to_another_server() {
    let (redis, proxy) = start();
    redis.command(&["SET", "k", "old"]).expect("set");
    let replica = redis.replica().expect("a replica");
    replica.detach().expect("cut off");
    redis.command(&["SET", "k", "new"]).expect("set");
    let mut client = connect(&proxy);
    assert_eq!(client.command(&["GET", "k"]).expect("read"), Reply::Bulk("new".into()));
    proxy.redirect(&replica).expect("it has an address");
    redis.kill().expect("killed");
    replica.promote().expect("promoted");
    assert!(client.command(&["GET", "k"]).is_err());
    let mut client = connect(&proxy);
    assert_eq!(client.command(&["GET", "k"]).expect("read"), Reply::Bulk("old".into()));
}

#[test]
fn what_a_proxy_does_to_bytes_it_does_here() {
    let (_redis, proxy) = start();
    let mut client = connect(&proxy);
    let fault = |after_bytes, action| Fault { direction: Direction::ToClient, after_bytes, action };
    proxy.faults().arm(fault(3, FaultAction::Close));
    let error = client.command(&["PING"]).expect_err("half of an answer");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    let mut client = connect(&proxy);
    proxy.faults().arm(fault(0, FaultAction::Reset));
    let error = client.command(&["PING"]).expect_err("no answer");
    assert_eq!((error.kind(), proxy.faults().fired()), (ErrorKind::ConnectionReset, 2));
}

#[test]
fn a_replica_follows_through_a_proxy_uncounted() {
    let (redis, proxy) = start();
    let replica = Redis::start(&RedisOptions::new()).expect("starts");
    redis.command(&["SET", "k", "v"]).expect("set");
    replica.command(&["REPLICAOF", "127.0.0.1", &proxy.port().to_string()]).expect("follows");
    while replica.command(&["GET", "k"]).expect("read") != Reply::Bulk("v".into()) {}
    let counted = proxy.round_trips();
    // The replica acknowledges what it was told.
    redis.command(&["SET", "k", "w"]).expect("set");
    let mut session = redis.connect().expect("connects");
    session.command(&["SET", "k", "x"]).expect("set");
    let acknowledged = session.command(&["WAIT", "1", "9000"]).expect("an answer");
    assert_eq!((acknowledged, proxy.round_trips()), (Reply::Integer(1), counted));
}
