//! A store that takes few keys at once.

use sora_core::Result;
use sora_core::plan::Negotiation;
use sora_core::provider::{
    Administer, Administered, Capability, Layer, Provider, Session, SessionOptions, SharedProvider,
};
use sora_core::read::{Access, Read, ReadReport};
use sora_core::write::{Write, WriteReport};
use sora_core::{LiveTable, RowSink};

use super::*;

const KEYS_MAX: usize = 3;

#[derive(Debug)]
struct Narrow;

#[derive(Debug)]
struct NarrowStore(SharedProvider);

impl Layer for Narrow {
    fn layer(&self, inner: SharedProvider) -> SharedProvider {
        Arc::new(NarrowStore(inner))
    }
}

impl Provider for NarrowStore {
    fn name(&self) -> &'static str {
        "narrow"
    }

    fn capability(&self) -> Capability {
        let mut capability = self.0.capability();
        capability.keys_max = KEYS_MAX;
        capability
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        self.0.negotiate(ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        if let Access::Keys(keys) = &read.access {
            assert!(keys.len() <= KEYS_MAX, "{} keys at once", keys.len());
        }
        self.0.read(read, sink).await
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        self.0.write(write, sink).await
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        self.0.describe(table).await
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        self.0.administer(task).await
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        self.0.open(options).await
    }
}

#[tokio::test]
async fn many_keys_are_read_in_as_few_parts_as_the_store_permits() {
    let world = World::new().await;
    let held = Held::default();
    // The reads are counted beneath the layer that looks at them.
    let builder = Sora::builder().layer(held.clone()).layer(Narrow);
    let store = builder.cache(Cache::new().all(POLICY)).provider(world.store.clone());
    let items = store.repository::<Item>().await.expect("a repository");
    let keys = [7, 3, 99, 7, 1, 19, 0, 3, 98, 5];
    let expected = [7, 3, -1, 7, 1, 19, 0, 3, -1, 5];
    for reads in [3, 0] {
        let found = items.get_many(keys).await.expect("look-ups");
        let ids: Vec<_> = found.iter().map(|it| it.as_ref().map_or(-1, |it| it.id)).collect();
        assert_eq!((ids, held.take_reads()), (expected.to_vec(), reads), "8 keys, 3 at once");
    }
}
