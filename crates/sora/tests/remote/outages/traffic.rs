//! Look-ups and writes without end, on several nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sora::{Repository, Result};
use tokio::task::JoinSet;

use super::super::{Item, Node};
use super::until;

/// Tasks that read and write items 0 to 9 until they are ended.
pub(super) struct Traffic {
    tasks: JoinSet<Result<()>>,
    requests: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
}

/// Of each node.
const READERS: i64 = 6;
const WRITERS: i64 = 2;

impl Traffic {
    pub(super) fn new(nodes: &[&Node]) -> Self {
        let (requests, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for node in nodes {
            for task in 0..READERS + WRITERS {
                let (items, requests, ends) = (node.items.clone(), requests.clone(), ends.clone());
                tasks.spawn(async move {
                    // A pace, so that the server has some of the machine.
                    let mut pace = tokio::time::interval(Duration::from_millis(1));
                    let mut turn = task;
                    while !ends.load(Ordering::SeqCst) {
                        pace.tick().await;
                        turn += 1;
                        request(&items, task < READERS, turn).await?;
                        requests.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(())
                });
            }
        }
        Self { tasks, requests, ends }
    }

    /// Waits until so many requests more have ended.
    pub(super) async fn pass(&self, requests: u64) {
        let before = self.requests.load(Ordering::SeqCst);
        until(|| self.requests.load(Ordering::SeqCst) >= before + requests || self.has_failed())
            .await;
    }

    /// Ends it; the first error of any request.
    pub(super) async fn end(self) -> Result<()> {
        self.ends.store(true, Ordering::SeqCst);
        self.tasks.join_all().await.into_iter().collect()
    }

    /// Its tasks end by themselves at an error alone.
    fn has_failed(&self) -> bool {
        Arc::strong_count(&self.ends) <= self.tasks.len()
    }
}

async fn request(items: &Repository<Item>, reads: bool, turn: i64) -> Result<()> {
    let id = turn % 10;
    match (reads, turn % 16) {
        (true, 0) => {
            let found = items.get_many([id, (id + 3) % 10, (id + 7) % 10]).await?;
            assert!(found.iter().all(Option::is_some), "they are never deleted");
        }
        (true, _) => assert!(items.get(id).await?.is_some(), "it is never deleted"),
        // All rows of the table are invalidated: nobody can name these.
        (false, 0) => {
            let name = format!("n{id}");
            items.patch_where(Item::NAME.eq(name), [Item::COUNT.add(1)]).await?;
        }
        (false, _) => items.patch(id, [Item::COUNT.add(1)]).await.map(drop)?,
    }
    Ok(())
}
