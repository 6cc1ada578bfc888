//! Transactions over several entities.

mod alone;
mod cancel;
mod closure;
mod events;
mod flaky;
mod limits;
mod nested;

use sora::provider::Isolation;
use sora::write::Effect;
use sora::{ErrorKind, Filter, Repository, Sora, TransactionOptions};
use tempfile::TempDir;

use crate::stores::{Account, City, NewAccount, cities, city, repository, stores};

/// The error of a program of its own.
#[derive(Debug)]
pub(crate) enum Refused {
    No,
    Store(sora::Error),
}

impl From<sora::Error> for Refused {
    fn from(error: sora::Error) -> Self {
        Self::Store(error)
    }
}

/// Opens every store that needs no server and is read while somebody writes.
pub(crate) async fn apart() -> Vec<(Sora, TempDir)> {
    let mut stores = Vec::new();
    for name in ["memory", "sqlite"] {
        let place = TempDir::new().expect("a directory");
        let address = match name {
            "memory" => "memory:".into(),
            _ if cfg!(not(feature = "sqlite")) => continue,
            _ => format!("sqlite:{}", place.path().join("sora.db").display()),
        };
        stores.push((Sora::open(&address).await.expect("the store opens"), place));
    }
    stores
}

/// Returns two accounts of 100 each.
pub(crate) async fn two_accounts(store: &Sora) -> Repository<Account> {
    let accounts = repository::<Account>(store).await;
    for owner in ["Ada", "Eve"] {
        accounts.insert(NewAccount { owner: owner.into() }).await.expect("an account");
    }
    accounts
}

/// The balances in the order of their keys.
pub(crate) async fn balances(accounts: &Repository<Account>) -> Vec<i64> {
    let found = accounts.query(Filter::all()).sort(Account::ID.asc()).fetch().await.expect("read");
    found.iter().map(|account| account.balance).collect()
}

#[tokio::test]
async fn entities_change_together() {
    for (store, _place) in apart().await {
        let (accounts, cities) = (two_accounts(&store).await, cities(&store).await);
        let tx = store.begin().await.expect("begun");
        assert!(tx.isolation() >= Isolation::ReadCommitted);
        accounts.within(&tx).patch(1, [Account::BALANCE.add(5)]).await.expect("patched");
        assert!(cities.within(&tx).delete(("AK", 0)).await.expect("deleted"));
        assert_eq!(balances(&accounts).await, [100, 100]);
        assert!(cities.get(("AK", 0)).await.expect("read").is_some());
        tx.commit().await.expect("committed");
        assert_eq!(balances(&accounts).await, [105, 100]);
        assert!(cities.get(("AK", 0)).await.expect("read").is_none());

        let tx = store.begin().await.expect("begun");
        accounts.within(&tx).patch(1, [Account::BALANCE.add(5)]).await.expect("patched");
        assert!(cities.within(&tx).delete(("CA", 1)).await.expect("deleted"));
        tx.rollback().await.expect("rolled back");
        assert_eq!(balances(&accounts).await, [105, 100]);
        assert!(cities.get(("CA", 1)).await.expect("read").is_some());
    }
}

#[tokio::test]
async fn every_read_sees_what_the_transaction_wrote() {
    for (store, _place) in apart().await {
        let outside = cities(&store).await;
        let tx = store.begin().await.expect("begun");
        let cities = outside.within(&tx);
        cities.insert(city(1_000)).await.expect("inserted");
        let new = || City::NUMBER.eq(1_000);
        for (repository, seen) in [(&cities, 1), (&outside, 0)] {
            let one = repository.get(("AK", 1_000)).await.expect("read").is_some();
            let many = repository.get_many([("AK", 1_000)]).await.expect("read");
            let rows = repository.query(new()).with_total().fetch().await.expect("read");
            let mut stream = repository.query(new()).stream();
            let mut streamed = 0;
            while let Some(row) = stream.next().await {
                row.expect("a row");
                streamed += 1;
            }
            let found = [
                usize::from(one),
                many.iter().flatten().count(),
                rows.len(),
                usize::try_from(rows.total().expect("a total")).expect("small"),
                usize::try_from(repository.query(new()).count().await.expect("read"))
                    .expect("small"),
                usize::from(repository.query(new()).exists().await.expect("read")),
                repository.query(new()).first().await.expect("read").into_iter().count(),
                streamed,
            ];
            assert_eq!(found, [seen; 8]);
        }
        tx.commit().await.expect("committed");
    }
}

#[tokio::test]
async fn every_write_is_undone_with_the_transaction() {
    for store in stores().await {
        let (outside, accounts) = (cities(&store).await, two_accounts(&store).await);
        let before = outside.query(Filter::all()).fetch().await.expect("read").into_vec();
        let tx = store.begin().await.expect("begun");
        let cities = outside.within(&tx);
        cities.insert(city(1_000)).await.expect("inserted");
        let taken = cities.insert(city(1_000)).await.expect_err("taken");
        assert_eq!(taken.kind(), ErrorKind::Conflict);
        cities.insert_many((300..310).map(city)).await.expect("inserted");
        let renamed = City { name: "Renamed".into(), ..city(5) };
        cities.upsert(&renamed).await.expect("upserted");
        cities.update(&City { name: "Updated".into(), ..city(10) }).await.expect("updated");
        cities.patch(("CA", 1), [City::NAME.set("Patched")]).await.expect("patched");
        let touched = cities.patch_where(City::STATE.eq("NY"), [City::NAME.set("Gotham")]).await;
        assert_eq!(touched.expect("patched"), 52);
        assert_eq!(cities.delete_where(City::STATE.eq("TX")).await.expect("deleted"), 52);
        assert!(cities.delete(("AK", 0)).await.expect("deleted"));
        let owner = NewAccount { owner: "Mallory".into() };
        let account = accounts.within(&tx).insert(owner).await.expect("inserted");
        assert_eq!((account.version, account.balance), (1, 100));

        let seen = cities.query(City::NAME.eq("Gotham")).count().await.expect("read");
        assert_eq!(seen, 52);
        assert_eq!(cities.query(Filter::all()).count().await.expect("read"), 250 + 11 - 52 - 1);
        tx.rollback().await.expect("rolled back");
        let after = outside.query(Filter::all()).fetch().await.expect("read").into_vec();
        assert_eq!(after, before);
        assert_eq!(balances(&accounts).await, [100, 100]);
    }
}

#[tokio::test]
async fn a_batch_that_fails_is_undone_alone() {
    for store in stores().await {
        let outside = cities(&store).await;
        let tx = store.begin().await.expect("begun");
        let cities = outside.within(&tx);
        cities.insert(city(1_000)).await.expect("inserted");
        let failed = cities.batch().delete(("CA", 1)).insert(city(1_000)).commit().await;
        assert_eq!(failed.expect_err("taken").kind(), ErrorKind::Conflict);
        let done = cities.batch().delete(("WA", 4)).insert(city(1_001)).commit().await;
        assert_eq!(done.expect("done"), [Effect::Deleted, Effect::Inserted]);
        // Cut into several writes that are whole or nothing, too.
        let rows: Vec<_> = (2_000..2_000 + 10_500).map(city).collect();
        let many = insertion(&cities, rows.iter().chain([&city(5)]));
        let report = cities.table().write_atomic(many).await.expect("a report");
        assert_eq!((report.affected, report.outcomes.len()), (0, 10_501));
        let many = insertion(&cities, &rows);
        assert_eq!(cities.table().write_atomic(many).await.expect("written").affected, 10_500);
        tx.commit().await.expect("committed");
        for (key, is_there) in
            [(("AK", 1_000), true), (("CA", 1), true), (("WA", 4), false), (("CA", 1_001), true)]
        {
            assert_eq!(outside.get(key).await.expect("read").is_some(), is_there, "{key:?}");
        }
        let count = outside.query(Filter::all()).count().await.expect("read");
        assert_eq!(count, 250 + 2 - 1 + 10_500);
    }
}

fn insertion<'a>(
    cities: &Repository<City>,
    rows: impl IntoIterator<Item = &'a City>,
) -> sora::write::Change {
    use sora::{Entity, Insert};
    let mut intake = cities.table().intake(<City as Insert<City>>::COLUMNS);
    for row in rows {
        intake.row(|out| Entity::encode(row, out)).expect("a row");
    }
    let columns = intake.columns().clone();
    let rows = intake.finish().into();
    sora::write::Change::Insert { rows, columns, on_conflict: sora::write::OnConflict::Fail }
}

#[tokio::test]
async fn a_stream_fetches_its_pages_inside_and_lets_writes_between() {
    for store in stores().await {
        let outside = cities(&store).await;
        let tx = store.begin().await.expect("begun");
        let cities = outside.within(&tx);
        let pages = sora::StreamOptions { page_rows: 10 };
        let mut stream = cities.query(Filter::all()).sort(City::NUMBER.asc()).stream_with(pages);
        let mut numbers = Vec::new();
        while let Some(row) = stream.next().await {
            let row = row.expect("a row");
            // Nothing is read ahead: what is behind the page is deleted before it is fetched.
            if row.number == 9 {
                tokio::task::yield_now().await;
                let gone = cities.delete_where(City::NUMBER.gt(12)).await.expect("deleted");
                assert_eq!(gone, 237);
            }
            numbers.push(row.number);
        }
        assert_eq!(numbers, (0..13).collect::<Vec<_>>());
        // One that is dropped in the middle holds nothing.
        let mut stream = cities.query(Filter::all()).stream_with(pages);
        stream.next().await.expect("a row").expect("a row");
        drop(stream);
        cities.insert(city(7_000)).await.expect("inserted");
        tx.commit().await.expect("committed");
        assert_eq!(outside.query(Filter::all()).count().await.expect("read"), 14);
    }
}

#[tokio::test]
async fn a_transaction_that_only_reads_refuses_writes_and_locks() {
    for (store, _place) in apart().await {
        let cities = cities(&store).await;
        let options = TransactionOptions::new().isolation(Isolation::Serializable).read_only();
        let tx = store.begin_with(options.deferrable()).await.expect("begun");
        assert_eq!(tx.isolation(), Isolation::Serializable);
        let inside = cities.within(&tx);
        assert!(inside.get(("AK", 5)).await.expect("read").is_some());
        for refused in [
            inside.delete(("AK", 5)).await.map(drop),
            inside.get_for_update(("AK", 5)).await.map(drop),
            inside.batch().delete(("AK", 5)).commit().await.map(drop),
        ] {
            assert_eq!(refused.expect_err("refused").kind(), ErrorKind::ReadOnly);
        }
        assert!(inside.get(("AK", 5)).await.expect("read").is_some());
        tx.commit().await.expect("committed");
    }
}

#[tokio::test]
async fn rows_are_locked_inside_a_transaction_only() {
    for store in stores().await {
        let accounts = two_accounts(&store).await;
        let refused = accounts.get_for_update(1).await.expect_err("nothing would unlock it");
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        let tx = store.begin().await.expect("begun");
        let locked = accounts.within(&tx).get_for_update(1).await.expect("read");
        assert_eq!(locked.expect("an account").owner, "Ada");
        assert!(accounts.within(&tx).get_for_update(99).await.expect("read").is_none());
        tx.rollback().await.expect("rolled back");
    }
}

#[tokio::test]
async fn a_transaction_is_of_one_store() {
    let (one, other) = (stores().await, stores().await);
    for (one, other) in one.iter().zip(&other) {
        let accounts = two_accounts(other).await;
        let tx = one.begin().await.expect("begun");
        let strange = accounts.within(&tx);
        for refused in [strange.get(1).await.map(drop), strange.delete(1).await.map(drop)] {
            assert_eq!(refused.expect_err("another store").kind(), ErrorKind::InvalidInput);
        }
        tx.commit().await.expect("committed");
    }
}
