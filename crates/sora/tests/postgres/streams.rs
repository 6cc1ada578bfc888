//! Reads that are given up are ended on the server; a stream that is cut says so, and never looks as
//! if it had come to its end.

use sora::{Error, Filter, Repository, StreamOptions};
use sora_testbed::{Direction, Fault, FaultAction, FaultProxy};

use crate::cuts::url_parts;
use crate::support::{Account, Item, Place, Watcher, check_full, in_time, open, repository, until};

const ACTIVE: &str = "state = 'active'";

#[tokio::test]
async fn a_read_that_is_given_up_is_ended_on_the_server() {
    let place = Place::open("connections_max=3").await;
    place.put(0..100).await;
    let beside = Watcher::connect(&place.database.url()).await;
    let mut stream = place.items.query(Filter::all()).stream_with(StreamOptions { page_rows: 10 });
    for _ in 0..10 {
        stream.next().await.expect("a row").expect("no fault");
    }
    // A lock keeps every read from ending by itself.
    beside.run("BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE").await;
    let transaction = place.store.begin().await.expect("begun");
    let inside = place.items.within(&transaction);
    let query = || place.items.query(Filter::all()).sort(Item::AMOUNT.asc()).limit(5);
    for given_up in 0..4 {
        let items = place.items.clone();
        match given_up {
            0 => {
                let blocked = async { while stream.next().await.is_some() {} };
                give_up(&place, blocked).await;
                drop(std::mem::replace(
                    &mut stream,
                    place.items.query(Filter::all()).stream_with(StreamOptions::default()),
                ));
            }
            1 => give_up(&place, async { drop(query().fetch().await) }).await,
            2 => give_up(&place, async { drop(query().count().await) }).await,
            _ => give_up(&place, async { drop(items.get_many([1, 2]).await) }).await,
        }
        until("the statement to be ended", async || place.watcher.others(ACTIVE).await == 0).await;
    }
    give_up(&place, async { drop(inside.get(1).await) }).await;
    drop(transaction);
    until("the statement to be ended", async || place.watcher.others(ACTIVE).await == 0).await;
    beside.run("COMMIT").await;
    place.check_healthy(3).await;
}

/// Waits until a call waits for a lock, and drops it.
async fn give_up(place: &Place, call: impl Future<Output = ()>) {
    tokio::select! {
        () = call => panic!("it was not held up"),
        () = place.watcher.until_blocked(1) => {}
    }
}

#[tokio::test]
async fn a_look_up_that_is_given_up_does_not_hold_up_others() {
    let place = Place::open("connections_max=4").await;
    place.put(0..10).await;
    let accounts = repository::<Account>(&place.store).await;
    accounts.upsert(Account { id: 1, balance: 5 }).await.expect("written");
    let beside = Watcher::connect(&place.database.url()).await;
    beside.run("BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE").await;
    for _ in 0..4 {
        give_up(&place, async { drop(place.items.get(1).await) }).await;
    }
    let found = in_time("a look-up in another table", accounts.get(1)).await;
    assert_eq!(found.expect("read").expect("a row").balance, 5);
    beside.run("COMMIT").await;
    assert!(place.items.get(1).await.expect("read").is_some());
    place.check_healthy(4).await;
}

/// Rows of a stream, up to its end, and how it ended; what comes after an error is its end.
async fn ends(items: &Repository<Item>, page_rows: u64) -> (Vec<i64>, Option<Error>) {
    let mut stream = items.query(Filter::all()).stream_with(StreamOptions { page_rows });
    let mut ids = Vec::new();
    let mut failed = None;
    while let Some(row) = in_time("the next row", stream.next()).await {
        match row {
            Ok(row) => {
                assert!(failed.is_none(), "a row behind the error");
                ids.push(row.id);
            }
            Err(error) => assert!(failed.replace(error).is_none(), "a second error"),
        }
    }
    assert!(stream.next().await.is_none(), "it goes on behind its end");
    (ids, failed)
}

const ROWS: i64 = 3_000;

#[tokio::test]
async fn a_stream_that_is_cut_ends_with_one_error() {
    let place = Place::open("").await;
    place.put(0..ROWS).await;
    let server = place.database.url();
    let (host, port) = url_parts(&server);
    let proxy = FaultProxy::start(host, port).expect("a proxy");
    let store = open(&proxy.url(&server).expect("an address"), "connections_max=1").await;
    let items = store.repository::<Item>().await.expect("the table opens");
    ends(&items, 500).await;
    let before = [Direction::ToServer, Direction::ToClient].map(|way| proxy.passed(way));
    let (ids, failed) = ends(&items, 500).await;
    assert!(failed.is_none());
    assert_eq!(ids, (0..ROWS).collect::<Vec<_>>());
    let after = [Direction::ToServer, Direction::ToClient].map(|way| proxy.passed(way));
    let actions = [FaultAction::Reset, FaultAction::Close, FaultAction::HalfClose];
    for (way, direction) in [Direction::ToServer, Direction::ToClient].into_iter().enumerate() {
        let total = after[way] - before[way];
        for at in 0..12 {
            // Where it was cut, the connection is opened again.
            store.ping().await.expect("it answers");
            let after_bytes = (at * total / 12).max(1);
            let action = actions[usize::try_from(at % 3).expect("small")];
            let fired = proxy.fired();
            proxy.arm(Fault { direction, after_bytes, action });
            let (ids, failed) = ends(&items, 500).await;
            assert_eq!(proxy.fired(), fired + 1, "{direction:?} {after_bytes} {action:?}");
            let error = failed.expect("it was cut, and looks as if it had ended");
            assert!(!error.is_unknown(), "{error:?}");
            assert_eq!(ids, (0..i64::try_from(ids.len()).expect("small")).collect::<Vec<_>>());
        }
    }
    proxy.clear();
    assert_eq!(ends(&items, 500).await.0.len(), usize::try_from(ROWS).expect("small"));
    check_full(&store, 1).await;
    place.watcher.check_quiet().await;
}
