//! Bringing a connection back that was left in the middle of something.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::Link;

/// A server that does not answer in this time is given up with its connection.
const REPAIR_TIMEOUT: Duration = Duration::from_secs(10);
/// Most statements end by themselves before a request to stop them would reach the server.
const GRACE: Duration = Duration::from_millis(2);
/// The request to stop may hit what follows, once.
const ATTEMPTS_MAX: usize = 3;

impl Link {
    /// Stops what runs, on the server, and rolls back what is open; returns whether the connection is
    /// as good as new. The connection must be nobody else's.
    pub(crate) async fn repair(&self) -> bool {
        let is_good = timeout(REPAIR_TIMEOUT, self.settle()).await.unwrap_or(false);
        if !is_good {
            self.is_unfit.store(true, Ordering::Release);
        }
        is_good
    }

    async fn settle(&self) -> bool {
        let mut ended = false;
        if self.running.load(Ordering::Acquire) > 0 {
            let mut answer = pin!(self.answer());
            match timeout(GRACE, &mut answer).await {
                Ok(is_good) => ended = is_good,
                Err(_) => {
                    let Some(canceller) = &self.canceller else { return false };
                    if canceller.cancel().await.is_err() {
                        return false;
                    }
                    // Whatever it says, what follows says more: the request has been served by now.
                    answer.await;
                }
            }
        }
        for _ in 0..ATTEMPTS_MAX {
            if ended || self.client.is_closed() {
                break;
            }
            ended = self.answer().await;
        }
        if ended {
            self.running.store(0, Ordering::Release);
            self.ended();
        }
        ended
    }

    /// Comes behind all that was sent, and ends what is open.
    async fn answer(&self) -> bool {
        // Outside a transaction a rollback would put a warning into the server's log.
        let sql = if self.in_transaction() { "rollback" } else { "" };
        self.client.batch_execute(sql).await.is_ok()
    }
}
