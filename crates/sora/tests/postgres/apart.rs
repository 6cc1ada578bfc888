//! What transactions that run at the same time see of each other: what each level promises, and on
//! PostgreSQL no more.

use sora::provider::Isolation;
use sora::{ErrorKind, Filter, Repository, Result, Sora, TransactionOptions};
use tokio::sync::oneshot;

use crate::support::{Account, Place, in_time, repository};

/// What can go wrong between two transactions (Berenson et al., 1995).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anomaly {
    /// One sees what the other has not committed.
    DirtyRead,
    /// A row changes under one that reads it twice.
    NonRepeatableRead,
    /// A row appears to one that reads twice.
    Phantom,
    /// What one has written is overwritten by the other, which has not seen it.
    LostUpdate,
    /// Each changes what the other has read.
    WriteSkew,
}

use Anomaly::{DirtyRead, LostUpdate, NonRepeatableRead, Phantom, WriteSkew};
use Isolation::{ReadCommitted, RepeatableRead, Serializable};

/// Whether it happens on PostgreSQL. On SQLite nothing does: there is one writer.
const TABLE: [(Anomaly, Isolation, bool); 15] = [
    (DirtyRead, ReadCommitted, false),
    (DirtyRead, RepeatableRead, false),
    (DirtyRead, Serializable, false),
    (NonRepeatableRead, ReadCommitted, true),
    (NonRepeatableRead, RepeatableRead, false),
    (NonRepeatableRead, Serializable, false),
    (Phantom, ReadCommitted, true),
    (Phantom, RepeatableRead, false),
    (Phantom, Serializable, false),
    (LostUpdate, ReadCommitted, true),
    (LostUpdate, RepeatableRead, false),
    (LostUpdate, Serializable, false),
    (WriteSkew, ReadCommitted, true),
    (WriteSkew, RepeatableRead, true),
    (WriteSkew, Serializable, false),
];

#[tokio::test]
async fn each_level_keeps_apart_what_it_promises() {
    let place = Place::open("").await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sora.db");
    let sqlite = Sora::open(&format!("sqlite:{}", path.display())).await.expect("it opens");
    for (anomaly, level, happens) in TABLE {
        for (store, happens) in [(&place.store, happens), (&sqlite, false)] {
            let accounts = repository::<Account>(store).await;
            accounts.delete_where(Filter::all()).await.expect("emptied");
            let rows = [1, 2].map(|id| Account { id, balance: 100 });
            accounts.insert_many(rows).await.expect("written");
            let tried = Tried { store, accounts: &accounts, level };
            let happened = in_time("two transactions", tried.happens(anomaly)).await;
            let name = store.provider().name();
            assert_eq!(happened, happens, "{anomaly:?} at {level} on {name}");
        }
    }
    place.check_healthy(16).await;
}

/// Two transactions of one level.
struct Tried<'a> {
    store: &'a Sora,
    accounts: &'a Repository<Account>,
    level: Isolation,
}

impl Tried<'_> {
    async fn happens(&self, anomaly: Anomaly) -> bool {
        match anomaly {
            DirtyRead => self.reads_twice(false, 1).await,
            NonRepeatableRead => self.reads_twice(true, 1).await,
            Phantom => self.reads_twice(true, 3).await,
            LostUpdate => {
                // Each adds 10 to the account that both have read.
                self.both_write([1, 1], i64::MAX).await && self.balances().await[0] == 110
            }
            WriteSkew => {
                // Each adds 10 to an account of its own, unless the sum of both is above 200.
                self.both_write([1, 2], 200).await && self.balances().await == [110, 110]
            }
        }
    }

    fn options(&self) -> TransactionOptions {
        TransactionOptions::new().isolation(self.level)
    }

    async fn balances(&self) -> Vec<i64> {
        balances(self.accounts).await
    }

    /// Whether a transaction that reads twice sees what another has written to an account meanwhile,
    /// and has committed or not. Where there is one writer, the other waits for its end.
    async fn reads_twice(&self, commits: bool, id: i64) -> bool {
        let (has_read, read) = oneshot::channel();
        let (has_written, written) = oneshot::channel();
        let (may_end, end) = oneshot::channel();
        let is_alone = self.store.capability().writer_wait_ms.is_some();
        let reads = async {
            let transaction = self.store.begin_with(self.options()).await.expect("begun");
            assert!(transaction.isolation() >= self.level);
            let inside = self.accounts.within(&transaction);
            let before = balances(&inside).await;
            has_read.send(()).expect("the other waits");
            if !is_alone {
                written.await.expect("the other has written");
            }
            let after = balances(&inside).await;
            transaction.commit().await.expect("it only reads");
            // The other has gone if it had ended already.
            let _ = may_end.send(());
            before != after
        };
        let writes = async {
            read.await.expect("the first has read");
            let transaction = self.store.begin_with(self.options()).await.expect("begun");
            let row = Account { id, balance: 7 };
            self.accounts.within(&transaction).upsert(row).await.expect("written");
            if commits {
                transaction.commit().await.expect("committed");
                let _ = has_written.send(());
            } else {
                let _ = has_written.send(());
                end.await.expect("the first has ended");
                transaction.rollback().await.expect("rolled back");
            }
        };
        tokio::join!(reads, writes).0
    }

    /// Two transactions read the accounts and add 10 to one each if the sum permits it, the second
    /// between the read and the write of the first where it can: where there is one writer it waits.
    /// Returns whether both were committed.
    async fn both_write(&self, ids: [i64; 2], sum_max: i64) -> bool {
        let (has_read, read) = oneshot::channel();
        let (may_write, written) = oneshot::channel();
        let is_alone = self.store.capability().writer_wait_ms.is_some();
        let first = async {
            let transaction = self.store.begin_with(self.options()).await.expect("begun");
            let inside = self.accounts.within(&transaction);
            let before = balances(&inside).await;
            has_read.send(()).expect("the second waits");
            if !is_alone {
                written.await.expect("the second has written");
            }
            add(&inside, ids[0], &before, sum_max).await?;
            transaction.commit().await
        };
        let second = async {
            read.await.expect("the first has read");
            let transaction = self.store.begin_with(self.options()).await.expect("begun");
            let inside = self.accounts.within(&transaction);
            let before = balances(&inside).await;
            let done = match add(&inside, ids[1], &before, sum_max).await {
                Ok(()) => transaction.commit().await,
                Err(error) => Err(error),
            };
            let _ = may_write.send(());
            done
        };
        let (first, second): (Result<()>, Result<()>) = tokio::join!(first, second);
        let lost = [&first, &second].into_iter().filter_map(|done| done.as_ref().err());
        for error in lost {
            assert_eq!(error.kind(), ErrorKind::Serialization, "{error:?}");
        }
        assert!(first.is_ok() || second.is_ok(), "both have lost");
        first.is_ok() && second.is_ok()
    }
}

async fn balances(accounts: &Repository<Account>) -> Vec<i64> {
    let rows = accounts.query(Filter::all()).sort(Account::ID.asc()).fetch().await.expect("read");
    rows.iter().map(|account| account.balance).collect()
}

/// Sets an account to 10 more than was read, if the sum that was read permits it.
async fn add(accounts: &Repository<Account>, id: i64, read: &[i64], sum_max: i64) -> Result<()> {
    if read.iter().sum::<i64>() > sum_max {
        return Ok(());
    }
    let balance = read[usize::try_from(id - 1).expect("small")] + 10;
    accounts.patch(id, [Account::BALANCE.set(balance)]).await.map(drop)
}
