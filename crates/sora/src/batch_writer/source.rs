//! A stream of entities or keys as the source of a batch.

use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use sora_core::provider::BoxFuture;
use sora_core::{AsKey, Cell, CellSink, Entity, Insert, Result, Value};

use super::tally::{OnDeadLetter, OnProgress};
use super::{
    Atomic, BatchMode, BatchOptions, BatchProgress, BatchReport, BatchWriter, DeadLetter, Settled,
};
use crate::{Repository, Table};

type OnSettled<'a> = Box<dyn FnMut(&Settled) + Send + 'a>;

/// A batch that takes its rows from a stream; await it to write them. See [`BatchWriter`] for order,
/// failures and what happens when it is dropped.
///
/// The stream is polled while chunks are being written, and only as long as the chunk that is
/// filled has room: memory is bounded by the chunks in flight, however long it is.
#[must_use = "nothing is written before it is awaited"]
pub struct WriteStream<'a, S: Stream, I> {
    table: &'a Table,
    source: S,
    item: fn(S::Item) -> Result<I>,
    encode: fn(&I, &mut dyn CellSink) -> Result<()>,
    /// What `encode` writes.
    columns: Vec<u16>,
    mode: BatchMode,
    options: BatchOptions,
    on_settled: Option<OnSettled<'a>>,
    on_dead_letter: Option<OnDeadLetter<'a>>,
    on_progress: Option<OnProgress<'a>>,
    stop: Option<BoxFuture<'a, ()>>,
    location: &'static Location<'static>,
}

impl<E: Entity> Repository<E> {
    /// Starts to write a stream of new rows: by default each is added, or replaces the one with its
    /// key; [`mode`](WriteStream::mode) says otherwise. One round trip for each chunk.
    #[track_caller]
    pub fn write_stream<'a, S>(&'a self, source: S) -> WriteStream<'a, S, S::Item>
    where
        S: Stream<Item: Insert<E> + Send> + Send + 'a,
    {
        WriteStream::new(self.table(), source, Ok, S::Item::encode, S::Item::COLUMNS.to_vec())
    }

    /// Starts to write a stream that can fail, such as the rows of a query. Its first error ends the
    /// batch: what came before it is still written, unless the batch is atomic.
    #[track_caller]
    pub fn write_try_stream<'a, S, I>(&'a self, source: S) -> WriteStream<'a, S, I>
    where
        S: Stream<Item = Result<I>> + Send + 'a,
        I: Insert<E> + Send,
    {
        WriteStream::new(self.table(), source, |item| item, I::encode, I::COLUMNS.to_vec())
    }

    /// Starts to replace rows, found by their keys, by those of a stream; if the entity has a version,
    /// it is checked. One round trip for each chunk.
    #[track_caller]
    pub fn update_stream<'a, S>(&'a self, source: S) -> WriteStream<'a, S, E>
    where
        S: Stream<Item = E> + Send + 'a,
    {
        let columns = self.table().schema().visible().collect();
        let update = WriteStream::new(self.table(), source, Ok, E::encode, columns);
        WriteStream { mode: BatchMode::Update, ..update }
    }

    /// Starts to remove the rows with the keys of a stream. One round trip for each chunk.
    #[track_caller]
    pub fn delete_stream<'a, S>(&'a self, source: S) -> WriteStream<'a, S, S::Item>
    where
        S: Stream<Item: AsKey<E::Key> + Send> + Send + 'a,
    {
        let columns = self.table().schema().key().to_vec();
        let deletion =
            WriteStream::new(self.table(), source, Ok, |key, out| key.encode_key(out), columns);
        WriteStream { mode: BatchMode::Delete, ..deletion }
    }
}

impl<'a, S, I> WriteStream<'a, S, I>
where
    S: Stream + Send + 'a,
    I: Send,
{
    #[track_caller]
    fn new(
        table: &'a Table,
        source: S,
        item: fn(S::Item) -> Result<I>,
        encode: fn(&I, &mut dyn CellSink) -> Result<()>,
        columns: Vec<u16>,
    ) -> Self {
        Self {
            table,
            source,
            item,
            encode,
            columns,
            mode: BatchMode::Upsert,
            options: BatchOptions::default(),
            on_settled: None,
            on_dead_letter: None,
            on_progress: None,
            stop: None,
            location: Location::caller(),
        }
    }

    /// Sets what is done with each row. A row that is deleted is found by its key alone.
    pub fn mode(self, mode: BatchMode) -> Self {
        Self { mode, ..self }
    }

    /// Sets all bounds.
    pub fn options(self, options: BatchOptions) -> Self {
        Self { options, ..self }
    }

    /// Sets what happens together or not at all.
    pub fn atomic(mut self, atomic: Atomic) -> Self {
        self.options.atomic = atomic;
        self
    }

    /// Hands out the outcomes, in the order of the stream.
    pub fn on_settled(mut self, take: impl FnMut(&Settled) + Send + 'a) -> Self {
        self.on_settled = Some(Box::new(take));
        self
    }

    /// Hands out each row that fails or is unknown.
    pub fn on_dead_letter(mut self, take: impl FnMut(DeadLetter<'_>) + Send + 'a) -> Self {
        self.on_dead_letter = Some(Box::new(take));
        self
    }

    /// Tells how far it has come: by rows and time, never less than before, and at its end.
    pub fn on_progress(mut self, tell: impl FnMut(&BatchProgress) + Send + 'a) -> Self {
        self.on_progress = Some(Box::new(tell));
        self
    }

    /// Takes no more rows when a future is done: a deadline, a shutdown, a cancellation. What was
    /// taken is still written, and reported.
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'a) -> Self {
        self.stop = Some(Box::pin(stop));
        self
    }

    /// Where the cells stand that the mode sends, if not all of them are sent.
    fn sent(&self) -> Option<Vec<usize>> {
        let key = self.table.schema().key();
        if self.mode != BatchMode::Delete || self.columns == key {
            return None;
        }
        let position = |column: &u16| self.columns.iter().position(|other| other == column);
        key.iter().map(position).collect()
    }

    async fn write(mut self) -> Result<BatchReport> {
        let sent = self.sent();
        if sent.is_some() {
            self.columns = self.table.schema().key().to_vec();
        }
        let Self { table, mode, options, item, encode, location, .. } = self;
        let mut writer = BatchWriter::start(table, mode, &self.columns, options, location)?;
        if let Some(take) = self.on_dead_letter {
            writer.on_dead_letter(take);
        }
        if let Some(tell) = self.on_progress {
            writer.on_progress(tell);
        }
        let mut source = Box::pin(self.source);
        let mut on_settled = self.on_settled;
        let mut hand_out = |writer: &mut BatchWriter<'_>| {
            while let Some(settled) = writer.settled() {
                if let Some(take) = &mut on_settled {
                    take(&settled);
                }
            }
        };
        let mut cells = Vec::new();
        let mut take = |writer: &mut BatchWriter<'_>, next| match item(next) {
            // A row that is refused has failed; the writer says so.
            Ok(row) => drop(writer.row(|out| match &sent {
                Some(key) => encode_key(|out| encode(&row, out), key, &mut cells, out),
                None => encode(&row, out),
            })),
            Err(error) => writer.fail(error),
        };
        while !writer.is_stopped() {
            let step = poll_fn(|context| {
                let source = source.as_mut();
                Self::poll_step(&mut writer, source, &mut self.stop, &mut take, context)
            });
            match step.await {
                Step::Stop => writer.stop(),
                Step::Landed => {}
                Step::End => break,
            }
            hand_out(&mut writer);
        }
        let report = writer.finish().await;
        hand_out(&mut writer);
        Ok(report)
    }

    /// Takes rows until there is something else to do.
    fn poll_step(
        writer: &mut BatchWriter<'_>,
        mut source: Pin<&mut S>,
        stop: &mut Option<BoxFuture<'a, ()>>,
        take: &mut impl FnMut(&mut BatchWriter<'_>, S::Item),
        context: &mut Context<'_>,
    ) -> Poll<Step> {
        // A look at the chunks on their way costs more than to take a row: it is had once for each
        // chunk that is filled, and whenever something wakes this.
        let mut has_room = false;
        loop {
            if let Some(stop) = stop
                && stop.as_mut().poll(context).is_ready()
            {
                return Poll::Ready(Step::Stop);
            }
            if !has_room || writer.is_full() || writer.is_stopped() {
                let sent = writer.poll_advance(context);
                if writer.is_stopped() || writer.has_settled() {
                    return Poll::Ready(Step::Landed);
                }
                // No row is taken before there is room for it.
                ready!(sent);
                has_room = true;
            }
            match ready!(source.as_mut().poll_next(context)) {
                Some(next) => take(writer, next),
                None => return Poll::Ready(Step::End),
            }
        }
    }
}

/// What comes next.
enum Step {
    /// Chunks have their outcomes.
    Landed,
    Stop,
    End,
}

/// Writes the cells of the key out of a whole row.
fn encode_key(
    encode: impl FnOnce(&mut dyn CellSink) -> Result<()>,
    key: &[usize],
    cells: &mut Vec<Value>,
    out: &mut dyn CellSink,
) -> Result<()> {
    cells.clear();
    encode(cells)?;
    key.iter().try_for_each(|at| out.cell(cells.get(*at).map_or(Cell::Null, Value::cell)))
}

impl<'a, S, I> IntoFuture for WriteStream<'a, S, I>
where
    S: Stream<Item: Send> + Send + 'a,
    I: Send + 'a,
{
    type Output = Result<BatchReport>;
    type IntoFuture = BoxFuture<'a, Result<BatchReport>>;

    /// # Errors
    ///
    /// Only before anything is written: what [`Table::batch_writer`] refuses.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.write())
    }
}

impl<S: Stream, I> fmt::Debug for WriteStream<'_, S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteStream")
            .field("table", self.table)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
