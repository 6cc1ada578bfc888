use sora::{ErrorKind, Transaction};

use super::{Refused, balances, two_accounts};
use crate::stores::{Account, stores};

#[tokio::test]
async fn a_nested_one_is_undone_alone() {
    for store in stores().await {
        let accounts = &two_accounts(&store).await;
        let done: Result<(), Refused> = store
            .transaction(|tx| async move {
                accounts.within(&tx).patch(1, [Account::BALANCE.add(1)]).await?;
                let inner = tx.transaction(|inner| async move {
                    accounts.within(&inner).patch(1, [Account::BALANCE.add(10)]).await?;
                    inner
                        .transaction(|innermost| async move {
                            accounts.within(&innermost).patch(2, [Account::BALANCE.add(5)]).await?;
                            Ok::<_, Refused>(())
                        })
                        .await?;
                    Err::<(), _>(Refused::No)
                });
                assert!(matches!(inner.await, Err(Refused::No)));
                let kept = tx.transaction(|inner| async move {
                    accounts.within(&inner).patch(2, [Account::BALANCE.add(100)]).await
                });
                kept.await?;
                Ok(())
            })
            .await;
        done.expect("committed");
        assert_eq!(balances(accounts).await, [101, 200]);
    }
}

#[tokio::test]
async fn a_nested_one_that_is_dropped_is_undone() {
    for store in stores().await {
        let accounts = two_accounts(&store).await;
        for ends_at_once in [false, true] {
            let tx = store.begin().await.expect("begun");
            let add = |amount| [Account::BALANCE.add(amount)];
            accounts.within(&tx).patch(1, add(1)).await.expect("patched");
            let inner = tx.begin().await.expect("begun");
            accounts.within(&inner).patch(1, add(10)).await.expect("patched");
            let innermost = inner.begin().await.expect("begun");
            accounts.within(&innermost).patch(2, add(10)).await.expect("patched");
            // Those inside it go with it.
            drop(inner);
            let late = accounts.within(&innermost).patch(2, add(1)).await.expect_err("ended");
            assert_eq!(late.kind(), ErrorKind::InvalidInput);
            if !ends_at_once {
                accounts.within(&tx).patch(2, add(1)).await.expect("patched");
                let again = tx.begin().await.expect("begun");
                accounts.within(&again).patch(2, add(10)).await.expect("patched");
                drop(again);
            }
            tx.commit().await.expect("committed");
            drop(innermost);
        }
        assert_eq!(balances(&accounts).await, [102, 101]);
    }
}

#[tokio::test]
async fn only_the_innermost_handle_is_of_use() {
    for store in stores().await {
        let accounts = two_accounts(&store).await;
        let tx = store.begin().await.expect("begun");
        let inner = tx.begin().await.expect("begun");
        let refused = accounts.within(&tx).get(1).await.expect_err("another is open inside");
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        assert!(refused.message().contains("another transaction is open inside"), "{refused}");
        let handle: Transaction = inner.clone();
        inner.commit().await.expect("kept");
        let late = accounts.within(&handle).get(1).await.expect_err("ended");
        assert!(late.message().contains("the nested transaction of this handle has ended"));
        accounts.within(&tx).patch(1, [Account::BALANCE.add(1)]).await.expect("patched");
        let inner = tx.begin().await.expect("begun");
        let refused = tx.commit().await.expect_err("another is open inside");
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        drop(inner);
        assert_eq!(balances(&accounts).await, [100, 100]);
    }
}

#[tokio::test]
async fn depth_is_bounded() {
    for store in stores().await {
        let accounts = two_accounts(&store).await;
        let tx = store.begin().await.expect("begun");
        let mut guards = Vec::new();
        let mut handle: Transaction = tx.clone();
        for _ in 0..Transaction::DEPTH_MAX {
            let guard = handle.begin().await.expect("begun");
            handle = guard.clone();
            guards.push(guard);
        }
        assert_eq!(handle.begin().await.expect_err("too deep").kind(), ErrorKind::Limit);
        accounts.within(&handle).patch(1, [Account::BALANCE.add(1)]).await.expect("patched");
        while let Some(guard) = guards.pop() {
            guard.commit().await.expect("kept");
        }
        tx.commit().await.expect("committed");
        assert_eq!(balances(&accounts).await, [101, 100]);
    }
}
