//! How a transaction is begun, and how a closure runs in one.

use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use sora_core::provider::Session;
use sora_core::{Error, ErrorKind, Operation, Result};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::Instrument;

use super::state::{Finish, Level, Record, State};
use super::{Transaction, TransactionGuard, TransactionOptions};
use crate::client::Store;
use crate::writer::{self, Site};
use crate::{request, watch};

/// Begins a transaction.
pub(crate) async fn begin(
    store: &Arc<Store>,
    options: &TransactionOptions,
    site: Site,
) -> Result<TransactionGuard> {
    let started = Clock::now();
    let runtime = Handle::try_current().map_err(|error| {
        let message = "a transaction runs inside a tokio runtime, whose timers are enabled";
        Error::new(ErrorKind::InvalidInput, message).with_source(error)
    })?;
    let session = open(store, options, site).await?;
    let waited = started.elapsed();
    let deadline = later(options.time_max_ms);
    let keeps = store.writer_wait_ms().is_some();
    let writes = !options.session.read_only;
    let record = Record {
        site,
        started,
        waited,
        request: request::current(),
        place: keeps.then(|| store.writers.enter(site, writes)),
        watcher: None,
    };
    let limit = (options.time_max_ms, deadline);
    let read_only = options.session.read_only;
    let state = Arc::new(State::new(store.clone(), session, read_only, limit, record));
    let weak = Arc::downgrade(&state);
    let watcher = runtime.spawn(async move {
        sleep_until(deadline).await;
        if let Some(state) = weak.upgrade() {
            state.close(Finish::Failed(state.timed_out()));
        }
    });
    state.watch_by(watcher.abort_handle());
    Ok(TransactionGuard::new(Transaction { state, level: Level::OUTERMOST }))
}

async fn open(
    store: &Arc<Store>,
    options: &TransactionOptions,
    site: Site,
) -> Result<Box<dyn Session>> {
    store.check_transactions()?;
    let opened = store.provider.open(options.session);
    let Some(wait_ms) = store.writer_wait_ms() else { return opened.await };
    store.writers.refuse_inside(site)?;
    match timeout(Duration::from_millis(wait_ms.into()), opened).await {
        Ok(opened) => opened.map_err(|error| store.writers.blame(error, site)),
        Err(_) => Err(store.writers.blame(writer::busy(wait_ms), site)),
    }
}

/// Runs a closure in a transaction, again if it has lost and the options say so.
pub(crate) async fn run<T, E, F, Fut>(
    store: &Arc<Store>,
    options: &TransactionOptions,
    mut body: F,
    site: Site,
) -> Result<T, E>
where
    E: From<Error>,
    F: FnMut(Transaction) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut runs = 0;
    loop {
        let (error, has_lost) = match Box::pin(run_once(store, options, &mut body, site)).await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        if !has_lost || runs == options.retries_max {
            return Err(error);
        }
        drop(error);
        runs += 1;
        sleep(options.backoff.wait(runs)).await;
    }
}

/// Runs a closure in one transaction; beside its error, says whether that has lost against another.
async fn run_once<T, E, F, Fut>(
    store: &Arc<Store>,
    options: &TransactionOptions,
    body: &mut F,
    site: Site,
) -> Result<T, (E, bool)>
where
    E: From<Error>,
    F: FnMut(Transaction) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let failed = |error: Error| {
        // A commit of unknown outcome is never run again.
        let has_lost = error.kind() == ErrorKind::Serialization && !error.is_unknown();
        (E::from(error), has_lost)
    };
    let span = watch::span(store, "*", Operation::Transaction, site);
    let guard = begin(store, options, site).instrument(span.clone()).await.map_err(failed)?;
    let keeps = store.writer_wait_ms().is_some();
    let body = body(guard.clone()).instrument(span.clone());
    let body = writer::in_closure(keeps.then(|| store.writers.clone()), site, body);
    match timeout_at(guard.state.deadline, body).await {
        Ok(Ok(value)) => guard.commit().instrument(span).await.map(|()| value).map_err(failed),
        Ok(Err(error)) => {
            let has_lost =
                guard.state.failure().is_some_and(|error| error.kind() == ErrorKind::Serialization);
            // The first error is the one to tell, and the transaction ends in any case.
            drop(guard.rollback().instrument(span).await);
            Err((error, has_lost))
        }
        Err(_) => {
            let error = guard.state.timed_out();
            guard.state.close(Finish::Failed(error.clone()));
            Err(failed(guard.state.failure().unwrap_or(error)))
        }
    }
}

/// The end of a limit of time, which may be so large as to be none.
fn later(time_max_ms: u64) -> Instant {
    const YEAR: Duration = Duration::from_hours(24 * 365);
    let time = Duration::from_millis(time_max_ms).min(YEAR);
    Instant::now() + time
}
