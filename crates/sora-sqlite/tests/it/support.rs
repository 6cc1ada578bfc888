//! Builds reads and writes by names, and runs them.

use std::sync::Arc;

use sora_core::plan::{Negotiation, Plan, Support};
use sora_core::provider::{
    Administer, Administered, DynProvider, SchemaReport, Session, StorePlan,
};
use sora_core::read::{Access, Output, Pace, Read, ReadReport};
use sora_core::write::{Change, OnConflict, Target, Write, WriteReport};
use sora_core::{
    Assignment, Binding, Cell, CellSink, Fallback, FilterLimits, LiveTable, Predicate, Query,
    Result, RowBuffer, Schema, Sort, Value,
};
use sora_sqlite::{Sqlite, SqliteConfig};

/// A database and a directory that is removed with it.
pub(crate) struct Store {
    pub(crate) sqlite: Sqlite,
    pub(crate) directory: tempfile::TempDir,
}

pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

impl Store {
    pub(crate) async fn new() -> Self {
        Self::with(|config| config).await
    }

    pub(crate) async fn with(set: impl FnOnce(SqliteConfig) -> SqliteConfig) -> Self {
        let directory = directory();
        let config = set(SqliteConfig::file(directory.path().join("test.db")).expect("a path"));
        let sqlite = Sqlite::open(config).await.expect("opened");
        Self { sqlite, directory }
    }

    /// Runs SQL beside the provider, as another program would.
    pub(crate) fn sql(&self, text: &str) {
        let db = rusqlite::Connection::open(self.path()).expect("opened");
        db.execute_batch(text).expect(text);
    }

    /// Returns what SQL gives beside the provider: cells with `|` between them.
    pub(crate) fn rows(&self, text: &str) -> Vec<String> {
        let db = rusqlite::Connection::open(self.path()).expect("opened");
        let mut statement = db.prepare(text).expect(text);
        let width = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let cells: rusqlite::Result<Vec<String>> = (0..width)
                .map(|at| row.get::<_, rusqlite::types::Value>(at).map(|value| shown(&value)))
                .collect();
            cells.map(|cells| cells.join("|"))
        };
        let rows: rusqlite::Result<Vec<String>> =
            statement.query_map([], row).expect(text).collect();
        rows.expect(text)
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("test.db")
    }
}

fn shown(value: &rusqlite::types::Value) -> String {
    use rusqlite::types::Value as Stored;
    match value {
        Stored::Null => "NULL".into(),
        Stored::Integer(value) => value.to_string(),
        Stored::Real(value) => format!("{value:?}"),
        Stored::Text(value) => value.clone(),
        Stored::Blob(value) => format!("{value:02x?}"),
    }
}

/// Ensures a schema and binds it to what is there.
pub(crate) async fn bind(provider: &dyn DynProvider, schema: Schema) -> Arc<Binding> {
    let report = ensure(provider, &schema).await.expect("ensured");
    assert_eq!(report.differs, [], "a new table differs at once");
    let live = live(provider, schema.table()).await;
    Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"))
}

/// Binds a table that is there by the schema that it tells itself.
pub(crate) async fn found(provider: &dyn DynProvider, table: &str) -> Arc<Binding> {
    let live = live(provider, table).await;
    let schema = live.to_schema().expect("a schema");
    Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"))
}

pub(crate) async fn live(provider: &dyn DynProvider, table: &str) -> LiveTable {
    let mut found = provider.describe(Some(table)).await.expect("described");
    assert_eq!(found.len(), 1, "{table}");
    found.remove(0)
}

pub(crate) async fn ensure(provider: &dyn DynProvider, schema: &Schema) -> Result<SchemaReport> {
    match provider.administer(&Administer::Ensure(Arc::new(schema.clone()))).await? {
        Administered::Ensured(report) => Ok(report),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn explain(provider: &dyn DynProvider, read: &Read, analyze: bool) -> StorePlan {
    let task = Administer::Explain { read: read.clone(), analyze };
    match provider.administer(&task).await.expect("explained") {
        Administered::Explained(plan) => plan,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn rows_of(rows: &[&[Value]]) -> Arc<RowBuffer> {
    let mut buffer = RowBuffer::new(rows.first().map_or(1, |row| row.len()));
    for row in rows {
        row.iter().for_each(|value| buffer.cell(value.cell()).expect("a cell"));
    }
    Arc::new(buffer)
}

/// All columns that are not hidden.
pub(crate) fn visible(binding: &Binding) -> Arc<[u16]> {
    binding.schema().visible().collect()
}

pub(crate) fn insert(binding: &Arc<Binding>, rows: &[&[Value]], on_conflict: OnConflict) -> Write {
    let change = Change::Insert { rows: rows_of(rows), columns: visible(binding), on_conflict };
    Write::new(binding.clone(), change)
}

pub(crate) fn update(binding: &Arc<Binding>, rows: &[&[Value]], check_version: bool) -> Write {
    let change = Change::Update { rows: rows_of(rows), columns: visible(binding), check_version };
    Write::new(binding.clone(), change)
}

pub(crate) fn patch(
    binding: &Arc<Binding>,
    target: Target,
    assignments: &[(&str, bool, Value)],
) -> Write {
    let schema = binding.schema();
    let assignment = |(name, add, value): &(&str, bool, Value)| Assignment {
        column: schema.find(name).expect("a column"),
        add: *add,
        value: value.clone(),
    };
    let assignments = assignments.iter().map(assignment).collect();
    Write::new(binding.clone(), Change::Patch { target, assignments, version: None })
}

pub(crate) fn delete(binding: &Arc<Binding>, target: Target) -> Write {
    Write::new(binding.clone(), Change::Delete { target, version: None })
}

pub(crate) async fn write(provider: &dyn DynProvider, write: &Write) -> WriteReport {
    let mut sink = RowBuffer::new(0);
    provider.write(write, &mut sink).await.expect("written")
}

/// The outcomes, one word each: `Inserted`, or the kind and text of an error.
pub(crate) fn outcomes(report: &WriteReport) -> Vec<String> {
    let word = |outcome: &sora_core::write::Outcome| match outcome.effect() {
        Ok(effect) => format!("{effect:?}"),
        Err(error) => format!("{:?}: {error}", error.kind()),
    };
    report.outcomes.iter().map(word).collect()
}

pub(crate) async fn fill(provider: &dyn DynProvider, binding: &Arc<Binding>, rows: &[&[Value]]) {
    let report = write(provider, &insert(binding, rows, OnConflict::Fail)).await;
    assert!(report.first_error().is_none(), "{:?}", report.first_error());
}

pub(crate) fn lookup(binding: &Arc<Binding>, keys: &[&[Value]]) -> Read {
    let mut read = Read::new(binding.clone(), visible(binding));
    read.access = Access::Keys(rows_of(keys));
    read.pace = Pace::Lookup;
    read
}

pub(crate) fn predicate(binding: &Binding, predicate: Predicate) -> Arc<[Predicate]> {
    let bound = predicate.bind(binding.schema(), FilterLimits::default()).expect("bound");
    bound.into_terms().into()
}

pub(crate) fn sort(binding: &Binding, columns: &[&str]) -> Arc<[Sort]> {
    let one = |name: &&str| Sort {
        column: binding.schema().find(name.trim_start_matches('-')).expect("a column"),
        descending: name.starts_with('-'),
    };
    columns.iter().map(one).collect()
}

/// Returns the rows of a read, each as its cells with `|` between them.
pub(crate) async fn read(provider: &dyn DynProvider, read: &Read) -> Result<Vec<String>> {
    let mut rows = RowBuffer::new(read.columns.len());
    provider.read(read, &mut rows).await?;
    Ok(lines(&rows))
}

pub(crate) async fn read_inside(session: &mut dyn Session, read: &Read) -> Result<Vec<String>> {
    let mut rows = RowBuffer::new(read.columns.len());
    session.read(read, &mut rows).await?;
    Ok(lines(&rows))
}

pub(crate) async fn count(provider: &dyn DynProvider, read: &Read) -> Option<u64> {
    let mut read = read.clone();
    read.output = Output::Count;
    let mut rows = RowBuffer::new(1);
    let report: ReadReport = provider.read(&read, &mut rows).await.expect("counted");
    report.count
}

pub(crate) fn lines(rows: &RowBuffer) -> Vec<String> {
    let line = |row: sora_core::BufferedRow<'_>| {
        let cells: Vec<String> = (0..rows.width())
            .map(|at| match row.get(at) {
                Cell::Text(text) => text.to_owned(),
                cell => cell.to_string(),
            })
            .collect();
        cells.join("|")
    };
    rows.iter().map(line).collect()
}

/// Plans a query as Sora does, and returns the rows that it gives; everything must be pushed down.
pub(crate) async fn query(
    provider: &dyn DynProvider,
    binding: &Arc<Binding>,
    filter: Predicate,
) -> Vec<String> {
    let mut query = Query::new(filter);
    query.fallback = Fallback::Reject;
    let plan = Plan::new(provider, binding, &query, true).expect("planned");
    read(provider, &plan.read).await.expect("read")
}

pub(crate) fn support(
    provider: &dyn DynProvider,
    binding: &Arc<Binding>,
    filter: Predicate,
) -> Support {
    let mut ask = Negotiation::new(binding.clone(), vec![filter], Vec::new());
    provider.negotiate(&mut ask);
    ask.terms()[0].support()
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.into())
}

pub(crate) fn all_rows(binding: &Arc<Binding>) -> Read {
    let mut read = Read::new(binding.clone(), visible(binding));
    let key = binding.schema().key();
    read.sort = key.iter().map(|column| Sort { column: *column, descending: false }).collect();
    read
}
