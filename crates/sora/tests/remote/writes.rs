//! Every way to write reaches the other node.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sora::write::{Change, OnConflict};
use sora::{Atomic, BatchOptions, Entity, Error};

use super::{Item, Node, World, item};

type Way = for<'a> fn(&'a Node) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// Each way to write item 1.
const WAYS: &[(&str, Way)] = &[
    ("patch", |node| Box::pin(async { node.items.patch(1, [Item::COUNT.set(7)]).await.map(drop) })),
    ("upsert", |node| Box::pin(async { node.items.upsert(changed()).await.map(drop) })),
    ("update", |node| Box::pin(async { node.items.update(&changed()).await.map(drop) })),
    ("upsert_many", |node| {
        Box::pin(async { node.items.upsert_many([item(0), changed()]).await.map(drop) })
    }),
    // Its key is the stored row's, which the caller need not know.
    ("upsert_on", |node| {
        Box::pin(async { node.items.upsert_on("items_name_key", changed()).await.map(drop) })
    }),
    ("patch_where", |node| {
        Box::pin(async {
            node.items.patch_where(Item::NAME.eq("n1"), [Item::COUNT.set(7)]).await.map(drop)
        })
    }),
    ("delete", |node| Box::pin(async { node.items.delete(1).await.map(drop) })),
    ("delete_many", |node| Box::pin(async { node.items.delete_many([1, 2]).await.map(drop) })),
    ("delete_where", |node| {
        Box::pin(async { node.items.delete_where(Item::COUNT.eq(0)).await.map(drop) })
    }),
    ("batch", |node| {
        Box::pin(async {
            node.items.batch().patch(1, [Item::COUNT.set(7)]).commit().await.map(drop)
        })
    }),
    ("closure", |node| {
        Box::pin(async {
            let items = &node.items;
            let write = |tx| async move {
                items.within(&tx).patch(1, [Item::COUNT.set(7)]).await.map(drop)
            };
            node.store.transaction(write).await
        })
    }),
    ("guard", |node| {
        Box::pin(async {
            let tx = node.store.begin().await?;
            node.items.within(&tx).upsert(changed()).await?;
            tx.commit().await
        })
    }),
    ("batch writer", |node| {
        Box::pin(async {
            let options = BatchOptions { atomic: Atomic::Stream, ..BatchOptions::default() };
            node.items.write_stream(One(Some(changed()))).options(options).await.map(drop)
        })
    }),
    ("a table without types", |node| {
        Box::pin(async {
            // A handle that has opened no repository, and reads nothing.
            let table = node.store.table("items").await?;
            let columns: Vec<u16> = (0..3).collect();
            let mut rows = table.intake(&columns);
            rows.row(|out| changed().encode(out))?;
            let columns = rows.columns().clone();
            let on_conflict = OnConflict::Update(table.schema().key().into());
            let change = Change::Insert { rows: Arc::new(rows.finish()), columns, on_conflict };
            table.write(change).await.map(drop)
        })
    }),
    ("invalidate", |node| {
        Box::pin(async {
            node.beside.patch(1, [Item::COUNT.set(7)]).await?;
            node.items.invalidate(1).await
        })
    }),
    ("invalidate_all", |node| {
        Box::pin(async {
            node.beside.patch(1, [Item::COUNT.set(7)]).await?;
            node.items.invalidate_all().await;
            Ok(())
        })
    }),
];

fn changed() -> Item {
    Item { count: 7, ..item(1) }
}

/// A stream of one row.
struct One(Option<Item>);

impl futures_core::Stream for One {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Item>> {
        Poll::Ready(self.0.take())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_write_takes_out_what_the_other_node_keeps() {
    for (name, way) in WAYS {
        let world = World::new().await;
        let (writer, reader) = (world.node().await, world.node().await);
        assert_eq!((reader.count(1).await, reader.count(1).await), (Some(0), Some(0)));
        assert_eq!(reader.numbers().hits, 1, "{name}: it keeps the row");
        let told = reader.numbers().told;
        way(&writer).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        // What processes share is true when the write has returned, whoever asks.
        let fresh = world.node().await;
        assert_ne!(fresh.count(1).await, Some(0), "{name}: the shared tier is stale");
        assert_ne!(writer.count(1).await, Some(0), "{name}: the writer is stale");
        reader.told(told + 1).await;
        assert_ne!(reader.count(1).await, Some(0), "{name}: the reader is stale");
    }
}
