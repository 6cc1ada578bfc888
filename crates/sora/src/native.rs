//! Statements in the store's own language, into entities or rows.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use sora_core::read::{Access, Output, Pace, Read, ReadReport};
use sora_core::write::{Change, Write, WriteReport};
use sora_core::{
    Binding, BufferedRow, Cell, Column, Error, ErrorKind, Operation, Record, RecordSpec, Result,
    Row, RowBuffer, RowSink, Schema, Statement, find_name, take_columns, unknown_name,
};
use tracing::Instrument;

use crate::client::Store;
use crate::collect::Decode;
use crate::deadline;
use crate::transaction::{Transaction, Turn};
use crate::watch::Watch;

/// A statement in the store's own language, to be run by one of its last methods.
///
/// For what Sora has no words for: joins, window functions, a store's own types. Values stand apart
/// from the text, as [`Statement::bind`] takes them, so that no value is ever read as SQL.
///
/// ```
/// # #[cfg(all(feature = "derive", feature = "sqlite"))]
/// # mod example {
/// # use sora::{Entity, Sora, Statement};
/// #[derive(Debug, Entity)]
/// #[sora(table = "zips")]
/// struct Zip {
///     #[sora(key)]
///     code: String,
///     state: String,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # pub async fn main() -> sora::Result<()> {
/// # let store = Sora::open("sqlite::memory:").await?;
/// # store.ensure_schema::<Zip>().await?;
/// # let zips = store.repository::<Zip>().await?;
/// # for code in ["10001", "10002"] {
/// #     zips.insert(&Zip { code: code.into(), state: "NY".into() }).await?;
/// # }
/// let text = "SELECT * FROM zips WHERE state = ?1 ORDER BY code";
/// let zips: Vec<Zip> =
///     store.native(Statement::new(text).bind(&"NY".to_owned())).fetch_as().await?;
/// assert_eq!(zips.len(), 2);
///
/// // A statement that writes names the tables that it writes.
/// let text = "UPDATE zips SET state = upper(state) WHERE code > ?1";
/// let upper = Statement::new(text).bind(&"10001".to_owned()).writing("zips");
/// assert_eq!(store.native(upper).execute().await?, 1);
///
/// let counts = Statement::new("SELECT state, count(*) AS zips FROM zips GROUP BY state");
/// for row in store.native(counts).fetch_rows().await?.iter() {
///     println!("{}: {}", row.get("state")?, row.get("zips")?);
/// }
/// # Ok(())
/// # }
/// # }
/// # #[cfg(all(feature = "derive", feature = "sqlite"))]
/// # example::main().unwrap();
/// ```
#[must_use = "a statement does nothing before one of its last methods is called"]
pub struct Native<'a> {
    store: &'a Arc<Store>,
    statement: Statement,
    rows_max: u64,
    transaction: Option<Transaction>,
    location: &'static Location<'static>,
}

/// The rows of a native statement, with the names of their columns.
#[derive(Clone, Debug)]
pub struct NativeRows {
    columns: Arc<[Column]>,
    rows: RowBuffer,
}

/// One row of [`NativeRows`].
#[derive(Clone, Copy, Debug)]
pub struct NativeRow<'a> {
    columns: &'a [Column],
    row: BufferedRow<'a>,
}

impl<'a> Native<'a> {
    pub(crate) fn new(
        store: &'a Arc<Store>,
        statement: Statement,
        location: &'static Location<'static>,
    ) -> Self {
        Self { store, statement, rows_max: 10_000, transaction: None, location }
    }

    /// Sets how many rows a statement that reads may give, 10,000 unless set; more are an error. One
    /// that writes returns what it has written.
    pub fn rows_max(mut self, rows: u64) -> Self {
        self.rows_max = rows;
        self
    }

    /// Makes the statement part of a transaction: it sees what was written there, and is undone with
    /// it.
    pub fn within(mut self, transaction: &Transaction) -> Self {
        self.transaction = Some(transaction.clone());
        self
    }

    /// Returns the rows as entities or projections; their columns are found by name, in any order,
    /// and others are left alone. One round trip.
    ///
    /// A statement that names tables by [`Statement::writing`] is run as a write, and its rows are
    /// what its `RETURNING` gives.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] by a store without such a language;
    /// [`ErrorKind::InvalidInput`] if the store does not take the statement, or the number of its
    /// values is wrong, or it writes and names no table; [`ErrorKind::Schema`], naming the column that
    /// is missing and those that are there; [`ErrorKind::Limit`] if there are too many rows.
    pub async fn fetch_as<R: Record>(self) -> Result<Vec<R>> {
        let RecordSpec { schema, columns, decode } = R::spec()?;
        let binding = Arc::new(Binding::of_statement(schema.clone())?);
        let mut rows = Vec::new();
        let mut sink = Decode { rows: &mut rows, decode };
        let mut watch = self.watch(schema.table());
        let span = watch.span();
        let done = self.run(binding, Some(columns.into()), &mut sink, &mut watch);
        let done = self.in_time(done.instrument(span)).await;
        watch.end(done)?;
        Ok(rows)
    }

    /// Returns the rows with the names of their columns, of the types that the store tells. What has a
    /// type that Sora does not know is shown as it is. Two round trips: one asks for the columns.
    ///
    /// # Errors
    ///
    /// As [`fetch_as`](Native::fetch_as).
    pub async fn fetch_rows(self) -> Result<NativeRows> {
        let mut watch = self.watch(self.table());
        let span = watch.span();
        let fetched = async {
            let mut schema = Schema::builder("statement");
            for column in self.columns().await? {
                schema = schema.column(column);
            }
            let schema = Arc::new(schema.build()?);
            let binding = Arc::new(Binding::of_statement(schema.clone())?);
            let columns: Arc<[u16]> = (0u16..).zip(schema.columns()).map(|(at, _)| at).collect();
            let mut rows = RowBuffer::new(columns.len());
            self.run(binding, Some(columns), &mut rows, &mut watch).await?;
            Ok(NativeRows { columns: schema.columns().into(), rows })
        };
        let fetched = self.in_time(fetched.instrument(span)).await;
        watch.end(fetched)
    }

    /// Runs a statement that writes and returns how many rows it wrote. One round trip.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it names no table by [`Statement::writing`]; else as
    /// [`fetch_as`](Native::fetch_as), and what the store says of the write.
    pub async fn execute(self) -> Result<u64> {
        if !self.is_write() {
            let message = "a statement is executed to write: name the tables that it writes by \
                           `Statement::writing`, or fetch its rows";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let binding = Arc::new(Binding::of_no_rows()?);
        let mut nothing = RowBuffer::new(0);
        let mut watch = self.watch(self.table());
        let span = watch.span();
        let done = self.run(binding, None, &mut nothing, &mut watch).instrument(span);
        let done = self.in_time(done).await;
        watch.end(done)
    }

    /// Runs the statement and returns how many rows were written, or handed out.
    async fn run(
        &self,
        binding: Arc<Binding>,
        columns: Option<Arc<[u16]>>,
        sink: &mut dyn RowSink,
        watch: &mut Watch<'_>,
    ) -> Result<u64> {
        self.check_native()?;
        // What no store takes fails before any is asked.
        self.statement.parameters()?;
        if self.is_write() {
            if self.transaction.is_none() {
                self.store.pass_writers(self.location).await?;
            }
            let change = Change::Native(self.statement.clone());
            let mut write = Write::new(binding, change);
            write.returning = columns;
            let report = self.write(&write, sink).await?;
            watch.wrote(0, &report);
            return match report.outcomes.first() {
                Some(outcome) => outcome.effect().map(|_| report.affected),
                None => Ok(report.affected),
            };
        }
        let mut read = Read::new(binding, columns.unwrap_or_default());
        read.access = Access::Native(self.statement.clone());
        read.pace = Pace::Page;
        let mut bounded = Bounded { sink, rows: 0, rows_max: self.rows_max };
        let report = self.read(&read, &mut bounded).await?;
        let returned = bounded.finish()?;
        watch.read(report, returned);
        Ok(returned)
    }

    /// Starts to watch the one operation that the statement is.
    fn watch<'w>(&'w self, table: &'w str) -> Watch<'w> {
        let mut watch = Watch::start(self.store, table, Operation::Native, self.location);
        watch.within(self.transaction.is_some());
        watch
    }

    async fn in_time<T>(&self, done: impl Future<Output = Result<T>>) -> Result<T> {
        match self.is_write() {
            true => deadline::writing(done).await,
            false => deadline::reading(done).await,
        }
    }

    fn is_write(&self) -> bool {
        self.statement.writes().len() > 0
    }

    /// Asks which columns the rows have.
    async fn columns(&self) -> Result<Vec<Column>> {
        self.check_native()?;
        self.statement.parameters()?;
        let mut read = Read::new(Arc::new(Binding::of_no_rows()?), [0].into());
        read.access = Access::Native(self.statement.clone());
        read.output = Output::Columns;
        read.pace = Pace::Page;
        let mut found = RowBuffer::new(read.width());
        self.read(&read, &mut found).await?;
        let columns = take_columns(&found)?;
        if columns.is_empty() {
            let message = "the statement gives no rows; run it by `execute`";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(columns)
    }

    /// The one way to the store's rows.
    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        match &self.transaction {
            Some(transaction) => self.turn(transaction).await?.read(read, sink).await,
            None => self.store.provider.read(read, sink).await,
        }
    }

    /// The one way of a write to the store.
    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        match &self.transaction {
            Some(transaction) => self.turn(transaction).await?.write(write, sink).await,
            None => self.store.provider.write(write, sink).await,
        }
    }

    async fn turn<'t>(&self, transaction: &'t Transaction) -> Result<Turn<'t>> {
        transaction.check_store(self.store)?;
        transaction.turn().await
    }

    fn check_native(&self) -> Result<()> {
        if self.store.provider.capability().native {
            return Ok(());
        }
        let message = format!(
            "{} has no language of its own that statements could be written in; ask by filters",
            self.store.provider.name()
        );
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// The table of its event: the first that it writes.
    fn table(&self) -> &str {
        self.statement.writes().next().unwrap_or("*")
    }
}

impl NativeRows {
    /// The columns: their names and types.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row at an index; none beyond the last.
    pub fn row(&self, index: usize) -> Option<NativeRow<'_>> {
        Some(NativeRow { columns: &self.columns, row: self.rows.row(index)? })
    }

    /// Iterates over the rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = NativeRow<'_>> {
        self.rows.iter().map(|row| NativeRow { columns: &self.columns, row })
    }
}

impl<'a> NativeRow<'a> {
    /// Returns the value of a column.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`], naming the nearest column, if there is none of this name.
    pub fn get(&self, name: &str) -> Result<Cell<'a>> {
        let names = self.columns.iter().map(|column| &*column.name);
        match find_name(names.clone(), name) {
            Some(at) => Ok(self.row.get(at)),
            None => Err(unknown_name("column", name, names)),
        }
    }
}

impl Row for NativeRow<'_> {
    fn width(&self) -> usize {
        self.row.width()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        self.row.cell(position)
    }
}

/// Counts rows, and wants no more than there may be.
struct Bounded<'a> {
    sink: &'a mut dyn RowSink,
    rows: u64,
    rows_max: u64,
}

impl Bounded<'_> {
    fn finish(self) -> Result<u64> {
        if self.rows <= self.rows_max {
            return Ok(self.rows);
        }
        let message = format!(
            "the statement gives more than {} rows; add a LIMIT, or raise rows_max",
            self.rows_max
        );
        Err(Error::new(ErrorKind::Limit, message))
    }
}

impl RowSink for Bounded<'_> {
    fn row(&mut self, row: &dyn Row) -> Result<std::ops::ControlFlow<()>> {
        self.rows += 1;
        if self.rows > self.rows_max {
            return Ok(std::ops::ControlFlow::Break(()));
        }
        self.sink.row(row)
    }

    fn reset(&mut self) {
        self.rows = 0;
        self.sink.reset();
    }
}

impl fmt::Debug for Native<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native").field("statement", &self.statement).finish_non_exhaustive()
    }
}
