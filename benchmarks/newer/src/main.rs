//! The peers that take a newer SQLite than sqlx does, beside Sora and the floor.

mod thread;
mod toasty_peer;

use sora_benchmarks::{Opening, Result, StoreKind, Task, opened, serve};

use thread::RusqliteThread;
use toasty_peer::ToastyPeer;

fn main() -> Result<()> {
    serve(|task: &Task| -> Opening<'_> {
        match (&*task.peer, task.store) {
            ("tokio-rusqlite", StoreKind::Sqlite) => {
                Some(Box::pin(async { opened(RusqliteThread::open(task).await) }))
            }
            ("toasty", _) => Some(Box::pin(async { opened(ToastyPeer::open(task).await) })),
            _ => None,
        }
    })
}
