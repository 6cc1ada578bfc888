use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sora::{Backoff, ErrorKind, Sora, TransactionOptions};

use super::flaky::{Failure, Flaky};
use super::{Refused, balances, two_accounts};
use crate::stores::{Account, repository, stores};

#[tokio::test]
async fn it_commits_a_value_and_undoes_an_error() {
    for store in stores().await {
        let accounts = &two_accounts(&store).await;
        let add = |amount| [Account::BALANCE.add(amount)];
        let found = store.transaction(|tx| async move {
            let accounts = accounts.within(&tx);
            accounts.patch(1, add(1)).await?;
            Ok::<_, sora::Error>(accounts.get(1).await?.expect("an account").balance)
        });
        assert_eq!(found.await.expect("committed"), 101);
        let refused = store.transaction(|tx| async move {
            accounts.within(&tx).patch(1, add(1)).await?;
            Err::<(), _>(Refused::No)
        });
        assert!(matches!(refused.await, Err(Refused::No)));
        let failed = store.transaction(|tx| async move {
            accounts.within(&tx).patch(1, add(1)).await?;
            accounts.within(&tx).patch(1, add(i64::MAX)).await?;
            Ok::<_, Refused>(())
        });
        let Err(Refused::Store(error)) = failed.await else { panic!("it overflows") };
        assert_eq!(error.kind(), ErrorKind::Constraint);
        assert_eq!(balances(accounts).await, [101, 100]);
    }
}

#[tokio::test]
async fn a_panic_undoes_it() {
    for store in stores().await {
        let accounts = two_accounts(&store).await;
        let (at, inside) = (store.clone(), accounts.clone());
        let panicked = tokio::spawn(async move {
            let inside = &inside;
            at.transaction(|tx| async move {
                inside.within(&tx).patch(1, [Account::BALANCE.add(1)]).await?;
                assert!(inside.within(&tx).get(1).await?.is_none(), "on purpose");
                Ok::<_, sora::Error>(())
            })
            .await
        });
        assert!(panicked.await.expect_err("it panics").is_panic());
        assert_eq!(balances(&accounts).await, [100, 100]);
        accounts.patch(1, [Account::BALANCE.add(1)]).await.expect("nobody holds the writer");
    }
}

#[tokio::test]
async fn its_handle_works_in_tasks_of_its_own() {
    for store in stores().await {
        let accounts = &two_accounts(&store).await;
        let done = store.transaction(|tx| async move {
            let mut tasks = tokio::task::JoinSet::new();
            for id in [1, 2].repeat(10) {
                let accounts = accounts.within(&tx);
                tasks.spawn(async move { accounts.patch(id, [Account::BALANCE.add(1)]).await });
            }
            for done in tasks.join_all().await {
                done?;
            }
            Ok::<_, sora::Error>(())
        });
        done.await.expect("committed");
        assert_eq!(balances(accounts).await, [110, 110]);
    }
}

#[tokio::test]
async fn a_handle_that_outlives_it_is_of_no_use() {
    for store in stores().await {
        let accounts = two_accounts(&store).await;
        for commits in [true, false] {
            let tx = store.begin().await.expect("begun");
            let late = accounts.within(&tx);
            match commits {
                true => tx.commit().await.expect("committed"),
                false => tx.rollback().await.expect("rolled back"),
            }
            for error in [late.get(1).await.map(drop), late.delete(1).await.map(drop)] {
                let error = error.expect_err("ended");
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                let word = if commits { "was committed" } else { "was rolled back" };
                assert!(error.message().contains(word), "{error}");
            }
        }
        assert_eq!(balances(&accounts).await, [100, 100]);
    }
}

/// Opens a store whose next sessions fail so.
pub(crate) async fn failing(next: &[Failure]) -> (Sora, Flaky) {
    let flaky = Flaky::default();
    let store = Sora::builder().layer(flaky.clone()).open("memory:").await.expect("it opens");
    two_accounts(&store).await;
    flaky.with(|script| script.next = next.to_vec());
    (store, flaky)
}

#[tokio::test(start_paused = true)]
async fn what_lost_runs_again_as_often_as_it_may() {
    use Failure::{Commit, None, Read, Unknown, UnknownLost, Write};
    let lost = Some(ErrorKind::Serialization);
    for (next, retries_max, runs, failed, balance) in [
        (&[][..], 5, 1, Option::None, 101),
        (&[Read, Write, Commit], 3, 4, Option::None, 101),
        (&[Read, Write, Commit], 2, 3, lost, 100),
        (&[Commit, None], 0, 1, lost, 100),
        // Committed, and nobody knows: never again.
        (&[Unknown, None], 5, 1, Some(ErrorKind::Unavailable), 101),
        (&[UnknownLost, None], 5, 1, lost, 101),
        (&[Write, Unknown, None], 5, 2, Some(ErrorKind::Unavailable), 101),
    ] {
        let (store, flaky) = failing(next).await;
        let accounts = &repository::<Account>(&store).await;
        let count = &AtomicUsize::new(0);
        let backoff = Backoff::new(100, 300).random(|| 0.5);
        let started = tokio::time::Instant::now();
        let options = TransactionOptions::new().retries_max(retries_max).backoff(backoff);
        let done = store.transaction_with(options, |tx| async move {
            count.fetch_add(1, Ordering::Relaxed);
            let accounts = accounts.within(&tx);
            accounts.get(1).await?;
            accounts.patch(1, [Account::BALANCE.add(1)]).await?;
            Ok::<_, Refused>(())
        });
        let done = done.await;
        assert_eq!(count.load(Ordering::Relaxed), runs, "{next:?}");
        let kind = match &done {
            Ok(()) => Option::None,
            Err(Refused::Store(error)) => {
                let is_unknown = matches!(next[runs - 1], Unknown | UnknownLost);
                assert_eq!(error.is_unknown(), is_unknown, "{next:?}");
                assert_eq!(error.message().contains("not known whether"), is_unknown, "{error}");
                Some(error.kind())
            }
            Err(Refused::No) => panic!("not its error"),
        };
        assert_eq!(kind, failed, "{next:?}");
        let waited: u64 = [50, 100, 150, 150, 150][..runs - 1].iter().sum();
        assert_eq!(started.elapsed(), Duration::from_millis(waited), "{next:?}");
        assert_eq!(balances(accounts).await[0], balance, "{next:?}");
        assert_eq!(flaky.with(|script| script.committed), usize::from(balance == 101), "{next:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_lost_runs_again_whatever_the_closure_makes_of_it() {
    let (store, _) = failing(&[Failure::Write, Failure::Write, Failure::None]).await;
    let accounts = &repository::<Account>(&store).await;
    let runs = &AtomicUsize::new(0);
    let options = TransactionOptions::new().retries_max(5);
    let done = store.transaction_with(options, |tx| async move {
        let run = runs.fetch_add(1, Ordering::Relaxed);
        let accounts = accounts.within(&tx);
        let done = accounts.patch(1, [Account::BALANCE.add(1)]).await;
        // The transaction is lost, and stays so.
        assert_eq!(accounts.get(1).await.is_err(), done.is_err());
        match run {
            0 => done.map(drop).map_err(|_| Refused::No),
            _ => Ok(()),
        }
    });
    done.await.expect("committed");
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    assert_eq!(balances(accounts).await, [101, 100]);
}

#[tokio::test]
async fn an_error_of_its_own_does_not_run_again() {
    let (store, _) = failing(&[]).await;
    let runs = &AtomicUsize::new(0);
    let options = TransactionOptions::new().retries_max(5);
    let done = store.transaction_with(options, |_| async move {
        runs.fetch_add(1, Ordering::Relaxed);
        Err::<(), _>(Refused::Store(sora::Error::new(ErrorKind::Serialization, "another store")))
    });
    done.await.expect_err("its error");
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_savepoint_that_fails_ends_it() {
    let (store, _) = failing(&[Failure::Savepoint]).await;
    let accounts = repository::<Account>(&store).await;
    let tx = store.begin().await.expect("begun");
    accounts.within(&tx).delete(1).await.expect("deleted");
    assert_eq!(tx.begin().await.expect_err("it fails").kind(), ErrorKind::Store);
    assert_eq!(tx.commit().await.expect_err("it failed").kind(), ErrorKind::Store);
    assert_eq!(balances(&accounts).await, [100, 100]);
}

#[tokio::test]
async fn a_store_without_transactions_refuses_before_any_work() {
    let (store, flaky) = failing(&[]).await;
    flaky.with(|script| script.no_transactions = true);
    let ran = &AtomicUsize::new(0);
    let done = store.transaction(|_| async move {
        ran.fetch_add(1, Ordering::Relaxed);
        Ok::<_, sora::Error>(())
    });
    assert_eq!(done.await.expect_err("refused").kind(), ErrorKind::Unsupported);
    assert_eq!(store.begin().await.expect_err("refused").kind(), ErrorKind::Unsupported);
    assert_eq!((ran.load(Ordering::Relaxed), flaky.with(|script| script.opened)), (0, 0));
}

/// The futures can be spawned, and the errors are those of the program.
#[tokio::test]
async fn it_runs_in_a_task_with_an_error_of_any_kind() {
    type Any = Box<dyn std::error::Error + Send + Sync>;
    for store in stores().await {
        let accounts = Arc::new(two_accounts(&store).await);
        let done = tokio::spawn(async move {
            store
                .transaction(|tx| {
                    let accounts = accounts.clone();
                    async move {
                        accounts.within(&tx).delete(1).await?;
                        let number: i64 = "no number".parse()?;
                        Ok::<_, Any>(number)
                    }
                })
                .await
                .map_err(|error| (error.to_string(), accounts))
        });
        let (error, accounts) = done.await.expect("no panic").expect_err("no number");
        assert!(error.contains("invalid digit"), "{error}");
        assert_eq!(balances(&accounts).await, [100, 100]);
    }
}
