//! How a batch writer writes.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};

/// What a batch writer does with each row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BatchMode {
    /// Adds the row, or replaces the given columns of the one with its key.
    #[default]
    Upsert,
    /// Adds the row; one that is there is a failure.
    Insert,
    /// Adds the row; one that is there stays as it is.
    InsertOrIgnore,
    /// Replaces the given columns of the row with the key; if the version is given, it is checked.
    Update,
    /// Removes the row with the key.
    Delete,
}

/// What of a batch happens together or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Atomic {
    /// Each row stands alone.
    #[default]
    Row,
    /// The rows of a chunk are written all or none. Rows that are refused before are not part of it.
    Chunk,
    /// All rows are written in one transaction; the first failure undoes them, a refused row too.
    Stream,
}

/// The bounds of a batch writer. The defaults are those of [`Default`].
#[derive(Clone, Debug)]
pub struct BatchOptions {
    /// What happens together or not at all: nothing but each row.
    pub atomic: Atomic,
    /// Rows in one write. Without a number 5,000, and 50,000 in an atomic stream on a store with one
    /// writer, which writes them in the order of their keys: of rows that come in no order more share a
    /// page then, and nobody waits longer for it. As many as the store takes at once if that is less.
    pub rows_per_chunk: Option<usize>,
    /// The memory of the rows of one write after which no more are added: 16 MiB.
    pub bytes_per_chunk: usize,
    /// Writes that run at the same time: 1. More are only used where the store says that they pay,
    /// and never by an atomic stream. Rows of one key are then still written in order; rows of
    /// different keys are not, which matters where they meet in another unique column or refer to
    /// each other.
    pub chunks_in_flight: usize,
    /// Failed and unknown rows after which nothing more is written; without a number it never stops.
    pub errors_max: Option<u64>,
    /// How often one write is repeated: 3 times. Only what is known to have written nothing is
    /// repeated, and of what is unknown only what gives the same rows when it is done twice. Nothing
    /// is repeated inside the transaction of an atomic stream.
    pub retries_max: u32,
    /// Of all writes so many percent are repeated at most, beside the first 10: 20.
    pub retries_percent: u8,
    /// The longest wait before the first repetition, doubled with each: 50 ms. How much of it is
    /// waited is random.
    pub backoff: Duration,
    /// The longest wait before any repetition: 5 s.
    pub backoff_max: Duration,
    /// Errors of each kind that the report keeps: the first 5.
    pub samples_max: usize,
    /// Rows after which progress is told: 100,000.
    pub progress_rows: u64,
    /// The time after which progress is told if there was any: 1 s.
    pub progress_interval: Duration,
    /// Where time and chance come from.
    pub clock: Arc<dyn Clock>,
}

/// Rows in one write, if nothing is said.
const ROWS_PER_CHUNK: usize = 5_000;
/// The same in a transaction that keeps the one writer of the store to its end anyway.
const ROWS_PER_CHUNK_ALONE: usize = 50_000;

impl BatchOptions {
    /// The rows in one write to a store that takes so many, and has one writer or several.
    pub(super) fn rows_per_chunk(&self, rows_max: usize, has_one_writer: bool) -> usize {
        let usual = match self.atomic == Atomic::Stream && has_one_writer {
            true => ROWS_PER_CHUNK_ALONE,
            false => ROWS_PER_CHUNK,
        };
        self.rows_per_chunk.unwrap_or(usual).min(rows_max).max(1)
    }

    /// The most writes that run at the same time.
    pub const CHUNKS_IN_FLIGHT_MAX: usize = 16;
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            atomic: Atomic::Row,
            rows_per_chunk: None,
            bytes_per_chunk: 16 * 1024 * 1024,
            chunks_in_flight: 1,
            errors_max: None,
            retries_max: 3,
            retries_percent: 20,
            backoff: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
            samples_max: 5,
            progress_rows: 100_000,
            progress_interval: Duration::from_secs(1),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_has_the_writer_takes_more_rows_at_a_time() {
        for (atomic, rows_per_chunk, rows_max, has_one_writer, expected) in [
            (Atomic::Row, None, usize::MAX, true, 5_000),
            (Atomic::Stream, None, usize::MAX, false, 5_000),
            (Atomic::Stream, None, usize::MAX, true, 50_000),
            (Atomic::Stream, None, 20_000, true, 20_000),
            (Atomic::Stream, Some(7), usize::MAX, true, 7),
            (Atomic::Row, Some(70_000), 20_000, false, 20_000),
            (Atomic::Row, Some(0), 20_000, false, 1),
        ] {
            let options = BatchOptions { atomic, rows_per_chunk, ..BatchOptions::default() };
            assert_eq!(options.rows_per_chunk(rows_max, has_one_writer), expected, "{options:?}");
        }
    }
}
