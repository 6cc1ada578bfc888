//! All rows of a query, in flat memory.

use std::fmt;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::{self, Thread};
use std::time::Instant;

use futures_core::Stream;
use sora_core::plan::Plan;
use sora_core::read::Pace;
use sora_core::{
    End, Error, ErrorKind, Event, Operation, Query, RequestId, Result, Row, RowBuffer, RowSink,
    Value,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::Table;
use super::fetch::{Fetch, UNFINISHED};
use super::read::Reader;
use crate::collect::PageEnd;
use crate::deadline;
use crate::request;

/// The rows of a query, page by page, fetched as they are taken: at most one page ahead.
///
/// The pages are keyset pages, so that no row is repeated or skipped whose sort values do not
/// change, and no read transaction is held between them. What has no key, or is not sorted by the
/// store, is read by one cursor instead. Dropping the stream stops it and releases everything.
/// Only its end without an error means that all rows were seen.
pub struct RowStream {
    table: Table,
    plan: Result<Plan, Option<Error>>,
    options: StreamOptions,
    /// Rows in the next page at most.
    page_rows: u64,
    left: Option<u64>,
    state: State,
    /// When it must have ended; it wakes the consumer then.
    deadline: Option<Deadline>,
    event: Tally,
}

enum Deadline {
    At(tokio::time::Instant),
    /// Begun with the first poll, which is inside a runtime.
    Sleep(Pin<Box<tokio::time::Sleep>>),
}

/// How a stream is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Rows in a page at most: 5,000 by default, at least 1.
    ///
    /// The first page has at most 1,000; those behind it about as many as take 512 KiB,
    /// so that wide rows need no more memory than narrow ones.
    pub page_rows: u64,
}

enum State {
    Start,
    /// The next keyset page is on its way.
    Page(Fetch),
    /// The next keyset page was not asked for: inside a transaction nothing is read ahead.
    Next,
    /// All was read at once and handed out.
    Drained,
    /// One cursor pushes pages, and says when it is at its end.
    Cursor(mpsc::Receiver<Result<Pushed>>),
    End,
}

/// What a cursor pushes.
enum Pushed {
    Page(RowBuffer),
    End,
}

/// What the stream's event says when it ends.
struct Tally {
    location: &'static Location<'static>,
    started: Instant,
    received: u64,
    returned: u64,
    end: End,
    request: Option<RequestId>,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self { page_rows: 5_000 }
    }
}

impl Table {
    /// Streams the rows of a query. One round trip for each page.
    ///
    /// The first page is asked for when the stream is polled, inside a tokio runtime. A filter that
    /// is checked in memory may reject as many rows for each page as the query's fallback allows.
    #[track_caller]
    pub fn stream(&self, query: &Query, options: StreamOptions) -> RowStream {
        self.stream_at(query, options, Location::caller())
    }

    pub(crate) fn stream_at(
        &self,
        query: &Query,
        options: StreamOptions,
        location: &'static Location<'static>,
    ) -> RowStream {
        let options = StreamOptions { page_rows: options.page_rows.max(1) };
        let page_rows = options.page_rows.min(FIRST_PAGE_ROWS);
        let paged = Query { limit: Some(page_rows), ..query.clone() };
        let plan = self.plan(&paged, true).map(|mut plan| {
            plan.read.pace = Pace::Scan;
            plan
        });
        let event = Tally {
            location,
            started: Instant::now(),
            received: 0,
            returned: 0,
            end: End::Dropped,
            request: request::current(),
        };
        let (table, plan) = (self.clone(), plan.map_err(Some));
        let deadline = deadline::current().map(Deadline::At);
        let left = query.limit;
        RowStream { table, plan, options, page_rows, left, state: State::Start, deadline, event }
    }
}

impl RowStream {
    /// Returns the next page, never an empty one; none at the end.
    pub async fn next(&mut self) -> Option<Result<RowBuffer>> {
        poll_fn(|context| self.poll_page(context)).await
    }

    /// Who does what of the query.
    ///
    /// # Errors
    ///
    /// What the first page will give.
    pub fn plan(&self) -> Result<&Plan> {
        self.plan.as_ref().map_err(|error| error.clone().unwrap_or_else(ended))
    }

    fn poll_page(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<RowBuffer>>> {
        if !matches!(self.state, State::End) && self.is_over(context) {
            return Poll::Ready(Some(Err(self.fail(deadline::over()))));
        }
        if matches!(self.state, State::Start | State::Next) {
            self.state = match self.ask() {
                Ok(state) => state,
                Err(error) => return Poll::Ready(Some(Err(self.fail(error)))),
            };
        }
        let next = match &mut self.state {
            State::Start | State::Next | State::End => return Poll::Ready(None),
            State::Drained => Ok((RowBuffer::default(), None)),
            State::Page(fetch) => match ready!(fetch.poll(context)) {
                Ok(fetched) => {
                    self.event.received += fetched.received;
                    Ok((fetched.rows, fetched.last))
                }
                Err(error) => Err(error),
            },
            State::Cursor(pages) => match ready!(pages.poll_recv(context)) {
                Some(Ok(Pushed::Page(rows))) => Ok((rows, None)),
                Some(Ok(Pushed::End)) => Ok((RowBuffer::default(), None)),
                Some(Err(error)) => Err(error),
                None => Err(Error::new(ErrorKind::Cancelled, UNFINISHED)),
            },
        };
        Poll::Ready(match next {
            Ok((rows, last)) => self.take(rows, last, context),
            Err(error) => Some(Err(self.fail(error))),
        })
    }

    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let Some(deadline) = &mut self.deadline else { return false };
        if let Deadline::At(deadline_at) = deadline
            && Handle::try_current().is_ok()
        {
            *deadline = Deadline::Sleep(Box::pin(tokio::time::sleep_until(*deadline_at)));
        }
        match deadline {
            Deadline::At(_) => false,
            Deadline::Sleep(sleep) => sleep.as_mut().poll(context).is_ready(),
        }
    }

    /// Hands out a page and asks for the next one.
    fn take(
        &mut self,
        mut rows: RowBuffer,
        last: Option<Vec<Value>>,
        context: &mut Context<'_>,
    ) -> Option<Result<RowBuffer>> {
        if let Some(left) = &mut self.left {
            rows.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= rows.len() as u64;
        }
        // A short page is not the end: a store may cap its pages.
        if rows.is_empty() {
            self.event.end = End::Done;
            self.state = State::End;
            return None;
        }
        self.event.returned += rows.len() as u64;
        if self.left == Some(0) {
            self.event.end = End::Done;
            self.state = State::End;
        } else if let Some(last) = last
            && let Ok(plan) = &mut self.plan
        {
            // Only the first page leaves out the rows of an offset.
            plan.read.offset = 0;
            plan.residual_offset = 0;
            plan.read.after = Some(last.into());
            self.page_rows = page_rows(&rows, self.options.page_rows);
            for limit in [&mut plan.read.limit, &mut plan.residual_limit].into_iter().flatten() {
                *limit = self.page_rows;
            }
            if self.table.transaction().is_some() {
                self.state = State::Next;
                return Some(Ok(rows));
            }
            match Fetch::page(&self.table, plan, self.page_rows) {
                Ok(fetch) => self.state = State::Page(fetch.started(context)),
                Err(error) => return Some(Err(self.fail(error))),
            }
        } else if matches!(self.state, State::Page(_)) {
            self.state = State::Drained;
        }
        Some(Ok(rows))
    }

    fn fail(&mut self, error: Error) -> Error {
        self.event.end = End::Failed(error.kind());
        self.state = State::End;
        error
    }

    fn ask(&mut self) -> Result<State> {
        let plan = match &mut self.plan {
            Ok(plan) => plan,
            Err(error) => return Err(error.take().unwrap_or_else(ended)),
        };
        let keyset = !plan.residual_sort
            && plan.residual_after.is_none()
            && self.table.capability().keyset
            && !self.table.schema().key().is_empty();
        if keyset || matches!(self.state, State::Next) {
            return Fetch::page(&self.table, plan, self.page_rows).map(State::Page);
        }
        plan.read.limit = None;
        plan.residual_limit = None;
        if self.table.transaction().is_some() {
            // A cursor would keep the session from the writes that its consumer does in between.
            return Fetch::whole(&self.table, plan, self.left).map(State::Page);
        }
        spawn_cursor(&self.table, plan.clone(), self.options.page_rows).map(State::Cursor)
    }
}

/// Rows in the first page at most: nobody knows yet how wide they are.
const FIRST_PAGE_ROWS: u64 = 1_000;
/// What a page should take. One is with the consumer, one on its way.
const PAGE_BYTES: usize = 512 << 10;

/// How many rows like these a page should have: powers of two, so that the store prepares few
/// statements where it knows the limit.
fn page_rows(rows: &RowBuffer, rows_max: u64) -> u64 {
    let row_bytes = (rows.size() / rows.len().max(1)).max(1);
    let wanted = (PAGE_BYTES / row_bytes).max(1).ilog2();
    (1 << wanted).min(rows_max)
}

/// Reads by one cursor on a thread of its own, where waiting for the consumer blocks nobody else.
fn spawn_cursor(
    table: &Table,
    plan: Plan,
    page_rows: u64,
) -> Result<mpsc::Receiver<Result<Pushed>>> {
    let (sender, receiver) = mpsc::channel(1);
    let (table, runtime) = (table.clone(), runtime()?);
    let handle = runtime.clone();
    runtime.spawn_blocking(move || {
        let _inside = handle.enter();
        // The buffer and one page in the channel: at most one page ahead.
        let mut sink = Pages { rows: RowBuffer::new(plan.width), page_rows, sender };
        let read = run_here(async {
            table.run(&plan, (None, PageEnd::Stop), &mut Reader::Store, &mut sink).await.map(drop)
        });
        let last = match read {
            Ok(()) if sink.flush().is_continue() => Ok(Pushed::End),
            Ok(()) => return,
            Err(error) => Err(error),
        };
        // A consumer that is gone is told nothing.
        drop(sink.sender.blocking_send(last));
    });
    Ok(receiver)
}

/// Runs a future on this thread. The sink inside it waits for the consumer by blocking, which tokio
/// does not permit inside its own `block_on`.
fn run_here<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Sends rows in pages.
struct Pages {
    rows: RowBuffer,
    page_rows: u64,
    sender: mpsc::Sender<Result<Pushed>>,
}

impl Pages {
    fn flush(&mut self) -> ControlFlow<()> {
        let empty = RowBuffer::new(self.rows.width());
        let rows = std::mem::replace(&mut self.rows, empty);
        match rows.is_empty() || self.sender.blocking_send(Ok(Pushed::Page(rows))).is_ok() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }
}

impl RowSink for Pages {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.rows.push(row)?;
        if self.rows.len() as u64 >= self.page_rows {
            return Ok(self.flush());
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Takes back only what was not handed out.
    fn reset(&mut self) {
        self.rows.clear();
    }
}

pub(super) fn runtime() -> Result<Handle> {
    Handle::try_current().map_err(|error| {
        let message = "a stream is polled inside a tokio runtime";
        Error::new(ErrorKind::InvalidInput, message).with_source(error)
    })
}

fn ended() -> Error {
    Error::new(ErrorKind::Cancelled, "the stream has ended")
}

impl Stream for RowStream {
    type Item = Result<RowBuffer>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_page(context)
    }
}

impl Drop for RowStream {
    fn drop(&mut self) {
        let Self { table, plan, event, .. } = self;
        let store = table.store();
        let mut seen =
            Event::new(table.name(), Operation::Stream, store.provider.name(), event.location);
        if let Ok(plan) = plan {
            seen.pushed = plan.pushed_len();
            seen.residual = plan.terms.len() - seen.pushed;
            seen.plan = Some(plan);
        }
        // One cursor does not say what it rejected before its end.
        seen.received = event.received.max(event.returned);
        seen.returned = event.returned;
        seen.duration = event.started.elapsed();
        seen.end = event.end;
        seen.request = event.request;
        seen.in_transaction = table.transaction().is_some();
        store.emit(&seen);
    }
}

impl fmt::Debug for RowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStream").field("table", &self.table).finish_non_exhaustive()
    }
}
