//! What a transaction may take, and what waits for it.

use std::time::Duration;

use sora::{ErrorKind, Sora, TransactionOptions};

use super::{apart, balances, two_accounts};
use crate::stores::Account;
#[cfg(feature = "sqlite")]
use crate::stores::NewAccount;

fn add(amount: i64) -> [sora::Assign<Account>; 1] {
    [Account::BALANCE.add(amount)]
}

#[tokio::test(start_paused = true)]
async fn it_is_rolled_back_when_its_time_is_over_even_if_nobody_looks() {
    let store = Sora::open("memory:").await.expect("it opens");
    let accounts = two_accounts(&store).await;
    let tx = store.begin().await.expect("begun");
    accounts.within(&tx).patch(1, add(1)).await.expect("patched");
    tokio::time::sleep(Duration::from_millis(29_999)).await;
    accounts.within(&tx).patch(1, add(1)).await.expect("patched");
    tokio::time::sleep(Duration::from_millis(2)).await;
    // The writer is free while the guard is held.
    accounts.patch(2, add(1)).await.expect("nobody holds the writer");
    let late = accounts.within(&tx).get(1).await.expect_err("its time is over");
    assert_eq!(late.kind(), ErrorKind::Timeout);
    let message = late.to_string();
    assert!(message.contains("30000 ms") && message.contains("limits.rs"), "{message}");
    assert_eq!(tx.commit().await.expect_err("its time is over").kind(), ErrorKind::Timeout);
    assert_eq!(balances(&accounts).await, [100, 101]);
}

#[tokio::test(start_paused = true)]
async fn a_closure_ends_with_its_time() {
    let store = Sora::open("memory:").await.expect("it opens");
    let accounts = &two_accounts(&store).await;
    let options = TransactionOptions::new().time_max_ms(100);
    let started = tokio::time::Instant::now();
    let done = store.transaction_with(options, |tx| async move {
        accounts.within(&tx).patch(1, add(1)).await?;
        std::future::pending::<sora::Result<()>>().await
    });
    let error: sora::Error = done.await.expect_err("its time is over");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(started.elapsed(), Duration::from_millis(100));
    assert_eq!(balances(accounts).await, [100, 100]);
    let forever = TransactionOptions::new().time_max_ms(u64::MAX);
    store.begin_with(forever).await.expect("begun").commit().await.expect("committed");
}

#[tokio::test]
async fn a_writer_that_waits_goes_on_when_the_time_is_over() {
    for (store, _place) in apart().await {
        let accounts = two_accounts(&store).await;
        let options = TransactionOptions::new().time_max_ms(20);
        let tx = store.begin_with(options).await.expect("begun");
        accounts.within(&tx).patch(1, add(1)).await.expect("patched");
        accounts.patch(2, add(1)).await.expect("it waits, and writes");
        assert_eq!(tx.commit().await.expect_err("its time is over").kind(), ErrorKind::Timeout);
        assert_eq!(balances(&accounts).await, [100, 101]);
    }
}

/// That a write is refused, and that the error names both call sites.
fn refused<T: std::fmt::Debug>(
    done: sora::Result<T>,
    kind: ErrorKind,
    (begun, called): (u32, u32),
) {
    let error = done.expect_err("it would wait for itself");
    assert_eq!(error.kind(), kind);
    let message = error.to_string();
    for site in [
        format!("begun at: crates/sora/tests/it/transactions/limits.rs:{begun}:"),
        format!("called at: crates/sora/tests/it/transactions/limits.rs:{called}:"),
    ] {
        assert!(message.contains(&site), "{site} in {message}");
    }
}

#[tokio::test]
async fn what_waits_for_itself_is_refused_at_once_in_a_closure() {
    for ((store, _place), (other, _other_place)) in apart().await.into_iter().zip(apart().await) {
        let accounts = &two_accounts(&store).await;
        let elsewhere = &two_accounts(&other).await;
        let (again, beside, begun) = (&store, &other, line!() + 1);
        let done = store.transaction(|tx| async move {
            let kind = ErrorKind::InvalidInput;
            refused(accounts.delete(1).await, kind, (begun, line!()));
            refused(accounts.delete_where(Account::ID.gt(0)).await, kind, (begun, line!()));
            let batch = accounts.batch().delete(1);
            refused(batch.commit().await, kind, (begun, line!()));
            refused(again.begin().await, kind, (begun, line!()));
            refused(again.ensure_schema::<Account>().await, kind, (begun, line!()));
            let inner = again.transaction(|_| async { Ok::<_, sora::Error>(()) });
            refused(inner.await, kind, (begun, line!() - 1));
            // A read sees what is committed; another store is another matter.
            accounts.within(&tx).patch(1, add(1)).await?;
            assert_eq!(balances(accounts).await, [100, 100]);
            elsewhere.patch(1, add(1)).await?;
            let inner = beside.transaction(|tx| async move {
                refused(accounts.delete(1).await, kind, (begun, line!()));
                elsewhere.within(&tx).patch(1, add(1)).await
            });
            inner.await?;
            Ok::<_, sora::Error>(())
        });
        done.await.expect("committed");
        assert_eq!(balances(accounts).await, [101, 100]);
        assert_eq!(balances(elsewhere).await, [102, 100]);
        accounts.patch(1, add(1)).await.expect("the closure has ended");
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_beside_a_guard_is_refused_in_time() {
    let store = Sora::open("memory:").await.expect("it opens");
    let accounts = two_accounts(&store).await;
    let begun = line!() + 1;
    let tx = store.begin().await.expect("begun");
    let started = tokio::time::Instant::now();
    refused(accounts.delete(1).await, ErrorKind::Busy, (begun, line!()));
    refused(store.begin().await, ErrorKind::Busy, (begun, line!()));
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    tx.commit().await.expect("committed");
    assert!(accounts.delete(1).await.expect("the writer is free"));
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn what_waits_beside_a_guard_on_sqlite_is_refused_in_its_time() {
    use sora::sqlite::{Sqlite, SqliteConfig};
    let place = tempfile::TempDir::new().expect("a directory");
    let address = format!("sqlite:{}", place.path().join("sora.db").display());
    let config = SqliteConfig::parse(&address).expect("an address").busy_timeout_ms(20);
    let provider = std::sync::Arc::new(Sqlite::open(config).await.expect("it opens"));
    let store = Sora::builder().provider(provider);
    let accounts = two_accounts(&store).await;
    let begun = line!() + 1;
    let tx = store.begin().await.expect("begun");
    let new = NewAccount { owner: "Mallory".into() };
    refused(accounts.insert(new).await, ErrorKind::Busy, (begun, line!()));
    refused(store.begin().await, ErrorKind::Busy, (begun, line!()));
    tx.commit().await.expect("committed");
    assert!(accounts.delete(1).await.expect("the writer is free"));
    // It is SQLite that lets one wait for those that only read.
    let begun = line!() + 1;
    let tx = store.begin_with(TransactionOptions::new().read_only()).await.expect("begun");
    refused(accounts.delete(2).await, ErrorKind::Busy, (begun, line!()));
    tx.commit().await.expect("committed");
}

#[tokio::test]
async fn a_closure_that_only_reads_refuses_writes_beside_it() {
    for (store, _place) in apart().await {
        let (accounts, begun) = (&two_accounts(&store).await, line!() + 2);
        let reads = TransactionOptions::new().read_only();
        let done = store.transaction_with(reads, |tx| async move {
            refused(accounts.delete(1).await, ErrorKind::InvalidInput, (begun, line!()));
            Ok::<_, sora::Error>(balances(&accounts.within(&tx)).await)
        });
        assert_eq!(done.await.expect("committed"), [100, 100]);
    }
}

#[tokio::test]
async fn a_write_waits_for_a_transaction_that_ends() {
    for (store, _place) in apart().await {
        let accounts = two_accounts(&store).await;
        let tx = store.begin().await.expect("begun");
        let outside = accounts.clone();
        let waiting = tokio::spawn(async move { outside.patch(1, add(1)).await });
        tokio::task::yield_now().await;
        accounts.within(&tx).patch(1, add(1)).await.expect("patched");
        tx.commit().await.expect("committed");
        waiting.await.expect("no panic").expect("patched");
        assert_eq!(balances(&accounts).await, [102, 100]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_only_reads_in_memory_keeps_nobody_waiting() {
    let store = Sora::open("memory:").await.expect("it opens");
    let accounts = two_accounts(&store).await;
    let tx = store.begin_with(TransactionOptions::new().read_only()).await.expect("begun");
    accounts.patch(1, add(1)).await.expect("patched");
    assert_eq!(balances(&accounts.within(&tx)).await, [100, 100]);
    tx.commit().await.expect("committed");
    assert_eq!(balances(&accounts).await, [101, 100]);
}

#[test]
fn outside_a_runtime_it_says_what_it_needs() {
    let store = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(Sora::open("memory:"))
        .expect("it opens");
    let begun = std::pin::pin!(store.begin());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match begun.poll(&mut context) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
        other => panic!("{other:?}"),
    }
}
