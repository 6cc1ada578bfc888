//! Transactions that are given up at random.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sora::{Repository, Result, Sora};
use tokio::task::JoinSet;

use super::{in_time_of, say};
use crate::support::{Account, Place, Random, count_of, polled, repository};

/// Pays in several writes and a nested transaction.
async fn pay(store: &Sora, accounts: &Repository<Account>, from: i64) -> Result<()> {
    store
        .transaction(|transaction| async move {
            let inside = accounts.within(&transaction);
            // In one order, so that none waits for another for ever.
            inside.get_for_update(3).await?;
            inside.patch(from, [Account::BALANCE.add(-10)]).await?;
            transaction
                .transaction(|inner| async move {
                    accounts.within(&inner).patch(3 - from, [Account::BALANCE.add(10)]).await
                })
                .await?;
            inside.batch().patch(3, [Account::BALANCE.add(1)]).commit().await?;
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_are_given_up_at_random_leave_no_half_and_no_lock() {
    let drops = count_of("SORA_DROPS", 300);
    let place = Place::open("connections_max=4").await;
    let accounts = repository::<Account>(&place.store).await;
    let rows = [1, 2, 3].map(|id| Account { id, balance: 0 });
    accounts.upsert_many(rows).await.expect("written");
    let left = Arc::new(AtomicU64::new(drops));
    let mut tasks = JoinSet::new();
    for task in 0..6 {
        let (store, accounts, left) = (place.store.clone(), accounts.clone(), left.clone());
        tasks.spawn(async move {
            let (mut random, mut begun, mut done) = (Random(task), 0, 0);
            while left.load(Ordering::Relaxed) > 0 {
                begun += 1;
                let from = 1 + i64::try_from(random.below(2)).expect("small");
                let payment = pay(&store, &accounts, from);
                let ended = match random.below(2) {
                    0 => polled(payment, random.below(24)).await,
                    _ => {
                        let time = Duration::from_micros(random.below(12_000));
                        tokio::time::timeout(time, payment).await.ok()
                    }
                };
                match ended {
                    Some(ended) => {
                        ended.expect("committed");
                        done += 1;
                    }
                    None => {
                        let take = |left: u64| left.checked_sub(1);
                        let _ = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
                    }
                }
            }
            (begun, done)
        });
    }
    let sums: Vec<(i64, i64)> = in_time_of(drops, tasks.join_all()).await;
    let begun: i64 = sums.iter().map(|(begun, _)| begun).sum();
    let done: i64 = sums.iter().map(|(_, done)| done).sum();
    place.watcher.check_quiet().await;
    let found = place.watcher.numbers("SELECT balance FROM accounts ORDER BY id").await;
    assert_eq!(found[0] + found[1], 0, "one side of a payment is missing: {found:?}");
    assert!(found[2] >= done && found[2] <= begun, "{done} of {begun} were done, {found:?}");
    place.check_healthy(4).await;
    say(&format!("{begun} transactions, {done} acknowledged, {} committed", found[2]));
}
