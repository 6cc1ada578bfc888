//! What became of the rows of a batch.

use std::fmt;
use std::time::Duration;

use sora_core::write::{Effect, Outcome};
use sora_core::{Error, ErrorKind};

/// What a batch writer did. The rows are those that are applied, failed, unknown and skipped.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BatchReport {
    /// Rows that were taken.
    pub rows: u64,
    /// How many rows ended how.
    pub counts: BatchCounts,
    /// What went wrong, by kind, in the order in which the kinds were met.
    pub errors: Vec<BatchErrors>,
    /// Writes of several rows that the rows were given to the store by, without repetitions.
    pub chunks: u64,
    /// Writes that were repeated.
    pub retries: u64,
    /// From the first row to the end.
    pub elapsed: Duration,
    /// How it ended.
    pub end: BatchEnd,
}

/// How many rows ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchCounts {
    /// New rows.
    pub inserted: u64,
    /// Rows that were there and were changed.
    pub updated: u64,
    /// Inserted or updated, where the store does not tell which.
    pub upserted: u64,
    /// Rows that were removed.
    pub deleted: u64,
    /// Rows that were there and were left as they are.
    pub unchanged: u64,
    /// Rows to change or remove that were not there.
    pub missing: u64,
    /// Rows in whose place a later one of the same key was written.
    pub superseded: u64,
    /// Rows that were not written, each with an error.
    pub failed: u64,
    /// Rows that were sent and never confirmed.
    pub unknown: u64,
    /// Rows that were not sent, or undone, because of another one.
    pub skipped: u64,
}

/// The errors of one kind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BatchErrors {
    /// The kind.
    pub kind: ErrorKind,
    /// Rows that have such an error.
    pub count: u64,
    /// The first of them: index and error.
    pub samples: Vec<(u64, Error)>,
}

/// How a batch ended.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum BatchEnd {
    /// All rows were taken, and each has its outcome.
    #[default]
    Complete,
    /// As many rows failed as were allowed, or the caller stopped it.
    Stopped,
    /// The source of the rows failed, or the store, in a way that no row can be written after.
    Failed(Error),
}

/// How far a batch has come. Every number is at least what it was before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchProgress {
    /// Rows that were taken.
    pub taken: u64,
    /// Rows that the store has answered, or that will not be sent. Those of an atomic stream may
    /// still be undone.
    pub answered: u64,
    /// Rows whose outcome is known for good: the counts sum to it.
    pub counts: BatchCounts,
    /// From the first row on.
    pub elapsed: Duration,
    /// Whether this is the last of the batch. It is told once, however the batch ends.
    pub is_final: bool,
}

impl BatchReport {
    /// Rows that were applied, for each second.
    pub fn rows_per_second(&self) -> u64 {
        let nanos = self.elapsed.as_nanos().max(1);
        u64::try_from(u128::from(self.counts.applied()) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
    }

    /// The error that ended the batch, or else the first of its rows.
    pub fn first_error(&self) -> Option<&Error> {
        match &self.end {
            BatchEnd::Failed(error) => Some(error),
            _ => self.errors.first()?.samples.first().map(|(_, error)| error),
        }
    }

    /// Whether all rows were applied.
    pub fn is_complete(&self) -> bool {
        matches!(self.end, BatchEnd::Complete) && self.counts.applied() == self.rows
    }
}

impl BatchCounts {
    /// Rows that are as they were given, or were so until a later row replaced them.
    pub fn applied(&self) -> u64 {
        self.written() + self.unchanged + self.missing + self.superseded
    }

    /// Rows of the table that were inserted, changed or removed.
    pub fn written(&self) -> u64 {
        self.inserted + self.updated + self.upserted + self.deleted
    }

    /// All rows that have an outcome.
    pub fn sum(&self) -> u64 {
        self.applied() + self.failed + self.unknown + self.skipped
    }

    pub(crate) fn add(&mut self, outcome: &Outcome) {
        *self.of(outcome) += 1;
    }

    fn of(&mut self, outcome: &Outcome) -> &mut u64 {
        match outcome {
            Outcome::Applied(effect) => match effect {
                Effect::Deleted => &mut self.deleted,
                Effect::Inserted => &mut self.inserted,
                Effect::Missing => &mut self.missing,
                Effect::Superseded => &mut self.superseded,
                Effect::Unchanged => &mut self.unchanged,
                Effect::Updated => &mut self.updated,
                // A store that tells an effect that is not known here has written something.
                _ => &mut self.upserted,
            },
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Unknown(_) => &mut self.unknown,
            _ => &mut self.skipped,
        }
    }
}

impl fmt::Display for BatchReport {
    /// One line: how many rows ended how.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        write!(f, "{} rows: {} applied", self.rows, counts.applied())?;
        for (name, count) in [
            ("superseded", counts.superseded),
            ("failed", counts.failed),
            ("unknown", counts.unknown),
            ("skipped", counts.skipped),
        ] {
            if count > 0 {
                write!(f, ", {count} {name}")?;
            }
        }
        write!(f, "; {}/s", self.rows_per_second())
    }
}
