//! Whether a file is imported, and what must be done before its first row is written.

use std::ops::ControlFlow;

use sora::{Cell, Name, Query, Row, RowSink, Sora, Sort, Table};

use super::ledger::{Entry, Ledger, State};
use super::survey::Survey;
use super::target::Target;
use crate::arguments::Import;
use crate::clock;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::output::one_line;

/// What the decision is made from.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) store: &'a Sora,
    pub(super) arguments: &'a Import,
    pub(super) source: &'a str,
    pub(super) survey: &'a Survey,
    pub(super) target: &'a Target,
    /// The options that decide what the content means.
    pub(super) settings: String,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Decision {
    /// The file was imported before: nothing.
    Known(Entry),
    /// The file is written into the table.
    Load(Job),
}

/// An import that stands in the ledger and may write.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) table: Table,
    pub(super) ledger: Ledger,
    pub(super) entry: Entry,
    /// Whether the table has no row yet.
    pub(super) was_empty: bool,
}

impl Request<'_> {
    /// Decides, and prepares table and ledger.
    ///
    /// Whatever moment it is interrupted at, the same import again finds its place.
    pub(super) async fn decide(
        self,
        table: Option<Table>,
        console: &mut Console,
    ) -> Outcome<Decision> {
        let Some(table) = table else { return self.create().await.map(Decision::Load) };
        let ledger = Ledger::ensure(self.store, table.name()).await?;
        // Found first, so that an import that begins in between is noticed.
        let number = ledger.next_number().await?;
        let same = ledger.same(&self.survey.content, &self.settings).await?;
        let is_complete = |entry: &Entry| entry.state() == State::Complete;
        if self.arguments.replace {
            if let Some(entry) = same.filter(|entry| is_complete(entry) && !self.arguments.force)
                && ledger.is_only(&entry).await?
            {
                return Ok(Decision::Known(entry));
            }
            let entry = self.entry(&table, number, 1, State::Replacing);
            let entry = ledger.restart(entry).await?;
            return self.replace(table, ledger, entry).await.map(Decision::Load);
        }
        if let Some(entry) = same {
            return self.again(table, ledger, entry, console).await;
        }
        if ledger.is_replacing().await? {
            return Err(Failure::failed(format!(
                "another file was about to replace the rows of the table {}; import it again, or \
                 this one with --replace",
                Name(table.name())
            )));
        }
        let first_row = self.first_row(&table, &ledger).await?;
        let entry = self.entry(&table, number, first_row, State::Incomplete);
        let entry = ledger.begin(entry).await?;
        let was_empty = is_empty(&table).await?;
        Ok(Decision::Load(Job { table, ledger, entry, was_empty }))
    }

    /// Creates the table. The ledger comes first: entries of an earlier table of the name must not
    /// speak for this one.
    async fn create(self) -> Outcome<Job> {
        let Self { store, target, .. } = self;
        let name = target.schema.table();
        let ledger = Ledger::ensure(store, name).await?;
        let mut entry = self.entry_named(name, ledger.next_number().await?, 1, State::Incomplete);
        entry = ledger.restart(entry).await?;
        store.ensure(&target.schema).await?;
        let table = store.table(name).await?;
        Ok(Job { table, ledger, entry, was_empty: true })
    }

    /// Goes on with what was begun before, or was done before and is wanted once more.
    async fn again(
        self,
        table: Table,
        ledger: Ledger,
        mut entry: Entry,
        console: &mut Console,
    ) -> Outcome<Decision> {
        match entry.state() {
            State::Complete if !self.arguments.force => return Ok(Decision::Known(entry)),
            State::Complete => {}
            State::Replacing => {
                return self.replace(table, ledger, entry).await.map(Decision::Load);
            }
            State::Incomplete => {
                console.say("an earlier import of this file was interrupted: completing it");
            }
        }
        ledger.set(&mut entry, State::Incomplete).await?;
        let was_empty = is_empty(&table).await?;
        Ok(Decision::Load(Job { table, ledger, entry, was_empty }))
    }

    /// Deletes all rows, in a transaction of their own.
    async fn replace(self, table: Table, ledger: Ledger, mut entry: Entry) -> Outcome<Job> {
        table.delete_where(&Query::default()).await?;
        ledger.set(&mut entry, State::Incomplete).await?;
        Ok(Job { table, ledger, entry, was_empty: true })
    }

    /// Returns the number of the first row, behind all that were given before.
    async fn first_row(&self, table: &Table, ledger: &Ledger) -> Outcome<i64> {
        let (Some(column), Some(last)) = (self.target.row_column, ledger.last_numbered().await?)
        else {
            return Ok(1);
        };
        if !self.arguments.append {
            return Err(Failure::failed(format!(
                "the table {} has the rows of {}, and this file has no key to tell its rows from \
                 them; --append adds them behind the others, --replace deletes the others first",
                Name(table.name()),
                one_line(&last.source)
            )));
        }
        // The range of an import is taken, even if it was interrupted and has not filled it.
        let taken = last.first_row.unwrap_or(1).saturating_add(last.lines).saturating_sub(1);
        let largest = largest(table, column).await?;
        taken.max(largest).checked_add(1).ok_or_else(|| {
            Failure::failed(format!("there are no row numbers left behind {}", i64::MAX))
        })
    }

    fn entry(&self, table: &Table, number: i64, first_row: i64, state: State) -> Entry {
        self.entry_named(table.name(), number, first_row, state)
    }

    fn entry_named(&self, table: &str, number: i64, first_row: i64, state: State) -> Entry {
        let row_column = self.target.row_column;
        Entry {
            table_name: table.into(),
            number,
            content: self.survey.content.clone(),
            settings: self.settings.clone(),
            source: self.source.into(),
            row_column: row_column
                .map(|column| self.target.schema.column(column).name.clone().into()),
            first_row: row_column.map(|_| first_row),
            lines: i64::try_from(self.survey.lines).unwrap_or(i64::MAX),
            failed: 0,
            state: state.name().into(),
            started_at: clock::now(),
            finished_at: None,
        }
    }
}

async fn is_empty(table: &Table) -> Outcome<bool> {
    let query = Query { limit: Some(1), ..Query::default() };
    let page = table.query(&query, &mut Largest::default()).await?;
    Ok(page.outcome.returned() == 0)
}

/// Returns the largest number in a column of numbers; 0 if there is none.
async fn largest(table: &Table, column: u16) -> Outcome<i64> {
    let query = Query {
        sort: vec![Sort { column, descending: true }],
        columns: Some(vec![column]),
        limit: Some(1),
        ..Query::default()
    };
    let mut largest = Largest::default();
    table.query(&query, &mut largest).await?;
    Ok(largest.0)
}

/// Takes the number of one row.
#[derive(Default)]
struct Largest(i64);

impl RowSink for Largest {
    fn row(&mut self, row: &dyn Row) -> sora::Result<ControlFlow<()>> {
        if let Cell::I64(number) = row.cell(0)? {
            self.0 = self.0.max(number);
        }
        Ok(ControlFlow::Break(()))
    }

    fn reset(&mut self) {
        self.0 = 0;
    }
}
