//! Reads of a snapshot of a table.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::no_language;
use super::table::{RowKey, Stored, Table, is_same_set};
use crate::aggregation::GroupKey;
use crate::provider::StorePlan;
use crate::read::{Access, LimitEach, Output, Read, ReadReport};
use crate::row::missing_cell;
use crate::{
    Aggregation, Binding, Cell, Error, ErrorKind, Groups, Name, Predicate, Result, Row, RowBuffer,
    RowSink, order,
};

/// Refuses a statement in a language that is not there, before its table is missed.
pub(super) fn check_access(read: &Read) -> Result<()> {
    if matches!(read.access, Access::Native(_)) { Err(no_language()) } else { Ok(()) }
}

/// Pushes the rows of a read into the sink.
pub(super) fn run(table: &Table, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
    check(table, &read.binding)?;
    if let Output::Aggregate(aggregation) = &read.output {
        return aggregate(table, read, aggregation, sink);
    }
    let mut counter = Counter(0);
    let counts = read.output == Output::Count;
    let mut gate = read.gate(if counts { &mut counter } else { sink });
    for_each(table, read, &mut |row| {
        let projected = Projected { binding: &read.binding, row, columns: &read.columns };
        Ok(gate.row(&projected)?.is_continue())
    })?;
    let report = gate.report();
    Ok(if counts { ReadReport::counted(counter.0) } else { report })
}

/// Pushes what is computed over the rows of a read into the sink.
fn aggregate(
    table: &Table,
    read: &Read,
    aggregation: &Aggregation,
    sink: &mut dyn RowSink,
) -> Result<ReadReport> {
    let mut groups = Groups::new(read.binding.schema(), &read.columns, aggregation)?;
    let mut gate = read.gate(&mut groups);
    // The limit counts groups, not rows.
    let rows = Read { limit: None, output: Output::Rows, ..read.clone() };
    for_each(table, &rows, &mut |row| {
        let projected = Projected { binding: &read.binding, row, columns: &read.columns };
        Ok(gate.row(&projected)?.is_continue())
    })?;
    Ok(ReadReport::received(groups.finish(read.limit, sink)?))
}

/// Says how a read is run; with `analyze`, runs it.
pub(super) fn explain(table: &Table, read: &Read, analyze: bool) -> Result<StorePlan> {
    check(table, &read.binding)?;
    let schema = read.binding.schema();
    let name = Name(&read.binding.live().name);
    let mut plan = StorePlan::default();
    plan.lines.push(match &read.access {
        Access::Scan => format!("scan of memory table {name}"),
        Access::Keys(keys) => format!("look-up of {} keys in memory table {name}", keys.len()),
        Access::Native(_) => return Err(no_language()),
    });
    for term in &*read.filter {
        plan.lines.push(format!("filter {}", term.display(schema)));
    }
    if !read.sort.is_empty() {
        let sorted = is_key_order(table, read);
        plan.lines.push(if sorted { "in the order of the key" } else { "sort" }.into());
    }
    if let Some(LimitEach { column, rows }) = read.limit_each {
        plan.lines.push(format!("first {rows} of each {}", Name(&schema.column(column).name)));
    }
    if let Output::Aggregate(aggregation) = &read.output {
        plan.lines.push(format!("aggregate {}", aggregation.display(schema)));
    }
    if analyze {
        let mut rows = RowBuffer::new(read.width());
        let report = run(table, read, &mut rows)?;
        let found = report.count.unwrap_or(report.received);
        plan.lines.push(format!("{found} of {} rows", table.len()));
    }
    Ok(plan)
}

/// Refuses a binding that was not made of this table.
pub(super) fn check(table: &Table, binding: &Binding) -> Result<()> {
    let live = &binding.live().columns;
    let columns = table.schema.columns();
    let fits = live.len() == columns.len()
        && live.iter().zip(columns).all(|(live, column)| live.name == column.name);
    if fits {
        return Ok(());
    }
    let message = "the table has changed since it was opened; open it again";
    Err(Error::new(ErrorKind::Schema, message).with("table", table.schema.table()))
}

/// Turns a buffer of keys into keys of the table.
///
/// # Errors
///
/// [`ErrorKind::Schema`] if the entity has another key than the table.
pub(super) fn row_keys(
    table: &Table,
    binding: &Binding,
    keys: &RowBuffer,
) -> Result<impl Iterator<Item = RowKey>> {
    let live = live_columns(binding, binding.schema().key());
    if live.is_empty() || !is_same_set(&live, table.schema.key()) {
        let message = "the rows cannot be found by key: the table in memory has another key";
        return Err(Error::new(ErrorKind::Schema, message).with("table", table.schema.table()));
    }
    // The entity may name the columns of the key in another order than the table.
    let places: Vec<usize> = table
        .schema
        .key()
        .iter()
        .filter_map(|column| live.iter().position(|other| other == column))
        .collect();
    Ok(keys
        .iter()
        .map(move |key| RowKey(places.iter().map(|place| key.get(*place).to_value()).collect())))
}

/// Whether a row meets all conditions.
pub(super) fn meets(binding: &Binding, filter: &[Predicate], row: &Stored) -> Result<bool> {
    let row = BySchema { binding, row };
    for condition in filter {
        if !condition.evaluate(&row)?.is_true() {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn live_columns(binding: &Binding, columns: &[u16]) -> Vec<u16> {
    columns.iter().map(|column| binding.live_position(*column)).collect()
}

/// Calls `visit` with the rows of a read, one after another, until it returns false.
fn for_each(
    table: &Table,
    read: &Read,
    visit: &mut dyn FnMut(&Stored) -> Result<bool>,
) -> Result<()> {
    let candidates: Box<dyn Iterator<Item = &Stored>> = match &read.access {
        Access::Scan => Box::new(table.rows().map(|(_, row)| row)),
        Access::Keys(keys) => {
            // A set: a key that is listed twice is one row.
            let keys: BTreeSet<RowKey> = row_keys(table, &read.binding, keys)?.collect();
            Box::new(keys.into_iter().filter_map(|key| table.get(&key)))
        }
        Access::Native(_) => return Err(no_language()),
    };
    let mut page = Page { offset: read.offset, limit: read.limit };
    let mut seen: BTreeMap<GroupKey, u64> = BTreeMap::new();
    let visit = &mut |row: &Stored| {
        let Some(LimitEach { column, rows }) = read.limit_each else { return visit(row) };
        let value = cell(&read.binding, row, column).to_value();
        let seen = seen.entry(GroupKey(vec![value])).or_default();
        *seen += 1;
        if *seen > rows { Ok(true) } else { visit(row) }
    };
    let candidates = candidates.filter_map(|row| match keep(read, row) {
        Ok(kept) => kept.then_some(Ok(row)),
        Err(error) => Some(Err(error)),
    });
    if read.sort.is_empty() || is_key_order(table, read) {
        for row in candidates {
            if !page.take(row?, visit)? {
                break;
            }
        }
        return Ok(());
    }
    let mut rows = candidates.collect::<Result<Vec<_>>>()?;
    rows.sort_by(|left, right| compare(read, left, right));
    for row in rows {
        if !page.take(row, visit)? {
            break;
        }
    }
    Ok(())
}

fn keep(read: &Read, row: &Stored) -> Result<bool> {
    if let Some(after) = &read.after
        && !order::is_behind(&read.sort, |column| cell(&read.binding, row, column), after.iter())
    {
        return Ok(false);
    }
    meets(&read.binding, &read.filter, row)
}

fn compare(read: &Read, left: &Stored, right: &Stored) -> Ordering {
    let cell = |row| move |column| cell(&read.binding, row, column);
    order::compare(&read.sort, cell(left), cell(right))
}

/// Whether the rows lie in the asked order already.
fn is_key_order(table: &Table, read: &Read) -> bool {
    let columns = read.sort.iter().map(|sort| read.binding.live_position(sort.column));
    read.sort.iter().all(|sort| !sort.descending)
        && columns.eq(table.schema.key().iter().take(read.sort.len()).copied())
}

fn cell<'a>(binding: &Binding, row: &'a Stored, column: u16) -> Cell<'a> {
    row[usize::from(binding.live_position(column))].cell()
}

/// What offset and limit have left.
struct Page {
    offset: u64,
    limit: Option<u64>,
}

impl Page {
    /// Hands out a row, or leaves it out; false when no more are wanted.
    fn take(
        &mut self,
        row: &Stored,
        visit: &mut dyn FnMut(&Stored) -> Result<bool>,
    ) -> Result<bool> {
        if self.limit == Some(0) {
            return Ok(false);
        }
        if self.offset > 0 {
            self.offset -= 1;
            return Ok(true);
        }
        self.limit = self.limit.map(|limit| limit - 1);
        visit(row)
    }
}

/// A stored row, its cells addressed by the columns of the entity's schema.
struct BySchema<'a> {
    binding: &'a Binding,
    row: &'a Stored,
}

impl Row for BySchema<'_> {
    fn width(&self) -> usize {
        self.binding.schema().columns().len()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        match u16::try_from(position) {
            Ok(column) if position < self.width() => Ok(cell(self.binding, self.row, column)),
            _ => Err(missing_cell(position)),
        }
    }
}

/// A stored row, its cells addressed by their position in a read.
struct Projected<'a> {
    binding: &'a Binding,
    row: &'a Stored,
    columns: &'a [u16],
}

impl Row for Projected<'_> {
    fn width(&self) -> usize {
        self.columns.len()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        let column = self.columns.get(position).ok_or_else(|| missing_cell(position))?;
        Ok(cell(self.binding, self.row, *column))
    }
}

/// Counts rows and keeps none.
struct Counter(u64);

impl RowSink for Counter {
    fn row(&mut self, _: &dyn Row) -> Result<std::ops::ControlFlow<()>> {
        self.0 += 1;
        Ok(std::ops::ControlFlow::Continue(()))
    }

    fn reset(&mut self) {
        self.0 = 0;
    }
}
