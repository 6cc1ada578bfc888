//! What a store is asked to write, as data.

use std::sync::Arc;
use std::time::Duration;

use crate::{Assignment, Binding, Error, ErrorKind, Predicate, RowBuffer, Statement};

/// One write to one table, of any number of rows.
///
/// Rows were checked against the schema before: their cells are of their columns' types and in
/// range. If the schema has a version column, every change of a stored row adds one to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Write {
    /// The table.
    pub binding: Arc<Binding>,
    /// What is written.
    pub change: Change,
    /// Whether the first failure undoes all. Otherwise each row stands alone.
    pub atomic: bool,
    /// The columns that the sink receives of each row that was inserted or changed, in input order,
    /// as it is stored then.
    pub returning: Option<Arc<[u16]>>,
}

/// What a [`Write`] does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// Adds rows. A column that is left out is assigned by the store, or null.
    Insert {
        /// The rows.
        rows: Arc<RowBuffer>,
        /// What their cells are.
        columns: Arc<[u16]>,
        /// What happens when a row is there already.
        on_conflict: OnConflict,
    },
    /// Replaces rows, found by their key.
    Update {
        /// The rows, whose columns hold the key.
        rows: Arc<RowBuffer>,
        /// What their cells are.
        columns: Arc<[u16]>,
        /// Whether the row's version cell must equal the stored one.
        check_version: bool,
    },
    /// Changes some columns.
    Patch {
        /// Which rows.
        target: Target,
        /// The changes, each column at most once.
        assignments: Arc<[Assignment]>,
        /// The version that the stored row must have.
        version: Option<i64>,
    },
    /// Removes rows.
    Delete {
        /// Which rows.
        target: Target,
        /// The version that the stored row must have.
        version: Option<i64>,
    },
    /// Runs one statement in the store's own language; its rows are what `returning` asks for, found
    /// by name. It has one outcome, whose effect says whether a row was written.
    Native(Statement),
}

/// What an insert does with a row that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnConflict {
    /// It fails, with the constraint's name.
    Fail,
    /// It leaves the stored row as it is, whichever key or unique it meets.
    Ignore,
    /// It replaces the given columns of the row with the same values of these columns, which are the
    /// key or a unique index; the stored row keeps its key. Another unique that it meets is a failure.
    Update(Arc<[u16]>),
}

/// The rows that a change by key or filter applies to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The keys, each row of the buffer one; all rows if there is none.
    pub keys: Option<Arc<RowBuffer>>,
    /// Conditions that the rows must meet as well, all of them exact.
    pub filter: Arc<[Predicate]>,
}

/// What happened in a write.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WriteReport {
    /// One outcome for each row or key, in input order; one in all for a write by filter alone.
    pub outcomes: Vec<Outcome>,
    /// The number of rows that were written.
    pub affected: u64,
    /// How long it waited for a connection.
    pub waited: Duration,
}

/// What became of one row of a write.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It was done and is durable as the store is configured.
    Applied(Effect),
    /// It was not done.
    Failed(Error),
    /// It was not done because another row of an atomic write failed.
    Skipped,
    /// It was sent and never confirmed: it may be done.
    Unknown(Error),
}

/// What an applied write did to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// The row was removed.
    Deleted,
    /// The row is new.
    Inserted,
    /// There is no such row.
    Missing,
    /// Another row of the same key came behind it in the same batch and was written in its place.
    Superseded,
    /// The row was there and was left as it is.
    Unchanged,
    /// The row was there and was changed.
    Updated,
    /// The row was inserted or updated; which of both is told only where it costs nothing.
    Upserted,
}

impl Write {
    /// Returns a write whose rows stand alone, and that returns none.
    pub fn new(binding: Arc<Binding>, change: Change) -> Self {
        Self { binding, change, atomic: false, returning: None }
    }

    /// Whether doing it twice leaves what doing it once leaves, and reports the same.
    ///
    /// That holds for upserts, updates and patches that add nothing and count no version. To delete
    /// or insert again would report that the row is missing, or there already.
    pub fn is_idempotent(&self) -> bool {
        let counts = self.binding.schema().version().is_some();
        match &self.change {
            Change::Insert { on_conflict: OnConflict::Update(_), .. } => !counts,
            Change::Update { check_version, .. } => !counts && !check_version,
            // Rows that a filter found may not meet it any more once they are changed.
            Change::Patch { target, assignments, version } => {
                let by_key = target.keys.is_some() && target.filter.is_empty();
                let adds = assignments.iter().any(|one| one.add);
                by_key && !adds && !counts && version.is_none()
            }
            _ => false,
        }
    }
}

impl Target {
    /// The rows with these keys.
    pub fn keys(keys: Arc<RowBuffer>) -> Self {
        Self { keys: Some(keys), filter: Arc::default() }
    }

    /// The rows that meet a filter.
    pub fn filter(filter: Arc<[Predicate]>) -> Self {
        Self { keys: None, filter }
    }
}

impl WriteReport {
    /// Adds an outcome and counts its row.
    pub fn push(&mut self, outcome: Outcome) {
        self.affected += u64::from(outcome.is_written());
        self.outcomes.push(outcome);
    }

    /// Makes it the report of a write that failed at one row and was undone as a whole.
    pub fn undo(&mut self, rows: usize, failed: usize, error: Error) {
        self.affected = 0;
        self.outcomes.clear();
        self.outcomes.resize_with(rows, || Outcome::Skipped);
        if let Some(outcome) = self.outcomes.get_mut(failed) {
            *outcome = Outcome::Failed(error);
        }
    }

    /// Returns the first failure.
    pub fn first_error(&self) -> Option<&Error> {
        self.outcomes.iter().find_map(Outcome::error)
    }
}

impl Outcome {
    /// Whether a row of the table was inserted, changed or removed.
    pub fn is_written(&self) -> bool {
        match self {
            Self::Applied(effect) => {
                !matches!(effect, Effect::Missing | Effect::Superseded | Effect::Unchanged)
            }
            _ => false,
        }
    }

    /// The error, if it failed or is unknown.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) | Self::Unknown(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the effect, or the error of a write that was not done.
    pub fn effect(&self) -> Result<Effect, Error> {
        match self {
            Self::Applied(effect) => Ok(*effect),
            Self::Failed(error) | Self::Unknown(error) => Err(error.clone()),
            Self::Skipped => Err(Error::new(
                ErrorKind::Cancelled,
                "the row was not written because another row of its batch failed",
            )),
        }
    }
}

impl Change {
    /// The number of outcomes that the report must have.
    pub fn len(&self) -> usize {
        match self {
            Self::Insert { rows, .. } | Self::Update { rows, .. } => rows.len(),
            Self::Patch { target, .. } | Self::Delete { target, .. } => {
                target.keys.as_ref().map_or(1, |keys| keys.len())
            }
            Self::Native(_) => 1,
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
