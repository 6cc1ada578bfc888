//! A shared tier without a fence: to see that the tests would notice.

use std::sync::Arc;

use sora::Result;
use sora::provider::BoxFuture;
use sora::redis::RedisTier;
use sora::remote::{
    Fill, Filled, Remote, RemoteCapability, RemoteListener, RemoteName, RemoteTraffic, Slot, Token,
};
use sora_testbed::Redis;

use super::row_keys;

/// Redis as caches use it that have no leases: whoever has loaded a row puts it there, whatever has
/// happened since. All rows are invalidated by looking for them and deleting each.
#[derive(Debug)]
pub(crate) struct Unfenced {
    pub(crate) tier: RedisTier,
    pub(crate) url: String,
    pub(crate) application: String,
}

impl Remote for Unfenced {
    fn name(&self) -> &'static str {
        "unfenced"
    }

    fn capability(&self) -> RemoteCapability {
        self.tier.capability()
    }

    fn traffic(&self) -> RemoteTraffic {
        self.tier.traffic()
    }

    fn fetch<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<Slot>>> {
        self.tier.fetch(names)
    }

    fn lease<'a>(
        &'a self,
        names: &'a [RemoteName],
        token: Token,
        time_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Slot>>> {
        self.tier.lease(names, token, time_ms)
    }

    fn fill<'a>(
        &'a self,
        fills: Vec<Fill>,
        token: Token,
        counters: &'a [RemoteName],
    ) -> BoxFuture<'a, Result<Filled>> {
        Box::pin(async move {
            let names: Vec<RemoteName> = fills.iter().map(|fill| fill.name.clone()).collect();
            self.tier.remove(&names).await?;
            self.tier.lease(&names, token, 60_000).await?;
            let filled = self.tier.fill(fills, token, &[]).await?;
            Ok(Filled { counters: vec![Some(1); counters.len()], ..filled })
        })
    }

    fn release<'a>(&'a self, names: &'a [RemoteName], token: Token) -> BoxFuture<'a, Result<()>> {
        self.tier.release(names, token)
    }

    fn remove<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<()>> {
        self.tier.remove(names)
    }

    fn block<'a>(&'a self, names: &'a [RemoteName], time_ms: u64) -> BoxFuture<'a, Result<()>> {
        self.tier.block(names, time_ms)
    }

    fn counters<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(async { Ok(vec![1; names.len()]) })
    }

    fn bump<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(async {
            let redis = Redis::given(&self.url).expect("an address");
            for key in row_keys(&redis, &self.application) {
                redis.command(&[b"DEL", &*key]).expect("deleted");
            }
            Ok(vec![1; names.len()])
        })
    }

    fn listen(&self, listener: Arc<dyn RemoteListener>) {
        self.tier.listen(listener);
    }
}
