//! Writes that are committed together, of which some are refused: each fails its own caller alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sora::{Entity, Error, ErrorKind, Event, Insert, Observer, Repository, Result, Retry, Sora};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{Account, Item, Place, Told, Watcher, in_time, item, repository};

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
