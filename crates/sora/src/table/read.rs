//! Reads of a table.

use std::fmt;
use std::ops::ControlFlow;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;

use sora_core::plan::Plan;
use sora_core::provider::{Administer, Administered, StorePlan};
use sora_core::read::{Access, Output, Pace, Read, ReadReport};
use sora_core::{Cursor, ErrorKind, Operation, Query, Result, Row, RowBuffer, RowSink};
use tracing::Instrument;

use super::Table;
use super::key::Slots;
use super::lookup::{self, Lookups, Waiting};
use crate::client::unexpected_answer;
use crate::collect::{Collect, Collected, Nothing, PageEnd};
use crate::deadline;
use crate::lane::Admission;
use crate::outcome::ReadOutcome;
use crate::transaction::Turn;
use crate::watch::Watch;

/// What a query gave beside its rows.
#[derive(Clone, Debug)]
pub struct Page {
    /// What happened.
    pub outcome: ReadOutcome,
    /// The place where the next page starts; none behind the last row, and none without a limit.
    pub next: Option<Cursor>,
}

/// Who would do what of a query, and how the store would run its part.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What is pushed down and what is done in memory.
    pub plan: Arc<Plan>,
    /// How the store runs what is pushed down.
    pub store: StorePlan,
}

/// Where a read goes: where its table does, or through a session that the operation has already.
pub(crate) enum Reader<'a, 't> {
    Store,
    Turn(&'a mut Turn<'t>),
}

impl Table {
    /// Reads the rows of a query into a sink. One round trip.
    ///
    /// With a limit, one row more than asked for is fetched to know whether there is a next page.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the query does not fit the table, [`ErrorKind::Limit`] if what
    /// is done in memory exceeds its bound, [`ErrorKind::Unsupported`] if it may not be done there.
    #[track_caller]
    pub fn query<'a>(
        &'a self,
        query: &'a Query,
        sink: &'a mut dyn RowSink,
    ) -> impl Future<Output = Result<Page>> + Send + 'a {
        self.query_as((Operation::Query, PageEnd::Probe), query, sink, Location::caller())
    }

    /// Counts the rows that meet a query's filter, whatever its limit and offset. One round trip.
    ///
    /// # Errors
    ///
    /// As [`query`](Table::query).
    #[track_caller]
    pub fn count<'a>(&'a self, query: &'a Query) -> impl Future<Output = Result<u64>> + Send + 'a {
        self.count_at(query, Location::caller())
    }

    /// Says how a query would run, without running it; with `analyze` it is run, and the store says
    /// what it touched. One round trip.
    ///
    /// # Errors
    ///
    /// As [`query`](Table::query).
    #[track_caller]
    pub fn explain<'a>(
        &'a self,
        query: &'a Query,
        analyze: bool,
    ) -> impl Future<Output = Result<Explanation>> + Send + 'a {
        self.explain_at(|| self.plan(query, false), analyze, Location::caller())
    }

    /// Reads the row with a key into a sink, and says whether there is one. One round trip, or none if
    /// the table is cached and the row is in memory.
    #[track_caller]
    pub fn get<'a>(
        &'a self,
        key: RowBuffer,
        sink: &'a mut dyn RowSink,
    ) -> impl Future<Output = Result<bool>> + Send + 'a {
        self.get_cached(key, sink, Location::caller())
    }

    /// Reads the row with a key into a sink and locks it against other writers until the end of the
    /// transaction, which the table is [`within`](Table::within). One round trip.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] outside a transaction, [`ErrorKind::ReadOnly`] in one that only
    /// reads.
    #[track_caller]
    pub fn get_for_update<'a>(
        &'a self,
        key: RowBuffer,
        sink: &'a mut dyn RowSink,
    ) -> impl Future<Output = Result<bool>> + Send + 'a {
        self.get_at(key, true, sink, Location::caller())
    }

    /// Reads the rows with these keys, and calls `row` with each row that there is and the place of
    /// its key in the list; a key that is listed twice is called for twice. One round trip for as
    /// many keys as the store takes at once.
    #[track_caller]
    pub fn get_many<'a, F>(
        &'a self,
        keys: RowBuffer,
        row: F,
    ) -> impl Future<Output = Result<()>> + Send + 'a
    where
        F: FnMut(usize, &dyn Row) -> Result<()> + Send + 'a,
    {
        self.get_many_cached(keys, row, Location::caller())
    }

    /// Looks a key up with others that wait, if the store's lanes are busy.
    async fn get_joined(
        &self,
        lookups: &Arc<Lookups>,
        key: RowBuffer,
        sink: &mut dyn RowSink,
        watch: &mut Watch<'_>,
    ) -> Result<bool> {
        let answer = match lookups.admit(key, |key| Waiting::new(self, key)) {
            Admission::Waits(answer) => answer,
            Admission::Alone(key, _pass) => return self.get_alone(key, false, sink, watch).await,
        };
        let found = answer.await.map_err(|_| lookup::unanswered())??;
        let is_there = found.deliver(sink)?;
        watch.read(ReadReport::received(u64::from(is_there)), u64::from(is_there));
        watch.shared_by(found.shared_by);
        Ok(is_there)
    }

    async fn get_alone(
        &self,
        key: RowBuffer,
        for_update: bool,
        sink: &mut dyn RowSink,
        watch: &mut Watch<'_>,
    ) -> Result<bool> {
        let mut read = Read::new(self.binding(), self.columns().clone());
        read.access = Access::Keys(Arc::new(key));
        read.pace = Pace::Lookup;
        if for_update {
            self.check_lock()?;
            read.for_update = true;
        }
        let report = self.read_again(&mut read, sink).await?;
        watch.read(report, report.received);
        Ok(report.received > 0)
    }

    pub(super) async fn explain_at(
        &self,
        plan: impl FnOnce() -> Result<Plan> + Send,
        analyze: bool,
        location: &'static Location<'static>,
    ) -> Result<Explanation> {
        let mut watch = self.watch(Operation::Explain, location);
        let span = watch.span();
        let explained = async {
            let plan = Arc::new(plan()?);
            watch.plan(&plan);
            let task = Administer::Explain { read: plan.read.clone(), analyze };
            match self.store().provider.administer(&task).await? {
                Administered::Explained(store) => Ok(Explanation { plan, store }),
                other => Err(unexpected_answer(&other)),
            }
        };
        let explained = deadline::reading(explained.instrument(span)).await;
        watch.end(explained)
    }

    pub(crate) async fn get_at(
        &self,
        key: RowBuffer,
        for_update: bool,
        sink: &mut dyn RowSink,
        location: &'static Location<'static>,
    ) -> Result<bool> {
        let operation = if for_update { Operation::GetForUpdate } else { Operation::Get };
        let mut watch = self.watch(operation, location);
        let span = watch.span();
        let read = {
            // Pinned where it is: moving it into the span's future would copy all of it.
            let read = pin!(async {
                match self.inner.lookups.as_ref().filter(|_| self.transaction().is_none()) {
                    // Apart, so that the future of a look-up that joins nobody is small.
                    Some(lookups) => {
                        Box::pin(self.get_joined(lookups, key, sink, &mut watch)).await
                    }
                    None => self.get_alone(key, for_update, sink, &mut watch).await,
                }
            });
            deadline::reading(read.instrument(span)).await
        };
        watch.end(read)
    }

    pub(crate) async fn get_many_at<F>(
        &self,
        keys: RowBuffer,
        row: F,
        location: &'static Location<'static>,
    ) -> Result<()>
    where
        F: FnMut(usize, &dyn Row) -> Result<()> + Send,
    {
        let mut watch = self.watch(Operation::GetMany, location);
        let span = watch.span();
        let read = async {
            let (slots, distinct) = Slots::new(&keys)?;
            let (columns, key) = self.columns_with_key();
            let mut sink = Placed { slots, key, row, before: 0, returned: 0 };
            for keys in chunks(&distinct, self.capability().keys_max)? {
                let mut read = Read::new(self.binding(), columns.clone());
                read.access = Access::Keys(Arc::new(keys));
                read.pace = if distinct.len() <= LOOKUP_KEYS { Pace::Lookup } else { Pace::Page };
                sink.before = sink.returned;
                let report = self.read_again(&mut read, &mut sink).await?;
                watch.read(report, sink.returned - sink.before);
            }
            Ok(())
        };
        let read = deadline::reading(read.instrument(span)).await;
        watch.end(read)
    }

    pub(crate) async fn query_as(
        &self,
        (operation, end): (Operation, PageEnd),
        query: &Query,
        sink: &mut dyn RowSink,
        location: &'static Location<'static>,
    ) -> Result<Page> {
        let mut watch = self.watch(operation, location);
        let span = watch.span();
        let page = self.page(query, end, sink, &mut watch).instrument(span);
        let page = deadline::reading(page).await;
        watch.end(page)
    }

    pub(crate) async fn count_at(
        &self,
        query: &Query,
        location: &'static Location<'static>,
    ) -> Result<u64> {
        let mut watch = self.watch(Operation::Count, location);
        let span = watch.span();
        let count = async {
            // What is counted has no order, no place to start and no end.
            let mut plan = self.plan(
                &Query {
                    columns: Some(Vec::new()),
                    sort: Vec::new(),
                    after: None,
                    limit: None,
                    offset: 0,
                    ..query.clone()
                },
                false,
            )?;
            if plan.is_pushed() && self.capability().count {
                plan.read.output = Output::Count;
            }
            let plan = Arc::new(plan);
            watch.plan(&plan);
            let (report, collected) =
                self.run(&plan, (None, PageEnd::Stop), &mut Reader::Store, &mut Nothing).await?;
            let count = report.count.unwrap_or(collected.returned);
            watch.read(report, count);
            Ok(count)
        };
        let count = deadline::reading(count.instrument(span)).await;
        watch.end(count)
    }

    async fn page(
        &self,
        query: &Query,
        end: PageEnd,
        sink: &mut dyn RowSink,
        watch: &mut Watch<'_>,
    ) -> Result<Page> {
        let plan = match end {
            PageEnd::Probe => self.plan(&one_more(query), false)?,
            PageEnd::Stop => self.plan(query, false)?,
        };
        let plan = Arc::new(plan);
        watch.plan(&plan);
        let (report, collected) =
            self.run(&plan, (query.limit, end), &mut Reader::Store, sink).await?;
        watch.read(report, collected.returned);
        let has_start = query.after.is_some() || query.offset > 0;
        let is_cut = match end {
            PageEnd::Probe => collected.has_more,
            // Nobody looked whether there is more.
            PageEnd::Stop => query.limit.is_some(),
        };
        let is_complete = !is_cut && !has_start;
        let next = self.next_cursor(&plan, &collected);
        let outcome = ReadOutcome::new(plan, report.received, collected.returned, is_complete);
        Ok(Page { outcome, next })
    }

    fn next_cursor(&self, plan: &Plan, collected: &Collected) -> Option<Cursor> {
        let can_continue = collected.has_more && !self.schema().key().is_empty();
        let values = collected.last.as_ref().filter(|_| can_continue)?;
        Some(Cursor::new(self.schema(), &plan.filter, &plan.sort, values.clone()))
    }

    pub(crate) fn plan(&self, query: &Query, total: bool) -> Result<Plan> {
        Plan::new(&*self.store().provider, &self.binding(), query, total)
    }

    /// Runs a plan and hands out at most a page of rows, in the form the caller asked for.
    pub(crate) async fn run(
        &self,
        plan: &Plan,
        page: (Option<u64>, PageEnd),
        reader: &mut Reader<'_, '_>,
        sink: &mut dyn RowSink,
    ) -> Result<(ReadReport, Collected)> {
        let mut collect = Collect::new(plan, page, sink);
        let report = self.read_gated(reader, &plan.read, &mut collect).await?;
        let collected = collect.finish()?;
        if report.exceeded || collected.exceeded {
            return Err(plan.exceeded());
        }
        Ok((report, collected))
    }

    /// Reads through the read's gate, unless the store applies residual conditions itself.
    pub(super) async fn read_gated(
        &self,
        reader: &mut Reader<'_, '_>,
        read: &Read,
        sink: &mut dyn RowSink,
    ) -> Result<ReadReport> {
        if self.capability().residual || read.residual.is_empty() {
            return self.read_from(reader, read, sink).await;
        }
        let mut gate = read.gate(sink);
        self.read_from(reader, read, &mut gate).await?;
        Ok(gate.report())
    }

    async fn read_from(
        &self,
        reader: &mut Reader<'_, '_>,
        read: &Read,
        sink: &mut dyn RowSink,
    ) -> Result<ReadReport> {
        match reader {
            Reader::Turn(turn) => turn.read(read, sink).await,
            Reader::Store => {
                let read = self.read_once(read, sink).await;
                if let Err(error) = &read
                    && error.kind() == ErrorKind::Schema
                    && self.transaction().is_none()
                {
                    // The next call plans with what the table has become. This one was planned, and
                    // maybe sorted and cut, by what it was.
                    Box::pin(self.bind_again()).await?;
                }
                read
            }
        }
    }

    /// Reads by key; once more if the table has changed since it was opened.
    pub(super) async fn read_again(
        &self,
        read: &mut Read,
        sink: &mut dyn RowSink,
    ) -> Result<ReadReport> {
        match self.read_once(read, sink).await {
            // Inside a transaction nothing can be described, and it may be over by now.
            Err(error) if error.kind() == ErrorKind::Schema && self.transaction().is_none() => {
                // Apart, so that the future of a read that finds its table as it was is small.
                Box::pin(self.bind_again()).await?;
                read.binding = self.binding();
                sink.reset();
                self.store().provider.read(read, sink).await
            }
            other => other,
        }
    }

    /// The columns to read so that a reply's key can be told, and where the key stands in them.
    pub(super) fn columns_with_key(&self) -> (Arc<[u16]>, Vec<usize>) {
        let mut columns = self.columns().to_vec();
        for column in self.schema().key() {
            if !columns.contains(column) {
                columns.push(*column);
            }
        }
        let position = |column: &u16| columns.iter().position(|other| other == column);
        let key = self.schema().key().iter().filter_map(position).collect();
        (columns.into(), key)
    }
}

/// Keys that are still looked up rather than paged through.
const LOOKUP_KEYS: usize = 8;

/// Returns the query with one row more, which tells whether there is a next page.
fn one_more(query: &Query) -> Query {
    Query { limit: query.limit.map(|limit| limit.saturating_add(1)), ..query.clone() }
}

/// Cuts rows into buffers of at most so many.
pub(super) fn chunks(rows: &RowBuffer, rows_max: usize) -> Result<Vec<RowBuffer>> {
    if rows.len() <= rows_max {
        return Ok(if rows.is_empty() { Vec::new() } else { vec![rows.clone()] });
    }
    let mut chunks = Vec::new();
    let mut rows = rows.iter().peekable();
    while let Some(first) = rows.peek() {
        let mut chunk = RowBuffer::new(first.width());
        for row in rows.by_ref().take(rows_max.max(1)) {
            chunk.push(&row)?;
        }
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// Finds the places of each row of a reply.
struct Placed<F> {
    slots: Slots,
    key: Vec<usize>,
    row: F,
    /// Rows of the reads before, which one that starts over does not take back.
    before: u64,
    returned: u64,
}

impl<F: FnMut(usize, &dyn Row) -> Result<()> + Send> RowSink for Placed<F> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        for place in self.slots.places(row, &self.key)? {
            (self.row)(*place, row)?;
            self.returned += 1;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Each row goes to its place again.
    fn reset(&mut self) {
        self.returned = self.before;
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.plan)?;
        if let Some(statement) = &self.store.statement {
            write!(f, "\n  statement: {statement}")?;
        }
        for line in &self.store.lines {
            write!(f, "\n  store: {line}")?;
        }
        match self.store.indexes.is_empty() {
            true => f.write_str("\n  index: none")?,
            false => write!(f, "\n  index: {}", self.store.indexes.join(", "))?,
        }
        for note in &self.store.notes {
            write!(f, "\n  note: {note}")?;
        }
        Ok(())
    }
}
