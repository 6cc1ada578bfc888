//! Random tables, filters, sorts and pages: every store gives the rows that evaluation in memory
//! gives.

mod generate;
mod shrink;

use std::fmt::{self, Write as _};
use std::ops::ControlFlow;
use std::sync::Arc;

use sora::{Sora, Table};
use sora_core::plan::Plan;
use sora_core::provider::{Provider, SharedProvider};
use sora_core::write::{Change, OnConflict};
use sora_core::{
    Column, Cursor, FilterLimits, Predicate, Query, Result, Row, RowSink, Schema, Sort, Value,
};

use self::generate::{Case, Question, Walk};
use crate::expected::Expected;
use crate::random::Random;
use crate::store::{Cells, in_order};

/// What came of random questions to a store.
#[derive(Debug)]
pub struct Differential {
    seed: u64,
    filters: u64,
    tables: u64,
    /// How many queries the store did alone; counts are not among them.
    pushed: u64,
    /// How many filters kept some rows and left some out.
    dividing: u64,
    failure: Option<String>,
}

/// Asks a store so many random filters, with sorts and pages, and compares the rows with what
/// evaluation in memory gives; `make` gives an empty store.
///
/// The questions go through [`Table`], so that what the store does not claim is done above it.
/// Equal seeds ask equal questions.
pub async fn differential<P, F>(make: impl Fn() -> F, seed: u64, filters: u64) -> Differential
where
    P: Provider,
    F: Future<Output = P>,
{
    shared_differential(|| async { Arc::new(make().await) as SharedProvider }, seed, filters).await
}

/// [`differential`] of a provider with its layers.
pub async fn shared_differential<F>(make: impl Fn() -> F, seed: u64, filters: u64) -> Differential
where
    F: Future<Output = SharedProvider>,
{
    let mut found = Differential::new(seed);
    let mut random = Random::new(seed);
    let store = Sora::builder().provider(make().await);
    while found.filters < filters && found.failure.is_none() {
        let case = Case::random(&mut random, found.tables);
        found.tables += 1;
        if let Err(why) = ask(&mut found, &store, &case, &mut random, filters).await {
            found.failure = Some(why);
        }
    }
    found
}

/// Asks one random table few questions.
pub(crate) async fn ask_one_table(provider: SharedProvider, seed: u64) -> Result<(), String> {
    const FEW: u64 = 60;
    let mut found = Differential::new(seed);
    let mut random = Random::new(seed);
    let store = Sora::builder().provider(provider);
    let case = Case::random(&mut random, seed);
    ask(&mut found, &store, &case, &mut random, FEW).await
}

/// More rows than a table has.
const ROWS_MAX: usize = 1_000;

/// Questions to one table.
const QUESTIONS: u64 = 250;

async fn ask(
    found: &mut Differential,
    store: &Sora,
    case: &Case,
    random: &mut Random,
    filters: u64,
) -> Result<(), String> {
    let schema = case.schema()?;
    let table = fill(store, &schema, &case.rows)
        .await
        .map_err(|error| format!("the table {schema:?} cannot be filled: {error}"))?;
    let asked = QUESTIONS.min(filters - found.filters);
    for _ in 0..asked {
        found.filters += 1;
        let question = Question::random(random, &schema, &case.pools);
        let Err(why) = compare(found, &table, &case.rows, &question).await else { continue };
        let question = shrink::shrink(&table, &case.rows, question).await;
        let shown = question.display(&schema).to_string();
        let why = compare(found, &table, &case.rows, &question).await.err().unwrap_or(why);
        return Err(format!("{shown}\n{why}\n  {}", told(&schema)));
    }
    Ok(())
}

/// A schema in a line.
fn told(schema: &Schema) -> String {
    let names = |columns: &[u16]| -> String {
        let names: Vec<&str> = columns.iter().map(|at| &*schema.column(*at).name).collect();
        names.join(", ")
    };
    let column = |column: &Column| {
        let null = if column.nullable { "?" } else { "" };
        format!("{} {}{null}", column.name, column.column_type)
    };
    let columns: Vec<String> = schema.columns().iter().map(column).collect();
    let mut text =
        format!("table {:?} ({}; key {})", schema.table(), columns.join(", "), names(schema.key()));
    for index in schema.indexes() {
        // Writing to a String cannot fail.
        let _ = write!(text, "; index ({})", names(&index.columns));
    }
    text
}

/// Makes a table and inserts its rows.
async fn fill(store: &Sora, schema: &Arc<Schema>, rows: &[Cells]) -> Result<Table> {
    store.ensure(schema).await?;
    let live = store.table(schema.table()).await?.live();
    let table = store.table(&live.name).await?;
    let columns: Vec<u16> = schema.visible().collect();
    let mut intake = table.intake(&columns);
    for row in rows {
        intake.row(|out| row.iter().try_for_each(|value| out.cell(value.cell())))?;
    }
    let columns = intake.columns().clone();
    let rows = Arc::new(intake.finish());
    let report =
        table.write(Change::Insert { rows, columns, on_conflict: OnConflict::Fail }).await?;
    match report.first_error() {
        Some(error) => Err(error.clone()),
        None => Ok(table),
    }
}

/// Compares the answer to one question with what evaluation gives.
async fn compare(
    found: &mut Differential,
    table: &Table,
    rows: &[Cells],
    question: &Question,
) -> Result<(), String> {
    let schema = table.schema().clone();
    let mut expected = evaluate(&schema, rows, &question.filter).map_err(|e| e.to_string())?;
    found.dividing += u64::from(!expected.is_empty() && expected.len() < rows.len());
    if question.walk == Walk::Aggregate {
        return compare_groups(found, table, &expected, question).await;
    }
    let sort = question.total_sort(&schema);
    if let Some(sort) = &sort {
        expected.sort_by(|left, right| in_order(sort, left, right));
    }
    let mut answer = Answer::default();
    let asked = answer.ask(table, question).await;
    found.pushed += u64::from(answer.is_pushed);
    asked.map_err(|error| format!("  the store says: {error}"))?;
    let (offset, limit) = match question.walk {
        Walk::Page { offset, limit } => (offset, limit),
        Walk::Aggregate | Walk::All | Walk::Cursors { .. } | Walk::Count => (0, usize::MAX),
    };
    let expected: Vec<&Cells> = expected.into_iter().skip(offset).take(limit).collect();
    if question.walk == Walk::Count {
        if answer.count == expected.len() as u64 {
            return Ok(());
        }
        return Err(format!("  counted {}, expected {}", answer.count, expected.len()));
    }
    let columns = &question.columns;
    let mut expected: Vec<Cells> = expected
        .into_iter()
        .map(|row| columns.iter().map(|at| row[usize::from(*at)].clone()).collect())
        .collect();
    if sort.is_none() {
        // Without an order any order is right.
        expected = crate::store::sorted(expected);
        answer.rows = crate::store::sorted(answer.rows);
    }
    if expected == answer.rows {
        return Ok(());
    }
    Err(difference(&expected, &answer.rows, &answer.plan))
}

/// Compares what is computed over the rows that meet the filter.
async fn compare_groups(
    found: &mut Differential,
    table: &Table,
    rows: &[&Cells],
    question: &Question,
) -> Result<(), String> {
    let expected = Expected::of(table.schema(), rows, &question.aggregation);
    let query = Query { filter: question.filter.clone(), ..Query::default() };
    let mut answer = Answer::default();
    let aggregation = Arc::new(question.aggregation.clone());
    let outcome = table.aggregate(&query, &aggregation, &mut answer).await;
    let plan = outcome.as_ref().ok().map(|outcome| outcome.plan().clone());
    found.pushed += u64::from(plan.as_ref().is_some_and(Plan::is_pushed));
    expected.compare(outcome.map(|_| answer.rows.as_slice())).map_err(|why| {
        let plan = plan.map_or_else(String::new, |plan| plan.explain().replace('\n', "\n  "));
        format!("  {why}\n  {plan}")
    })
}

fn evaluate<'r>(schema: &Schema, rows: &'r [Cells], filter: &Predicate) -> Result<Vec<&'r Cells>> {
    let bound = filter.clone().bind(schema, FilterLimits::default())?;
    let mut kept = Vec::new();
    for row in rows {
        if bound.evaluate(row)?.is_true() {
            kept.push(row);
        }
    }
    Ok(kept)
}

fn difference(expected: &[Cells], found: &[Cells], plan: &str) -> String {
    let without = |left: &[Cells], right: &[Cells]| -> Vec<Cells> {
        left.iter().filter(|row| !right.contains(row)).cloned().collect()
    };
    let (missing, foreign) = (without(expected, found), without(found, expected));
    let mut why = format!("  {} rows were expected, {} were found", expected.len(), found.len());
    let mut show = |what: &str, rows: &[Cells]| {
        for row in rows.iter().take(3) {
            // Writing to a String cannot fail.
            let _ = write!(why, "\n  {what} {row:?}");
        }
    };
    show("missing ", &missing);
    show("foreign ", &foreign);
    if missing.is_empty() && foreign.is_empty() {
        let at = expected.iter().zip(found).take_while(|(left, right)| left == right).count();
        show("expected", expected.get(at..).unwrap_or_default());
        show("found   ", found.get(at..).unwrap_or_default());
    }
    format!("{why}\n  {}", plan.replace('\n', "\n  "))
}

/// What a table answers to a question.
#[derive(Default)]
struct Answer {
    rows: Vec<Cells>,
    /// Rows of the pages before: a read that starts over takes back its own.
    before: usize,
    count: u64,
    is_pushed: bool,
    plan: String,
}

impl Answer {
    async fn ask(&mut self, table: &Table, question: &Question) -> Result<()> {
        let mut query = Query {
            filter: question.filter.clone(),
            sort: question.sort.clone(),
            columns: Some(question.columns.clone()),
            ..Query::default()
        };
        match question.walk {
            Walk::Count => {
                self.count = table.count(&query).await?;
                return Ok(());
            }
            Walk::Aggregate | Walk::All => {}
            Walk::Page { offset, limit } => {
                query.offset = offset as u64;
                query.limit = Some(limit as u64);
            }
            Walk::Cursors { rows } => query.limit = Some(rows as u64),
        }
        loop {
            let before = self.rows.len();
            self.before = before;
            let page = table.query(&query, self).await?;
            self.is_pushed = page.outcome.plan().is_pushed();
            if self.plan.is_empty() {
                self.plan = page.outcome.plan().explain();
            }
            let is_walk = matches!(question.walk, Walk::Cursors { .. });
            match page.next {
                // As a token, as a caller passes it on. A store that repeats rows would not end.
                Some(next) if is_walk && (before + 1..ROWS_MAX).contains(&self.rows.len()) => {
                    query.after = Some(next.to_string().parse::<Cursor>()?);
                }
                _ => return Ok(()),
            }
        }
    }
}

impl RowSink for Answer {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        let cells = (0..row.width()).map(|at| Ok(row.cell(at)?.to_value()));
        self.rows.push(cells.collect::<Result<_>>()?);
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {
        self.rows.truncate(self.before);
    }
}

impl Differential {
    fn new(seed: u64) -> Self {
        Self { seed, filters: 0, tables: 0, pushed: 0, dividing: 0, failure: None }
    }

    /// Whether all answers were right.
    pub fn is_equal(&self) -> bool {
        self.failure.is_none()
    }

    /// Prints what was asked to stderr and accepts it.
    ///
    /// # Panics
    ///
    /// Panics with the smallest question that was found to be answered wrongly.
    pub fn expect_equal(&self) {
        assert!(self.is_equal(), "{self}");
        eprintln!("{self}");
    }
}

impl fmt::Display for Differential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, filters, tables, pushed, dividing, failure } = self;
        write!(
            f,
            "{filters} random filters on {tables} tables (seed {seed}): {pushed} done by the \
             store alone, {dividing} kept some rows and left some out"
        )?;
        if let Some(failure) = failure {
            write!(f, "\nthe last was answered wrongly:\n{failure}")?;
        }
        Ok(())
    }
}

impl Question {
    /// The order of the answer, with the key behind it; none if any order is right.
    fn total_sort(&self, schema: &Schema) -> Option<Vec<Sort>> {
        let is_paged = matches!(self.walk, Walk::Page { .. } | Walk::Cursors { .. });
        if self.sort.is_empty() && !is_paged {
            return None;
        }
        let mut sort = self.sort.clone();
        let descending = sort.last().is_some_and(|last| last.descending);
        for column in schema.key() {
            if sort.iter().all(|other| other.column != *column) {
                sort.push(Sort { column: *column, descending });
            }
        }
        Some(sort)
    }

    fn display<'a>(&'a self, schema: &'a Schema) -> impl fmt::Display + 'a {
        let columns = |columns: &[u16]| -> Vec<&str> {
            columns.iter().map(|column| &*schema.column(*column).name).collect()
        };
        let sort: Vec<String> = self
            .sort
            .iter()
            .map(|sort| {
                let minus = if sort.descending { "-" } else { "" };
                format!("{minus}{}", schema.column(sort.column).name)
            })
            .collect();
        format!(
            "  filter {}\n  sort {sort:?}, {:?}, columns {:?}, aggregation {}",
            self.filter.display(schema),
            self.walk,
            columns(&self.columns),
            self.aggregation.display(schema)
        )
    }
}

/// Values that rows and literals of a column are taken from.
type Pool = Vec<Value>;
