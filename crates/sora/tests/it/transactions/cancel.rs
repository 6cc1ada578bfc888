//! Transactions that are given up, after every poll and at random.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use sora::{ErrorKind, Filter, Repository, Sora};
use tokio::task::JoinSet;

use super::closure::failing;
use super::flaky::Failure;
use super::{apart, balances, two_accounts};
use crate::stores::{Account, NewAccount, repository};

/// Gives a future up after so many polls, unless it has ended.
struct GiveUp<'f, F> {
    future: Pin<&'f mut F>,
    polls: u64,
}

impl<F: Future> Future for GiveUp<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        if let Poll::Ready(value) = self.future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        if self.polls == 0 { Poll::Ready(None) } else { Poll::Pending }
    }
}

async fn give_up<F: Future>(future: F, polls: u64) -> Option<F::Output> {
    let future = pin!(future);
    GiveUp { future, polls }.await
}

/// Moves money in several writes, a nested transaction and a batch, and adds an account for it.
async fn transfer(store: &Sora, accounts: &Repository<Account>) -> sora::Result<()> {
    store
        .transaction(|tx| async move {
            let inside = accounts.within(&tx);
            inside.get_for_update(1).await?;
            inside.patch(1, [Account::BALANCE.add(-10)]).await?;
            tx.transaction(|inner| async move {
                accounts.within(&inner).patch(2, [Account::BALANCE.add(4)]).await
            })
            .await?;
            let batch = inside.batch().patch(2, [Account::BALANCE.add(6)]);
            batch.patch(1, [Account::BALANCE.add(0)]).commit().await?;
            inside.insert(NewAccount { owner: "paid".into() }).await?;
            Ok(())
        })
        .await
}

/// The same by a guard.
async fn transfer_guarded(store: &Sora, accounts: &Repository<Account>) -> sora::Result<()> {
    let tx = store.begin().await?;
    let inside = accounts.within(&tx);
    inside.patch(1, [Account::BALANCE.add(-10)]).await?;
    let inner = tx.begin().await?;
    accounts.within(&inner).patch(2, [Account::BALANCE.add(10)]).await?;
    inner.commit().await?;
    inside.insert(NewAccount { owner: "paid".into() }).await?;
    tx.commit().await
}

/// How many transfers were done, each as a whole.
async fn whole(accounts: &Repository<Account>) -> u64 {
    let paid = accounts.query(Account::OWNER.eq("paid")).count().await.expect("read");
    let moved = i64::try_from(paid).expect("small") * 10;
    assert_eq!(balances(accounts).await[..2], [100 - moved, 100 + moved]);
    paid
}

#[tokio::test]
async fn given_up_after_any_poll_it_is_done_in_whole_or_not_at_all() {
    for (store, _place) in apart().await {
        let accounts = two_accounts(&store).await;
        for guarded in [false, true] {
            let mut polls = 0;
            loop {
                let before = whole(&accounts).await;
                let done = match guarded {
                    true => give_up(transfer_guarded(&store, &accounts), polls).await,
                    false => give_up(transfer(&store, &accounts), polls).await,
                };
                // Nobody holds the writer, and what a commit does that was given up is done by now.
                accounts.patch(1, [Account::BALANCE.add(0)]).await.expect("the writer is free");
                let after = whole(&accounts).await;
                match done {
                    Some(done) => {
                        done.expect("committed");
                        assert_eq!(after, before + 1);
                        break;
                    }
                    None => assert!(after == before || after == before + 1, "after {polls} polls"),
                }
                polls += 1;
            }
            assert!(polls > 0, "it was given up at least once");
        }
    }
}

/// A small generator of numbers (xorshift64*, <https://doi.org/10.1145/2845077>).
fn next(seed: &AtomicU64) -> u64 {
    let step = |mut state: u64| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state
    };
    let before = seed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| Some(step(state)));
    step(before.unwrap_or_default()).wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
}

/// 1,000 transactions that are given up at random while others run; `SORA_TEST_DROPS` says how many
/// otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_up_at_random_they_leave_nothing_half_done() {
    let drops: u64 = match std::env::var("SORA_TEST_DROPS") {
        Ok(drops) => drops.parse().expect("SORA_TEST_DROPS is a number"),
        Err(_) => 1_000,
    };
    for (store, _place) in apart().await {
        let accounts = two_accounts(&store).await;
        let (seed, left) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(drops)));
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            let (store, accounts) = (store.clone(), accounts.clone());
            let (seed, left) = (seed.clone(), left.clone());
            tasks.spawn(async move {
                let mut done = 0;
                let take = |left: u64| left.checked_sub(1);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                    let polls = next(&seed) % 24;
                    let ended = match next(&seed) % 2 {
                        0 => give_up(transfer(&store, &accounts), polls).await,
                        _ => give_up(transfer_guarded(&store, &accounts), polls).await,
                    };
                    if let Some(ended) = ended {
                        ended.expect("committed");
                        done += 1;
                    }
                }
                done
            });
        }
        let done: u64 = tasks.join_all().await.iter().sum();
        accounts.patch(1, [Account::BALANCE.add(0)]).await.expect("the writer is free");
        let found = whole(&accounts).await;
        assert!(done <= found && found <= drops, "{done} of {found} done, {drops} tried");
        assert!(found < drops, "none was given up");
        assert!(accounts.query(Filter::all()).count().await.expect("read") == found + 2);
    }
}

#[tokio::test]
async fn a_write_that_is_given_up_ends_its_transaction_and_a_read_does_not() {
    let (store, flaky) = failing(&[Failure::Hangs, Failure::Hangs]).await;
    let accounts = repository::<Account>(&store).await;
    let tx = store.begin().await.expect("begun");
    let inside = accounts.within(&tx);
    assert!(give_up(inside.get(1), 1).await.is_none());
    assert!(give_up(inside.get(1), 1).await.is_none(), "it hangs, and is not refused");
    assert!(give_up(inside.delete(1), 1).await.is_none());
    let late = inside.get(1).await.expect_err("it has ended");
    assert_eq!(late.kind(), ErrorKind::Cancelled);
    accounts.patch(1, [Account::BALANCE.add(1)]).await.expect("the writer is free");
    assert_eq!(tx.commit().await.expect_err("it has ended").kind(), ErrorKind::Cancelled);
    assert_eq!(flaky.with(|script| script.committed), 0);

    let tx = store.begin().await.expect("begun");
    let inside = accounts.within(&tx);
    assert!(give_up(inside.batch().delete(1).delete(2).commit(), 1).await.is_none());
    assert_eq!(tx.commit().await.expect_err("it has ended").kind(), ErrorKind::Cancelled);
    assert_eq!(balances(&accounts).await, [101, 100]);
}

#[tokio::test(start_paused = true)]
async fn what_ends_while_an_operation_has_the_session_is_rolled_back_behind_it() {
    let (store, _) = failing(&[Failure::Hangs]).await;
    let accounts = repository::<Account>(&store).await;
    let tx = store.begin().await.expect("begun");
    let inside = accounts.within(&tx);
    let mut read = Box::pin(inside.get(1));
    assert!(GiveUp { future: read.as_mut(), polls: 1 }.await.is_none());
    drop(tx);
    drop(read);
    // The handle is still there, and the writer is free.
    let outside = accounts.patch(1, [Account::BALANCE.add(1)]);
    let wait = std::time::Duration::from_secs(1);
    tokio::time::timeout(wait, outside).await.expect("in time").expect("patched");
    assert_eq!(inside.get(1).await.expect_err("it has ended").kind(), ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn what_hangs_ends_with_the_time_of_its_transaction() {
    let (store, _) = failing(&[Failure::Hangs]).await;
    let accounts = repository::<Account>(&store).await;
    let tx = store.begin().await.expect("begun");
    let error = accounts.within(&tx).delete(1).await.expect_err("it hangs");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(tx.commit().await.expect_err("it has ended").kind(), ErrorKind::Timeout);
    assert_eq!(balances(&accounts).await, [100, 100]);
}
