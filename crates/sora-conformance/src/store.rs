//! A provider under test, and a table in it.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use sora_core::plan::{Negotiation, Support};
use sora_core::provider::{
    Administer, Administered, Capability, SchemaReport, Session, SharedProvider,
};
use sora_core::read::{Access, Read, ReadReport};
use sora_core::write::{Change, OnConflict, Outcome, Target, Write, WriteReport};
use sora_core::{
    Binding, CellSink, Intake, Predicate, Result, Row, RowBuffer, RowSink, Schema, Sort, Stamp,
    Value,
};

use crate::report::{Stop, Verdict, check, failed, skipped};

/// One row of a test.
pub(crate) type Cells = Vec<Value>;

/// A provider under test.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) provider: SharedProvider,
    notes: Mutex<Vec<String>>,
}

/// A table of the provider under test.
#[derive(Debug)]
pub(crate) struct Fixture<'s> {
    pub(crate) store: &'s Store,
    pub(crate) binding: Arc<Binding>,
}

impl Store {
    pub(crate) fn new(provider: SharedProvider) -> Self {
        Self { provider, notes: Mutex::default() }
    }

    pub(crate) fn capability(&self) -> Capability {
        self.provider.capability()
    }

    /// Adds what the report should say of a line that passed.
    pub(crate) fn note(&self, note: impl Into<String>) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note.into());
    }

    pub(crate) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Skips a line that writes so many rows at once.
    pub(crate) fn needs_rows(&self, rows: usize) -> Verdict {
        if self.capability().rows_max >= rows {
            return Ok(());
        }
        skipped(format!("one write takes {} rows, it needs {rows}", self.capability().rows_max))
    }

    /// Skips a line that needs sessions.
    pub(crate) fn needs_sessions(&self) -> Verdict {
        if self.capability().transactions { Ok(()) } else { skipped("it has no transactions") }
    }

    pub(crate) async fn ensure(&self, schema: &Arc<Schema>) -> Result<SchemaReport, Stop> {
        match self.provider.administer(&Administer::Ensure(schema.clone())).await? {
            Administered::Ensured(report) => Ok(report),
            other => failed(format!("ensure was answered by {other:?}")),
        }
    }

    /// Creates a table and binds its schema to what the catalogue says.
    pub(crate) async fn table(&self, schema: Schema) -> Result<Fixture<'_>, Stop> {
        let schema = Arc::new(schema);
        let report = self.ensure(&schema).await?;
        check(report.differs.is_empty(), || {
            format!("a new table differs from its schema: {:?}", report.differs)
        })?;
        self.bind(schema).await
    }

    /// Binds a schema to a table that is there.
    pub(crate) async fn bind(&self, schema: Arc<Schema>) -> Result<Fixture<'_>, Stop> {
        let found = self.provider.describe(Some(schema.table())).await?;
        let [live] = <[_; 1]>::try_from(found).or_else(|found| {
            failed(format!("{:?} is described as {} tables", schema.table(), found.len()))
        })?;
        let binding = Arc::new(Binding::new(schema, Arc::new(live))?);
        Ok(Fixture { store: self, binding })
    }
}

impl Fixture<'_> {
    pub(crate) fn schema(&self) -> &Arc<Schema> {
        self.binding.schema()
    }

    /// All columns.
    pub(crate) fn columns(&self) -> Arc<[u16]> {
        self.schema().visible().collect()
    }

    /// Takes in rows as a caller gives them.
    fn intake(&self, columns: &[u16], stamp: Stamp, rows: &[Cells]) -> Result<Intake<'_>> {
        let mut intake = Intake::new(self.schema(), columns, stamp);
        for row in rows {
            intake.row(|out: &mut dyn CellSink| {
                row.iter().try_for_each(|value| out.cell(value.cell()))
            })?;
        }
        Ok(intake)
    }

    /// Returns an insert of whole rows.
    pub(crate) fn insert(&self, rows: &[Cells], on_conflict: OnConflict) -> Result<Write> {
        self.insert_columns(&self.columns(), rows, on_conflict)
    }

    pub(crate) fn insert_columns(
        &self,
        columns: &[u16],
        rows: &[Cells],
        on_conflict: OnConflict,
    ) -> Result<Write> {
        let intake = self.intake(columns, Stamp::New, rows)?;
        // Sora adds the columns that it assigns itself.
        let columns = intake.columns().clone();
        let rows = Arc::new(intake.finish());
        let change = Change::Insert { rows, columns, on_conflict };
        Ok(Write::new(self.binding.clone(), change))
    }

    pub(crate) fn update(
        &self,
        columns: &[u16],
        rows: &[Cells],
        check_version: bool,
    ) -> Result<Write> {
        let rows = Arc::new(self.intake(columns, Stamp::Stored, rows)?.finish());
        let change = Change::Update { rows, columns: columns.into(), check_version };
        Ok(Write::new(self.binding.clone(), change))
    }

    pub(crate) fn delete(&self, target: Target) -> Write {
        Write::new(self.binding.clone(), Change::Delete { target, version: None })
    }

    /// Returns keys of rows, in the form in which stores take them.
    pub(crate) fn keys(&self, keys: &[Cells]) -> Result<Arc<RowBuffer>> {
        Ok(Arc::new(self.intake(self.schema().key(), Stamp::Stored, keys)?.finish()))
    }

    /// Returns the target of keys that are one i64.
    pub(crate) fn ids(&self, ids: &[i64]) -> Result<Target> {
        let ids: Vec<Cells> = ids.iter().map(|id| vec![Value::I64(*id)]).collect();
        Ok(Target::keys(self.keys(&ids)?))
    }

    /// Inserts rows, as many at once as the store takes.
    pub(crate) async fn fill(&self, rows: &[Cells]) -> Verdict {
        for rows in rows.chunks(self.store.capability().rows_max.max(1)) {
            let report = self.write(&self.insert(rows, OnConflict::Fail)?).await?;
            if let Some(error) = report.first_error() {
                return failed(format!("a row cannot be inserted: {error}"));
            }
        }
        Ok(())
    }

    /// Writes, and returns no rows.
    pub(crate) async fn write(&self, write: &Write) -> Result<WriteReport> {
        self.store.provider.write(write, &mut RowBuffer::new(0)).await
    }

    /// Returns a read of all rows and columns.
    pub(crate) fn scan(&self) -> Read {
        Read::new(self.binding.clone(), self.columns())
    }

    pub(crate) fn by_keys(&self, keys: Arc<RowBuffer>) -> Read {
        let mut read = self.scan();
        read.access = Access::Keys(keys);
        read
    }

    /// Reads rows as the store hands them out.
    pub(crate) async fn read(&self, read: &Read) -> Result<(Vec<Cells>, ReadReport)> {
        let mut rows = Rows::default();
        let report = self.store.provider.read(read, &mut rows).await?;
        Ok((rows.0, report))
    }

    /// Returns all rows, sorted by all cells.
    pub(crate) async fn stored(&self) -> Result<Vec<Cells>> {
        let (rows, _) = self.read(&self.scan()).await?;
        Ok(sorted(rows))
    }

    /// Returns all rows as a session sees them, sorted by all cells.
    pub(crate) async fn stored_in(&self, session: &mut Box<dyn Session>) -> Result<Vec<Cells>> {
        let mut rows = Rows::default();
        session.read(&self.scan(), &mut rows).await?;
        Ok(sorted(rows.0))
    }

    /// Asks the store about conditions and a sort.
    pub(crate) fn negotiate(&self, filter: Vec<Predicate>, sort: Vec<Sort>) -> Negotiation {
        let mut ask = Negotiation::new(self.binding.clone(), filter, sort);
        self.store.provider.negotiate(&mut ask);
        ask
    }

    /// Whether the store sorts so itself.
    pub(crate) fn sorts(&self, sort: &[Sort]) -> bool {
        self.negotiate(Vec::new(), sort.to_vec()).sort_support() == Support::Exact
    }
}

/// A sink that keeps rows as values.
#[derive(Debug, Default)]
pub(crate) struct Rows(pub(crate) Vec<Cells>);

impl RowSink for Rows {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        let cells = (0..row.width()).map(|at| Ok(row.cell(at)?.to_value()));
        self.0.push(cells.collect::<Result<_>>()?);
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {
        self.0.clear();
    }
}

/// Sorts rows by all their cells, the first column first.
pub(crate) fn sorted(mut rows: Vec<Cells>) -> Vec<Cells> {
    let width = rows.first().map_or(0, Vec::len);
    let all: Vec<Sort> =
        (0u16..).take(width).map(|column| Sort { column, descending: false }).collect();
    rows.sort_by(|left, right| in_order(&all, left, right));
    rows
}

/// Orders two whole rows by a sort. Not by `sora_core::order`: that is judged here.
pub(crate) fn in_order(sort: &[Sort], left: &Cells, right: &Cells) -> Ordering {
    for Sort { column, descending } in sort {
        let at = usize::from(*column);
        let (left, right) = (left[at].cell(), right[at].cell());
        let order = match (left.is_null(), right.is_null()) {
            (false, false) => left.compare(right).unwrap_or(Ordering::Equal),
            (left, right) => right.cmp(&left),
        };
        let order = if *descending { order.reverse() } else { order };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Returns outcomes as words: `Inserted`, `Conflict`, `Skipped`.
pub(crate) fn words(report: &WriteReport) -> Vec<String> {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Applied(effect) => format!("{effect:?}"),
        Outcome::Failed(error) => format!("{:?}", error.kind()),
        Outcome::Skipped => "Skipped".into(),
        other => format!("{other:?}"),
    };
    report.outcomes.iter().map(word).collect()
}

/// The text of a value that differs where values that are equal are stored differently.
pub(crate) fn text(rows: &[Cells]) -> Vec<String> {
    rows.iter().map(|row| format!("{row:?}")).collect()
}
