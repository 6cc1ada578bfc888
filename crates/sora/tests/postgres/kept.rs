//! What the server refuses, ends or holds up: who is told what, and that nothing stays behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sora::provider::Isolation;
use sora::{
    Backoff, Entity, Error, ErrorKind, Event, Insert, Observer, Repository, Result, Retry, Sora,
    TransactionOptions,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{
    Account, Item, Place, Told, Watcher, gauges, in_time, item, open, repository, until,
};

/// Keeps the largest number of writes that were joined.
#[derive(Default)]
struct Joined(AtomicUsize);

impl Observer for Joined {
    fn observe(&self, event: &Event<'_>) {
        self.0.fetch_max(event.shared_by, Ordering::Relaxed);
    }
}

/// Writes all rows at the same time, so that most of them are committed together, and returns what
/// each caller was told: a lock keeps the first from ending before all others wait.
async fn together<E>(place: &Place, rows: Vec<E>, upsert: bool) -> Vec<Result<()>>
where
    E: Entity + Insert<E> + Sync,
{
    let joined = Arc::new(Joined::default());
    let address = format!("{}?connections_max=8", place.database.url());
    let store = Sora::builder().observer(joined.clone()).open(&address).await.expect("it opens");
    let table = store.repository::<E>().await.expect("the table opens");
    let name = table.table().name().to_owned();
    let beside = Watcher::connect(&place.database.url()).await;
    beside.run(&format!("BEGIN; LOCK TABLE {name} IN SHARE MODE")).await;
    let all = Arc::new(Barrier::new(rows.len() + 1));
    let mut writes = JoinSet::new();
    let count = rows.len();
    for (at, row) in rows.into_iter().enumerate() {
        let (table, all) = (table.clone(), all.clone());
        writes.spawn(async move {
            all.wait().await;
            let done = match upsert {
                true => table.upsert(row).await.map(drop),
                false => table.insert(row).await.map(drop),
            };
            (at, done)
        });
    }
    all.wait().await;
    // One alone, and those that have joined behind it.
    place.watcher.until_blocked(2).await;
    beside.run("COMMIT").await;
    let mut told = in_time("the writes", writes.join_all()).await;
    told.sort_by_key(|(at, _)| *at);
    assert!(joined.0.load(Ordering::Relaxed) > count / 4, "the writes did not join");
    told.into_iter().map(|(_, told)| told).collect()
}

#[tokio::test]
async fn a_taken_value_in_a_group_fails_its_own_caller_alone() {
    let place = Place::open("").await;
    place.items.insert(Item { code: Some("taken".into()), ..item(0) }).await.expect("inserted");
    for (upsert, base) in [(false, 1_000), (true, 2_000)] {
        let row = |at: i64| match at {
            40 => Item { code: Some("taken".into()), ..item(base + at) },
            _ => item(base + at),
        };
        let told = together(&place, (0..64).map(row).collect(), upsert).await;
        for (at, told) in told.iter().enumerate() {
            match (at, told) {
                (40, Err(error)) => {
                    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
                    assert_eq!(error.retry(), Retry::Never);
                    assert!(error.constraint().is_some_and(|name| name.contains("code")));
                }
                (40, Ok(())) => panic!("a taken value was written"),
                (_, told) => assert!(told.is_ok(), "row {at}: {told:?}"),
            }
        }
        let ids = place.ids().await;
        assert_eq!(ids.range(base..base + 64).count(), 63);
        assert!(!ids.contains(&(base + 40)));
    }
    place.check_healthy(16).await;
}

/// A row whose place is checked at the commit.
#[derive(Clone, Debug, PartialEq, Entity)]
#[sora(table = "seats")]
struct Seat {
    #[sora(key)]
    id: i64,
    place: i64,
    account: Option<i64>,
}

fn seat(id: i64) -> Seat {
    Seat { id, place: id, account: None }
}

async fn seats(place: &Place) -> Repository<Seat> {
    repository::<Account>(&place.store).await;
    let sql = "CREATE TABLE seats (id bigint PRIMARY KEY, \
                 place bigint NOT NULL CONSTRAINT one_place UNIQUE DEFERRABLE INITIALLY DEFERRED, \
                 account bigint CONSTRAINT of_account REFERENCES accounts \
                   DEFERRABLE INITIALLY DEFERRED); \
               INSERT INTO seats VALUES (0, 0)";
    place.watcher.run(sql).await;
    place.store.repository::<Seat>().await.expect("the table opens")
}

#[tokio::test]
async fn a_constraint_that_is_checked_at_the_commit_fails_the_commit() {
    let place = Place::open("").await;
    let seats = seats(&place).await;
    for (bad, kind, constraint) in [
        (Seat { place: 0, ..seat(5) }, ErrorKind::Conflict, "one_place"),
        (Seat { account: Some(99), ..seat(5) }, ErrorKind::Constraint, "of_account"),
    ] {
        let refused = |error: Error| {
            assert_eq!((error.kind(), error.retry()), (kind, Retry::Never), "{error:?}");
            assert_eq!(error.constraint(), Some(constraint), "{error:?}");
        };
        let transaction = place.store.begin().await.expect("begun");
        let inside = seats.within(&transaction);
        inside.insert(seat(4)).await.expect("inserted");
        inside.insert(bad.clone()).await.expect("not checked yet");
        refused(transaction.commit().await.expect_err("it is checked"));

        let closed: Result<()> = place
            .store
            .transaction(|transaction| {
                let (inside, bad) = (seats.within(&transaction), bad.clone());
                async move { inside.insert(bad).await.map(drop) }
            })
            .await;
        refused(closed.expect_err("it is checked"));

        refused(seats.insert(bad.clone()).await.expect_err("alone"));
        let batch = seats.batch().insert(seat(4)).insert(bad.clone()).commit().await;
        refused(batch.expect_err("a batch"));
        let report = seats.insert_many([seat(6), bad.clone(), seat(7)]).await.expect("a report");
        let told: Vec<Told> = report.outcomes.iter().map(Told::of).collect();
        assert_eq!(told, [Told::Applied, Told::Failed, Told::Applied]);
        refused(report.first_error().cloned().expect("one"));
        let stored = "SELECT id FROM seats ORDER BY id";
        assert_eq!(place.watcher.numbers(stored).await, [0, 6, 7]);
        assert_eq!(seats.delete_many([6, 7]).await.expect("a report").affected, 2);
    }
    place.check_healthy(16).await;
}

#[tokio::test]
async fn a_constraint_at_the_commit_of_a_group_fails_its_own_callers_alone() {
    let place = Place::open("").await;
    let seats = seats(&place).await;
    for (base, upsert) in [(1_000, false), (2_000, true)] {
        let row = |at: i64| match at {
            20 => Seat { place: 0, ..seat(base + at) },
            50 => Seat { account: Some(99), ..seat(base + at) },
            _ => seat(base + at),
        };
        let told = together(&place, (0..64).map(row).collect(), upsert).await;
        for (at, told) in told.iter().enumerate() {
            let kind = told.as_ref().err().map(Error::kind);
            let expected = match at {
                20 => Some(ErrorKind::Conflict),
                50 => Some(ErrorKind::Constraint),
                _ => None,
            };
            assert_eq!(kind, expected, "row {at}: {told:?}");
        }
        let sql = format!("SELECT count(*) FROM seats WHERE id >= {base} AND id < {base} + 64");
        assert_eq!(place.watcher.number(&sql).await, 62);
    }
    drop(seats);
    place.check_healthy(16).await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_and_not_done() {
    let place = Place::open("statement_timeout_ms=500").await;
    place.put(1..4).await;
    let beside = Watcher::connect(&place.database.url()).await;
    beside.run("BEGIN; UPDATE items SET amount = 5 WHERE id = 2").await;
    let items = &place.items;
    let told = [
        items.upsert(item(2)).await.map(drop),
        items.patch(2, [Item::NAME.set("new")]).await.map(drop),
        items.batch().upsert(item(1)).upsert(item(2)).commit().await.map(drop),
        items.upsert_many((1..4).map(item)).await.map(drop),
        items.delete_where(Item::ID.ge(1)).await.map(drop),
    ];
    for error in told.map(|told| told.expect_err("the row is locked")) {
        assert_eq!((error.kind(), error.is_unknown()), (ErrorKind::Timeout, false), "{error:?}");
        assert!(error.message().contains("statement_timeout"), "{error:?}");
    }
    let transaction = place.store.begin().await.expect("begun");
    let inside = items.within(&transaction);
    inside.upsert(item(1)).await.expect("not locked");
    let error = inside.upsert(item(2)).await.expect_err("the row is locked");
    assert_eq!((error.kind(), error.is_unknown()), (ErrorKind::Timeout, false), "{error:?}");
    // Its time is over, whoever says so.
    for late in [inside.upsert(item(3)).await.map(drop), transaction.commit().await] {
        assert_eq!(late.expect_err("it was rolled back").kind(), ErrorKind::Timeout);
    }
    beside.run("ROLLBACK").await;
    assert_eq!(place.watcher.number("SELECT count(*) FROM items WHERE name = 'new'").await, 0);
    place.check_healthy(16).await;
}

/// Two accounts of 100, on a server that looks for deadlocks soon.
async fn accounts(place: &Place) -> (Sora, Repository<Account>) {
    let store = open(&place.database.url(), "options=-cdeadlock_timeout%3D50ms").await;
    let accounts = repository::<Account>(&store).await;
    let rows = [1, 2].map(|id| Account { id, balance: 100 });
    assert_eq!(accounts.upsert_many(rows).await.expect("written").affected, 2);
    (store, accounts)
}

/// Takes one account and then the other, and pays.
async fn pay(accounts: &Repository<Account>, from: i64, met: &Barrier) -> Result<()> {
    accounts.patch(from, [Account::BALANCE.add(-10)]).await?;
    met.wait().await;
    accounts.patch(3 - from, [Account::BALANCE.add(10)]).await.map(drop)
}

#[tokio::test]
async fn of_a_deadlock_one_loses_and_is_told_to_try_again() {
    let place = Place::open("").await;
    let (store, accounts) = accounts(&place).await;
    let met = Barrier::new(2);
    let one = async |from| {
        let transaction = store.begin().await.expect("begun");
        let done = pay(&accounts.within(&transaction), from, &met).await;
        match done {
            Ok(()) => transaction.commit().await,
            Err(error) => {
                transaction.rollback().await.expect("rolled back");
                Err(error)
            }
        }
    };
    let (first, second) = in_time("the deadlock", async { tokio::join!(one(1), one(2)) }).await;
    let error = match (first, second) {
        (Ok(()), Err(error)) | (Err(error), Ok(())) => error,
        other => panic!("not one has lost: {other:?}"),
    };
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Serialization, Retry::Safe));
    let balances = "SELECT balance FROM accounts ORDER BY balance";
    assert_eq!(place.watcher.numbers(balances).await, [90, 110]);
    place.check_healthy(16).await;
    drop(store);
}

#[tokio::test]
async fn a_closure_that_lost_a_deadlock_runs_again() {
    let place = Place::open("").await;
    let (store, accounts) = accounts(&place).await;
    let met = Barrier::new(2);
    let runs = AtomicUsize::new(0);
    let one = async |from| {
        let options = TransactionOptions::new().retries_max(5).backoff(Backoff::default());
        let (accounts, met, runs) = (&accounts, &met, &runs);
        let done: Result<()> = store
            .transaction_with(options, |transaction| async move {
                let inside = accounts.within(&transaction);
                // The first two meet; who runs again goes on alone.
                if runs.fetch_add(1, Ordering::Relaxed) < 2 {
                    return pay(&inside, from, met).await;
                }
                pay(&inside, from, &Barrier::new(1)).await
            })
            .await;
        done
    };
    let (first, second) = in_time("the deadlock", async { tokio::join!(one(1), one(2)) }).await;
    first.expect("committed");
    second.expect("committed");
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    let balances = "SELECT balance FROM accounts";
    assert_eq!(place.watcher.numbers(balances).await, [100, 100]);
    place.check_healthy(16).await;
    drop(store);
}

#[tokio::test]
async fn a_closure_that_lost_its_view_of_the_rows_runs_again() {
    let place = Place::open("").await;
    let (store, accounts) = accounts(&place).await;
    let met = Barrier::new(2);
    let runs = AtomicUsize::new(0);
    // Each gives up what it has, if the sum permits it: write skew.
    let one = async |id| {
        let options = TransactionOptions::new().isolation(Isolation::Serializable).retries_max(5);
        let (accounts, met, runs) = (&accounts, &met, &runs);
        let done: Result<bool> = store
            .transaction_with(options, |transaction| async move {
                let inside = accounts.within(&transaction);
                let (first, second) = (inside.get(1).await?, inside.get(2).await?);
                let sum = first.map_or(0, |one| one.balance) + second.map_or(0, |one| one.balance);
                if runs.fetch_add(1, Ordering::Relaxed) < 2 {
                    met.wait().await;
                }
                if sum < 200 {
                    return Ok(false);
                }
                inside.patch(id, [Account::BALANCE.add(-100)]).await?;
                Ok(true)
            })
            .await;
        done.expect("committed")
    };
    let paid = in_time("both", async { tokio::join!(one(1), one(2)) }).await;
    assert!(paid == (true, false) || paid == (false, true), "{paid:?}");
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    assert_eq!(place.watcher.number("SELECT sum(balance)::bigint FROM accounts").await, 100);
    place.check_healthy(16).await;
    drop(store);
}

#[tokio::test]
async fn a_pool_without_a_free_connection_says_so_in_time() {
    let place = Place::open("connections_max=2&acquire_timeout_ms=100").await;
    let open = [place.store.begin().await.expect("one"), place.store.begin().await.expect("two")];
    let items = &place.items;
    let told = [
        place.store.begin().await.map(drop),
        items.upsert(item(1)).await.map(drop),
        items.insert_many([item(1), item(2)]).await.map(drop),
        items.batch().insert(item(1)).commit().await.map(drop),
        items.query(Item::ID.ge(0)).fetch().await.map(drop),
        place.store.ping().await,
    ];
    for error in told.map(|told| told.expect_err("no connection is free")) {
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Busy, Retry::Safe), "{error:?}");
        assert!(error.message().contains("connections_max"), "{error:?}");
    }
    assert_eq!(gauges(&place.store).await.waiting, 0);
    // Who waits in time gets the connection that is given back.
    let waiting = tokio::spawn({
        let items = items.clone();
        async move { items.upsert(item(3)).await }
    });
    until("the write to wait", async || gauges(&place.store).await.waiting == 1).await;
    drop(open);
    // It comes in time, or is told that it did not.
    let told = Told::of_result(&waiting.await.expect("no panic"));
    assert_eq!(place.ids().await.contains(&3), told == Told::Applied);
    assert_ne!(told, Told::Unknown);
    place.check_healthy(2).await;
}
