//! What the server ends or holds up: who is told what, and that nothing stays behind.

use std::sync::atomic::{AtomicUsize, Ordering};

use sora::provider::Isolation;
use sora::{Backoff, ErrorKind, Repository, Result, Retry, Sora, TransactionOptions};
use tokio::sync::Barrier;

use crate::support::{
    Account, Item, Place, Told, Watcher, gauges, in_time, item, open, repository, until,
};

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
    let place = Place::open("connections_max=2&acquire_timeout_ms=1000").await;
    let open = [place.store.begin().await.expect("one"), place.store.begin().await.expect("two")];
    let items = &place.items;
    let told: [Result<()>; 6] = tokio::join!(
        async { place.store.begin().await.map(drop) },
        async { items.upsert(item(1)).await.map(drop) },
        async { items.insert_many([item(1), item(2)]).await.map(drop) },
        async { items.batch().insert(item(1)).commit().await.map(drop) },
        async { items.query(Item::ID.ge(0)).fetch().await.map(drop) },
        place.store.ping(),
    )
    .into();
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
