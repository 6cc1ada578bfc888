//! A page of a stream on its way.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use sora_core::plan::Plan;
use sora_core::{Error, ErrorKind, Result, RowBuffer, Value};
use tokio::task::JoinHandle;

use super::Table;
use super::read::Reader;
use super::stream::runtime;
use crate::collect::PageEnd;

/// A page, and where the next one starts.
pub(super) struct Fetched {
    pub(super) rows: RowBuffer,
    pub(super) received: u64,
    pub(super) last: Option<Vec<Value>>,
}

/// A page that was asked for. It ends when nobody waits for it.
pub(super) enum Fetch {
    /// The runtime drives it while its consumer is busy with the page before.
    Spawned(Spawned),
    /// The store brings it by itself once it was polled: a task of its own would only be one more to
    /// wake on the way. The lock is never waited for; with it a stream can be shared.
    Here(Mutex<Pin<Box<dyn Future<Output = Result<Fetched>> + Send>>>),
    /// It is there.
    Done(Option<Result<Fetched>>),
}

/// A task that ends when nobody waits for it.
pub(super) struct Spawned(JoinHandle<Result<Fetched>>);

impl Fetch {
    /// Asks for the page of a keyset.
    pub(super) fn page(table: &Table, plan: &Plan, page_rows: u64) -> Result<Self> {
        let is_here = table.capability().reads_ahead && table.transaction().is_none();
        let (table, plan) = (table.clone(), plan.clone());
        let fetch = async move {
            let mut rows = RowBuffer::new(plan.width);
            let page = (Some(page_rows), PageEnd::Stop);
            let (report, collected) = table.run(&plan, page, &mut Reader::Store, &mut rows).await?;
            Ok(Fetched { rows, received: report.received, last: collected.last })
        };
        let runtime = runtime()?;
        Ok(match is_here {
            true => Self::Here(Mutex::new(Box::pin(fetch))),
            false => Self::Spawned(Spawned(runtime.spawn(fetch))),
        })
    }

    /// Asks for all rows at once.
    pub(super) fn whole(table: &Table, plan: &Plan, left: Option<u64>) -> Result<Self> {
        let (table, plan) = (table.clone(), plan.clone());
        let fetch = async move {
            let mut rows = RowBuffer::new(plan.width);
            // One row beyond the bound tells that it is exceeded.
            let limit = plan.rows_max().saturating_add(1).min(left.unwrap_or(u64::MAX));
            let page = (Some(limit), PageEnd::Stop);
            let (report, _) = table.run(&plan, page, &mut Reader::Store, &mut rows).await?;
            if rows.len() as u64 > plan.rows_max() {
                return Err(too_many(&table, plan.rows_max()));
            }
            Ok(Fetched { rows, received: report.received, last: None })
        };
        Ok(Self::Spawned(Spawned(runtime()?.spawn(fetch))))
    }

    /// Sends what the runtime does not, for a consumer that will be busy before it polls again.
    pub(super) fn started(mut self, context: &mut Context<'_>) -> Self {
        match &self {
            Self::Here(_) => match self.poll(context) {
                Poll::Ready(fetched) => Self::Done(Some(fetched)),
                Poll::Pending => self,
            },
            _ => self,
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Fetched>> {
        match self {
            Self::Spawned(Spawned(task)) => Pin::new(task)
                .poll(context)
                .map(|ended| ended.unwrap_or_else(|error| Err(unfinished().with_source(error)))),
            Self::Here(fetch) => {
                let fetch = fetch.get_mut().unwrap_or_else(PoisonError::into_inner);
                fetch.as_mut().poll(context)
            }
            Self::Done(fetched) => Poll::Ready(fetched.take().unwrap_or_else(|| Err(unfinished()))),
        }
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) const UNFINISHED: &str = "the page of the stream was not fetched to its end";

fn unfinished() -> Error {
    Error::new(ErrorKind::Cancelled, UNFINISHED)
}

fn too_many(table: &Table, rows_max: u64) -> Error {
    let message = format!(
        "inside a transaction a stream that {} cannot fetch by keyset pages is held in memory, up to \
         {rows_max} rows; add a limit, raise Fallback::Scan {{ rows_max }}, or stream outside",
        table.store().provider.name()
    );
    Error::new(ErrorKind::Limit, message).with("table", table.name())
}
