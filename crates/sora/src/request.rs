//! Which request of the program an operation is part of.

use sora_core::RequestId;

tokio::task_local! {
    static REQUEST: RequestId;
}

/// Runs a future as part of a request: the [`Event`](crate::Event) of each operation that it awaits
/// carries the request's identifier, so that operations that repeat within one request are found.
///
/// It holds for the future itself. A task that it spawns is wrapped by a call of its own.
///
/// ```
/// # use std::sync::{Arc, Mutex};
/// use sora::{Event, Observer, RequestId, Sora, in_request};
///
/// struct Requests(Mutex<Vec<Option<RequestId>>>);
///
/// impl Observer for Requests {
///     fn observe(&self, event: &Event<'_>) {
///         self.0.lock().unwrap().push(event.request);
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> sora::Result<()> {
/// let requests = Arc::new(Requests(Mutex::default()));
/// let store = Sora::builder().observer(requests.clone()).open("memory:").await?;
/// in_request(RequestId(7), store.tables()).await?;
/// assert_eq!(*requests.0.lock().unwrap(), [Some(RequestId(7))]);
/// # Ok(())
/// # }
/// ```
pub async fn in_request<F: Future>(request: RequestId, future: F) -> F::Output {
    REQUEST.scope(request, future).await
}

/// Returns a future that is part of the caller's request wherever it runs.
pub(crate) fn carried<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let request = current();
    async move {
        match request {
            Some(request) => REQUEST.scope(request, future).await,
            None => future.await,
        }
    }
}

/// The request that the caller runs in.
pub(crate) fn current() -> Option<RequestId> {
    REQUEST.try_get().ok()
}
