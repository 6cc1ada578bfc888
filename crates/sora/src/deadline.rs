//! By when the operations of a task must have ended.

use std::pin::pin;
use std::time::Duration;

use sora_core::{Error, ErrorKind, Result, Retry};
use tokio::time::{Instant, timeout_at};

tokio::task_local! {
    /// None where a task does what no caller's deadline holds for.
    static DEADLINE: Option<Instant>;
}

/// Runs a future whose operations must all have ended after a time from now.
///
/// An operation that has not is dropped and fails with [`ErrorKind::Timeout`]: a statement that a
/// connection runs for it alone is stopped on the server, and of a write it is not known whether it
/// was done, which [`Error::is_unknown`] says. A stream ends with one such error. Within another
/// deadline, the earlier one holds. Tasks that the future spawns have no deadline of their own.
///
/// ```
/// use std::time::Duration;
/// use sora::{Sora, with_deadline};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> sora::Result<()> {
/// let store = Sora::open("memory:").await?;
/// let tables = with_deadline(Duration::from_secs(2), store.tables()).await?;
/// # assert!(tables.is_empty());
/// # Ok(())
/// # }
/// ```
pub async fn with_deadline<F: Future>(time: Duration, future: F) -> F::Output {
    let deadline = Instant::now() + time;
    let deadline = current().map_or(deadline, |outer| outer.min(deadline));
    DEADLINE.scope(Some(deadline), future).await
}

/// The deadline of the task.
pub(crate) fn current() -> Option<Instant> {
    DEADLINE.try_get().ok().flatten()
}

/// Runs a future that no deadline of the task holds for.
pub(crate) async fn apart<F: Future>(future: F) -> F::Output {
    DEADLINE.scope(None, future).await
}

/// Runs a read within the task's deadline.
pub(crate) async fn reading<T>(read: impl Future<Output = Result<T>>) -> Result<T> {
    within(Retry::Safe, read).await
}

/// Runs a write within the task's deadline.
pub(crate) async fn writing<T>(write: impl Future<Output = Result<T>>) -> Result<T> {
    within(Retry::IfIdempotent, write).await
}

/// The error of an operation that had not ended.
pub(crate) fn over() -> Error {
    let message = "the operation had not ended by the deadline of its task; allow it more time, or \
                   ask for less";
    Error::new(ErrorKind::Timeout, message)
}

async fn within<T>(retry: Retry, operation: impl Future<Output = Result<T>>) -> Result<T> {
    // Pinned once: to move it into one of two futures would copy it.
    let mut operation = pin!(operation);
    match current() {
        None => operation.await,
        Some(deadline) => match timeout_at(deadline, operation.as_mut()).await {
            Ok(done) => done,
            Err(_) => Err(over().with_retry(retry)),
        },
    }
}
