//! The kinds of writes.

use sora::provider::BoxFuture;
use sora::write::WriteReport;
use sora::{Atomic, BatchMode, Repository, Result, Sora};
use tokio::task::JoinSet;

use crate::support::{Each, Item, Told, item};

/// What its caller is told of each row.
pub(super) type Rows = Vec<(i64, Told)>;

/// A kind of write.
pub(super) struct Path {
    pub(super) name: &'static str,
    /// Rows of one write, whose numbers follow each other.
    pub(super) rows: i64,
    pub(super) effect: Effect,
    pub(super) committing: Committing,
    /// Whether it is begun again where nothing was written.
    pub(super) begins_again: bool,
    /// Whether it is cut while its statements are prepared, too.
    pub(super) cold: bool,
    pub(super) write: for<'a> fn(&'a Sora, &'a Repository<Item>, i64) -> BoxFuture<'a, Rows>,
}

/// What a write does with its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Adds,
    Changes,
    Deletes,
}

/// What commits the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committing {
    /// The one statement.
    Statement,
    /// A commit at the end.
    Commit,
    /// Several statements, each its own rows.
    Several,
    /// Whatever it is, it is done again.
    Repeated,
}

const ONE: Path = Path {
    name: "",
    rows: 1,
    effect: Effect::Adds,
    committing: Committing::Statement,
    begins_again: false,
    cold: true,
    write: upsert,
};
const MANY: Path = Path { rows: 50, ..ONE };

pub(super) const PATHS: &[Path] = &[
    Path { name: "upsert", ..ONE },
    Path { name: "insert", write: insert, ..ONE },
    Path { name: "update", effect: Effect::Changes, write: update, ..ONE },
    Path { name: "patch", effect: Effect::Changes, write: patch, ..ONE },
    Path { name: "delete", effect: Effect::Deletes, write: delete, ..ONE },
    Path { name: "insert_many", write: insert_many, ..MANY },
    Path { name: "delete_many", effect: Effect::Deletes, write: delete_many, ..MANY },
    Path { name: "patch_where", effect: Effect::Changes, write: patch_where, ..MANY },
    Path {
        name: "upsert_many of one key twice",
        committing: Committing::Several,
        write: upsert_twice,
        ..MANY
    },
    Path {
        name: "grouped upserts",
        committing: Committing::Several,
        cold: false,
        write: grouped,
        ..MANY
    },
    Path { name: "batch", rows: 3, committing: Committing::Commit, write: batch, ..MANY },
    Path { name: "commit", rows: 2, committing: Committing::Commit, write: guard, ..MANY },
    Path { name: "closure", rows: 2, committing: Committing::Commit, write: closure, ..MANY },
    Path { name: "stream of inserts", cold: false, write: stream, ..MANY },
    Path { name: "chunk of inserts", cold: false, write: stream_of_chunks, ..MANY },
    Path {
        name: "stream of upserts",
        committing: Committing::Repeated,
        cold: false,
        write: stream_of_upserts,
        ..MANY
    },
    Path {
        name: "atomic stream",
        committing: Committing::Commit,
        begins_again: true,
        write: stream_as_a_whole,
        ..MANY
    },
];

fn ids(base: i64) -> impl Iterator<Item = i64> + Clone {
    base..base + MANY.rows
}

fn all<T>(ids: impl Iterator<Item = i64>, done: &Result<T>) -> Rows {
    ids.map(|id| (id, Told::of_result(done))).collect()
}

fn each(ids: impl Iterator<Item = i64>, done: &Result<WriteReport>) -> Rows {
    match done {
        Ok(report) => ids.zip(report.outcomes.iter().map(Told::of)).collect(),
        Err(_) => all(ids, done),
    }
}

fn upsert<'a>(_: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move { all(base..=base, &items.upsert(item(base)).await) })
}

fn insert<'a>(_: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move { all(base..=base, &items.insert(item(base)).await) })
}

fn update<'a>(_: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move { all(base..=base, &items.update(&item(base)).await) })
}

fn patch<'a>(_: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move {
        all(base..=base, &items.patch(base, [Item::NAME.set("new"), Item::AMOUNT.add(1)]).await)
    })
}

fn delete<'a>(_: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move { all(base..=base, &items.delete(base).await) })
}

fn insert_many<'a>(_: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move { each(ids(base), &items.insert_many(ids(base).map(item)).await) })
}

fn delete_many<'a>(_: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move { each(ids(base), &items.delete_many(ids(base)).await) })
}

fn patch_where<'a>(_: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move {
        let filter = Item::ID.ge(base) & Item::ID.lt(base + MANY.rows);
        all(ids(base), &items.patch_where(filter, [Item::NAME.set("new")]).await)
    })
}

/// The second half of the rows once more, in a statement of their own.
fn upsert_twice<'a>(_: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move {
        let first = ids(base).take(40);
        let second = ids(base).skip(40).chain(ids(base).take(40));
        let rows = first.map(|id| Item { name: "first".into(), ..item(id) });
        let report = items.upsert_many(rows.chain(second.map(item))).await;
        let told = each(ids(base).take(40).chain(ids(base).skip(40)).chain(ids(base)), &report);
        // Of the first 40 only the last row counts.
        let mut told: Rows = told.into_iter().skip(40).collect();
        told.sort_unstable();
        told.dedup_by_key(|(id, _)| *id);
        told
    })
}

fn grouped<'a>(_: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move {
        let mut writes = JoinSet::new();
        for id in ids(base) {
            let items = items.clone();
            writes.spawn(async move { (id, Told::of_result(&items.upsert(item(id)).await)) });
        }
        writes.join_all().await
    })
}

fn batch<'a>(_: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move {
        let batch = items.batch().insert(item(base)).upsert(item(base + 1));
        let batch = batch.insert(Item { name: "old".into(), ..item(base + 2) });
        let batch = batch.patch(base + 2, [Item::NAME.set("new")]);
        all(base..base + 3, &batch.commit().await)
    })
}

fn guard<'a>(store: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move {
        let done = async {
            let transaction = store.begin().await?;
            let inside = items.within(&transaction);
            inside.insert(item(base)).await?;
            inside.upsert(item(base + 1)).await?;
            transaction.commit().await
        };
        all(base..base + 2, &done.await)
    })
}

fn closure<'a>(store: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(async move {
        let done: Result<()> = store
            .transaction(|transaction| async move {
                let inside = items.within(&transaction);
                inside
                    .insert_many([item(base), item(base + 1)])
                    .await?
                    .first_error()
                    .map_or(Ok(()), |error| Err(error.clone()))
            })
            .await;
        all(base..base + 2, &done)
    })
}

async fn streamed(items: &Repository<Item>, base: i64, mode: BatchMode, atomic: Atomic) -> Rows {
    let mut told = Vec::new();
    let stream = items.write_stream(Each(ids(base).map(item))).mode(mode).atomic(atomic);
    let report = stream
        .on_settled(|settled| {
            let ids = settled.indexes().map(|index| base + i64::try_from(index).expect("small"));
            told.extend(ids.zip(settled.outcomes().iter().map(Told::of)));
        })
        .await
        .expect("a report");
    assert_eq!((report.counts.sum(), report.rows), (50, 50), "{report}");
    told
}

fn stream<'a>(_: &'a Sora, items: &'a Repository<Item>, base: i64) -> BoxFuture<'a, Rows> {
    Box::pin(streamed(items, base, BatchMode::Insert, Atomic::Row))
}

fn stream_of_chunks<'a>(
    _: &'a Sora,
    items: &'a Repository<Item>,
    base: i64,
) -> BoxFuture<'a, Rows> {
    Box::pin(streamed(items, base, BatchMode::Insert, Atomic::Chunk))
}

fn stream_of_upserts<'a>(
    _: &'a Sora,
    items: &'a Repository<Item>,
    base: i64,
) -> BoxFuture<'a, Rows> {
    Box::pin(streamed(items, base, BatchMode::Upsert, Atomic::Row))
}

fn stream_as_a_whole<'a>(
    _: &'a Sora,
    items: &'a Repository<Item>,
    base: i64,
) -> BoxFuture<'a, Rows> {
    Box::pin(streamed(items, base, BatchMode::Insert, Atomic::Stream))
}
