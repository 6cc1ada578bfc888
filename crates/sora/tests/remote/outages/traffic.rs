//! Look-ups and writes without end, on several nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
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
    written: Arc<AtomicI64>,
}

/// All rows, of which some writes name none.
const ANY: i64 = 16;
/// All rows, one by one.
const EACH: i64 = 10;
/// The first ones.
const FIRST: i64 = 4;

/// Of each node.
const READERS: i64 = 6;
const WRITERS: i64 = 2;

impl Traffic {
    pub(super) fn new(nodes: &[&Node]) -> Self {
        let (requests, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let written = Arc::new(AtomicI64::new(ANY));
        let mut tasks = JoinSet::new();
        for (number, node) in (0..).zip(nodes) {
            for task in 0..READERS + WRITERS {
                let (items, requests, ends) = (node.items.clone(), requests.clone(), ends.clone());
                let written = written.clone();
                tasks.spawn(async move {
                    // A pace, so that the server has some of the machine.
                    let mut pace = tokio::time::interval(Duration::from_millis(1));
                    let mut turn = task;
                    while !ends.load(Ordering::SeqCst) {
                        pace.tick().await;
                        turn += 1;
                        match task < READERS {
                            true => read(&items, turn).await?,
                            false => {
                                let rows = written.load(Ordering::SeqCst);
                                write(&items, number + 2 * turn, rows).await?;
                            }
                        }
                        requests.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(())
                });
            }
        }
        Self { tasks, requests, ends, written }
    }

    /// Writes name their rows from here on: none takes out what it does not change.
    pub(super) fn name_rows(&self) {
        self.written.store(EACH, Ordering::SeqCst);
    }

    /// Some rows are not written any more: what became stale stays so.
    pub(super) fn leave_rows(&self) {
        self.written.store(FIRST, Ordering::SeqCst);
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

async fn read(items: &Repository<Item>, turn: i64) -> Result<()> {
    let id = turn % 10;
    if turn % 16 == 0 {
        let found = items.get_many([id, (id + 3) % 10, (id + 7) % 10]).await?;
        assert!(found.iter().all(Option::is_some), "they are never deleted");
    } else {
        assert!(items.get(id).await?.is_some(), "it is never deleted");
    }
    Ok(())
}

/// Each node has its rows, so that only the other's writes make what it keeps stale.
async fn write(items: &Repository<Item>, turn: i64, rows: i64) -> Result<()> {
    if rows == ANY && turn % ANY < 2 {
        let name = format!("n{}", turn % 10);
        return items.patch_where(Item::NAME.eq(name), [Item::COUNT.add(1)]).await.map(drop);
    }
    items.patch(turn % rows.min(EACH), [Item::COUNT.add(1)]).await.map(drop)
}
