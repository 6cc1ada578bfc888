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
    /// Rows in one write: 5,000, or as many as the store takes at once if that is less.
    pub rows_per_chunk: usize,
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

impl BatchOptions {
    /// The most writes that run at the same time.
    pub const CHUNKS_IN_FLIGHT_MAX: usize = 16;
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            atomic: Atomic::Row,
            rows_per_chunk: 5_000,
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
