//! Rows on their way from a thread to the caller: flat buffers through a short queue.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use sora_core::read::{Pace, Read, ReadReport};
use sora_core::{Error, ErrorKind, Result, Row, RowBuffer, RowSink};
use tokio::sync::mpsc;

/// Some rows, and how the read ended, if it has.
#[derive(Debug)]
pub(crate) struct Chunk {
    rows: RowBuffer,
    /// How many rows the store had given when each was taken; none if all were.
    received: Vec<u64>,
    end: Option<Result<ReadReport>>,
}

/// Rows are sent when they take so much memory.
const CHUNK_BYTES: usize = 64 * 1024;
/// One is filled while the caller takes another.
const CHUNKS_MAX: usize = 2;
/// Of a page of a scan all are: whoever reads ahead takes them later, and a thread that waited for it
/// would keep others from reading. More than its rows the page does not take here either.
const PAGE_CHUNKS_MAX: usize = RowBuffer::BYTES_MAX / CHUNK_BYTES;

/// Returns both ends of a read.
pub(crate) fn channel(read: &Read) -> (mpsc::Sender<Chunk>, mpsc::Receiver<Chunk>) {
    let is_page = read.pace == Pace::Scan && read.limit.is_some();
    mpsc::channel(if is_page { PAGE_CHUNKS_MAX } else { CHUNKS_MAX })
}

/// Runs a read on a thread, and sends what it gives.
pub(crate) fn send(
    read: &Read,
    chunks: &mpsc::Sender<Chunk>,
    run: impl FnOnce(&AtomicU64, &mut dyn RowSink) -> Result<ReadReport>,
) {
    let pulled = AtomicU64::new(0);
    let mut sink = Sender {
        rows: RowBuffer::new(read.width()),
        received: Vec::new(),
        counts: !read.residual.is_empty(),
        is_page: read.limit.is_some(),
        pulled: &pulled,
        chunks,
    };
    let end = run(&pulled, &mut sink);
    let Sender { rows, received, .. } = sink;
    // If nobody waits for the end, nobody needs it.
    let _ = chunks.blocking_send(Chunk { rows, received, end: Some(end) });
}

/// Hands rows on to the caller's sink, until the end or until it breaks.
pub(crate) async fn receive(
    mut chunks: mpsc::Receiver<Chunk>,
    sink: &mut dyn RowSink,
) -> Result<ReadReport> {
    let mut taken = 0;
    while let Some(mut chunk) = chunks.recv().await {
        let rows = chunk.rows.len() as u64;
        if chunk.received.is_empty()
            && let Some(flow) = sink.rows(&mut chunk.rows)?
        {
            taken += rows;
            match chunk.end {
                _ if flow.is_break() => return Ok(ReadReport::received(taken)),
                Some(end) => return end,
                None => continue,
            }
        }
        for (index, row) in chunk.rows.iter().enumerate() {
            taken += 1;
            if sink.row(&row)?.is_break() {
                let received = chunk.received.get(index).copied().unwrap_or(taken);
                let mut report = ReadReport::received(received);
                report.rejected = received - taken;
                return Ok(report);
            }
        }
        if let Some(end) = chunk.end {
            return end;
        }
    }
    Err(gone())
}

/// The error of a thread that ended before its work.
pub(crate) fn gone() -> Error {
    Error::new(ErrorKind::Internal, "a thread of the SQLite provider has ended; open it again")
}

/// Collects rows and sends them when they are many.
struct Sender<'a> {
    rows: RowBuffer,
    received: Vec<u64>,
    counts: bool,
    is_page: bool,
    pulled: &'a AtomicU64,
    chunks: &'a mpsc::Sender<Chunk>,
}

impl Sender<'_> {
    /// `Break` if the caller has gone, or wants no more.
    fn send(&mut self) -> ControlFlow<()> {
        let empty = RowBuffer::new(self.rows.width());
        let chunk = Chunk {
            rows: std::mem::replace(&mut self.rows, empty),
            received: std::mem::take(&mut self.received),
            end: None,
        };
        match self.chunks.blocking_send(chunk) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

impl RowSink for Sender<'_> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.rows.push(row)?;
        if self.counts {
            self.received.push(self.pulled.load(Ordering::Relaxed));
        }
        if self.rows.size() < CHUNK_BYTES {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(self.send())
    }

    /// Keeps the last rows of a page until its end, which goes with them.
    fn rows(&mut self, rows: &mut RowBuffer) -> Result<Option<ControlFlow<()>>> {
        if self.counts {
            return Ok(None);
        }
        let flow = match self.rows.is_empty() {
            true => ControlFlow::Continue(()),
            false => self.send(),
        };
        std::mem::swap(&mut self.rows, rows);
        Ok(Some(match self.is_page || flow.is_break() {
            true => flow,
            false => self.send(),
        }))
    }

    fn reset(&mut self) {
        self.rows.clear();
        self.received.clear();
    }
}
