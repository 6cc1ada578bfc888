//! Transactions at the same time: what each level of isolation promises.
//!
//! Both stores have one writer, so each level is as good as the strongest. What is lost or skewed
//! without a transaction stands beside it, to show that the attempts are such.

use sora::provider::Isolation;
use sora::{Sora, TransactionOptions};
use tokio::task::JoinSet;

use super::{apart, balances, two_accounts};
use crate::stores::Account;

const LEVELS: [Isolation; 3] =
    [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable];

/// Runs so many tasks that each do the same at the same time.
async fn at_once<F: Future<Output = ()> + Send + 'static>(
    tasks: usize,
    mut task: impl FnMut() -> F,
) {
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        running.spawn(task());
    }
    running.join_all().await;
}

fn level(isolation: Isolation) -> TransactionOptions {
    TransactionOptions::new().isolation(isolation).retries_max(100)
}

async fn count_up(store: Sora, accounts: sora::Repository<Account>, isolation: Isolation) {
    let accounts = &accounts;
    for _ in 0..10 {
        let done = store.transaction_with(level(isolation), |tx| async move {
            let accounts = accounts.within(&tx);
            let found = accounts.get(1).await?.expect("an account");
            tokio::task::yield_now().await;
            accounts.patch(1, [Account::BALANCE.set(found.balance + 1)]).await?;
            Ok::<_, sora::Error>(())
        });
        done.await.expect("committed");
    }
}

#[tokio::test]
async fn no_update_is_lost() {
    for isolation in LEVELS {
        for (store, _place) in apart().await {
            let accounts = two_accounts(&store).await;
            at_once(8, || count_up(store.clone(), accounts.clone(), isolation)).await;
            assert_eq!(balances(&accounts).await, [180, 100], "{isolation}");
        }
    }
}

/// Takes 150 of one of two accounts if both have so much together, which is true once.
async fn withdraw(store: Sora, accounts: sora::Repository<Account>, id: i64, isolation: Isolation) {
    let accounts = &accounts;
    let done = store.transaction_with(level(isolation), |tx| async move {
        let accounts = accounts.within(&tx);
        let sum: i64 = balances(&accounts).await.iter().sum();
        tokio::task::yield_now().await;
        if sum >= 150 {
            accounts.patch(id, [Account::BALANCE.add(-150)]).await?;
        }
        Ok::<_, sora::Error>(())
    });
    done.await.expect("committed");
}

#[tokio::test]
async fn nothing_is_written_by_what_is_no_longer_so() {
    for isolation in LEVELS {
        for (store, _place) in apart().await {
            let accounts = two_accounts(&store).await;
            let mut id = 0;
            at_once(2, || {
                id += 1;
                withdraw(store.clone(), accounts.clone(), id, isolation)
            })
            .await;
            let left: i64 = balances(&accounts).await.iter().sum();
            assert_eq!(left, 50, "{isolation}");
        }
    }
}

#[tokio::test]
async fn without_a_transaction_updates_are_lost() {
    for (store, _place) in apart().await {
        let accounts = two_accounts(&store).await;
        let read = accounts.get(1).await.expect("read").expect("an account").balance;
        let read_too = accounts.get(1).await.expect("read").expect("an account").balance;
        for balance in [read, read_too] {
            accounts.patch(1, [Account::BALANCE.set(balance + 1)]).await.expect("patched");
        }
        assert_eq!(balances(&accounts).await, [101, 100]);
    }
}

#[tokio::test]
async fn nothing_uncommitted_is_seen_and_nothing_seen_changes() {
    for isolation in LEVELS {
        for (store, _place) in apart().await {
            let accounts = two_accounts(&store).await;
            let tx = store.begin_with(level(isolation)).await.expect("begun");
            assert!(tx.isolation() >= isolation);
            let inside = accounts.within(&tx);
            assert_eq!(balances(&inside).await, [100, 100]);
            let outside = accounts.clone();
            let other = tokio::spawn(async move {
                outside.patch(1, [Account::BALANCE.add(5)]).await.expect("patched");
            });
            tokio::task::yield_now().await;
            inside.patch(2, [Account::BALANCE.add(7)]).await.expect("patched");
            assert_eq!(balances(&accounts).await, [100, 100], "{isolation}");
            assert_eq!(balances(&inside).await, [100, 107], "{isolation}");
            tx.commit().await.expect("committed");
            other.await.expect("no panic");
            assert_eq!(balances(&accounts).await, [105, 107], "{isolation}");
        }
    }
}
