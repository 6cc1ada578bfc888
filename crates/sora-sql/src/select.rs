//! Reads as `SELECT`.

use sora_core::read::{Access, LimitEach, Output, Read};
use sora_core::{Binding, Cell, LiveIndex, Predicate, Sort, Value};

use crate::position::Portion;
use crate::walk::Walk;
use crate::{Dialect, Operand, Out};

pub use crate::position::portions;

/// Writes the statement of one portion of a read; `limit` is what is left of the read's, which is
/// all of it before the first portion.
pub fn select<D: Dialect, O: Out>(read: &Read, portion: Portion, limit: Option<u64>, out: &mut O) {
    let mut walk = Walk::<D, O>::new(&read.binding, out);
    let inner = read.output == Output::Count && (limit.is_some() || read.offset > 0);
    if O::TEXT {
        walk.heads(read, inner);
    }
    if let Access::Keys(keys) = &read.access {
        walk.key_source(keys);
    }
    match (&read.limit_each, values_of_each::<D>(read)) {
        (Some(each), Some(values)) => walk.lateral(read, *each, values),
        (Some(each), None) => {
            if O::TEXT {
                walk.numbered(read, *each);
            }
            walk.table();
            walk.conditions(read, portion);
            walk.first_of_each(*each);
        }
        (None, _) => {
            walk.table();
            walk.conditions(read, portion);
            match &read.output {
                Output::Rows if O::TEXT => walk.order(&read.sort),
                Output::Aggregate(aggregation) if O::TEXT => walk.groups(aggregation),
                _ => {}
            }
        }
    }
    match limit_literal::<D>(read, portion) {
        Some(literal) if O::TEXT => walk.text(&format!(" LIMIT {literal}")),
        Some(_) => {}
        None => walk.limit(limit, read.offset),
    }
    walk.offset(read.offset);
    if O::TEXT && is_locked::<D>(read) {
        // The table by its name: the derived tables of keys have no rows to lock.
        walk.text(" FOR UPDATE OF ");
        walk.table();
    }
    if inner {
        walk.text(") AS \"_sora_rows\"");
    }
}

/// Returns the limit of a portion that is written as it is. What is left for the rest of a page that
/// fell in two is any number: it is bound.
pub(crate) fn limit_literal<D: Dialect>(read: &Read, portion: Portion) -> Option<u64> {
    if D::LIMIT_LITERAL_MAX == 0 || portion == Portion::Far {
        return None;
    }
    read.limit.filter(|limit| *limit <= D::LIMIT_LITERAL_MAX)
}

/// Whether the rows of a read are locked. What is computed over rows, or numbers them, has none.
pub(crate) fn is_locked<D: Dialect>(read: &Read) -> bool {
    let is_plain = read.output == Output::Rows && read.limit_each.is_none();
    D::LOCKS_ROWS && read.for_update && is_plain
}

/// A number of rows; no table holds more than an i64 counts.
fn number(count: u64) -> Cell<'static> {
    Cell::I64(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Returns the key columns that are read besides, behind the others, so that a row whose cell is not
/// of its column's type can be named.
pub fn label_columns<D: Dialect>(binding: &Binding, columns: &[u16]) -> impl Iterator<Item = u16> {
    let can_fail =
        |column: &u16| D::can_fail(binding.live_column(*column)) || binding.is_converted(*column);
    let needed = columns.iter().any(can_fail);
    let key = binding.schema().key().iter().copied();
    key.filter(move |column| needed && !columns.contains(column))
}

/// Says which indexes cannot serve the filter and sort of a read because of how they order text.
pub fn lost_indexes<D: Dialect>(read: &Read) -> Vec<String> {
    let mut columns: Vec<u16> = Vec::new();
    let mut add = |column: u16| {
        if !columns.contains(&column) {
            columns.push(column);
        }
    };
    read.filter.iter().for_each(|term| term.for_each_column(&mut add));
    read.sort.iter().for_each(|sort| add(sort.column));
    columns.into_iter().flat_map(|column| lost_by::<D>(&read.binding, column)).collect()
}

fn lost_by<D: Dialect>(binding: &Binding, column: u16) -> Vec<String> {
    let live = binding.live_column(column);
    let order = match D::value_order(binding.schema().column(column).column_type) {
        Some(_) => "the text of decimals".to_owned(),
        None => match &live.collation {
            Some(collation) => format!("the collation {collation}"),
            None => return Vec::new(),
        },
    };
    let position = binding.live_position(column);
    let starts = |index: &&LiveIndex| index.columns.first() == Some(&position);
    let note = |index: &LiveIndex| {
        format!(
            "the index {:?} is in the order of {order}: it serves equality on {:?}, but no order",
            index.name, live.name
        )
    };
    binding.live().indexes.iter().filter(starts).map(note).collect()
}

/// Where in the filter the list of values stands of which each has a limit, if a store asks value by
/// value: an index must find the rows of one, or each value would cost a scan.
fn values_of_each<D: Dialect>(read: &Read) -> Option<usize> {
    let each = read.limit_each.filter(|_| D::LATERAL)?;
    let is_plain = matches!(read.access, Access::Scan) && read.after.is_none();
    let live = read.binding.live();
    let position = read.binding.live_position(each.column);
    let starts = |index: &LiveIndex| index.is_complete && index.columns.first() == Some(&position);
    let is_found = live.key.first() == Some(&position) || live.indexes.iter().any(starts);
    let is_list = |term: &Predicate| matches!(term, Predicate::In { column, values, .. } if *column == each.column && !values.is_empty());
    let at = read.filter.iter().position(is_list)?;
    // A collation that calls more texts equal finds them by two comparisons.
    let is_bare = !D::finds_equal(read.binding.live_column(each.column));
    (is_plain && is_found && is_bare).then_some(at)
}

impl<D: Dialect, O: Out> Walk<'_, D, O> {
    /// Writes a derived table of values, and for each the first rows that have it. The rows of a value
    /// come in their order, because they come from one limited part each.
    fn lateral(&mut self, read: &Read, each: LimitEach, at: usize) {
        let Predicate::In { values, .. } = &read.filter[at] else { return };
        self.text("(SELECT DISTINCT * FROM unnest(");
        let operand = Operand::Compared(self.binding, each.column);
        self.out.list(values.iter().map(Value::cell), operand);
        self.text(")) AS \"_sora_each\"(\"_sora_value\") CROSS JOIN LATERAL (SELECT ");
        let labels: Vec<u16> = label_columns::<D>(&read.binding, &read.columns).collect();
        for (index, column) in read.columns.iter().chain(&labels).enumerate() {
            self.comma(index);
            // Named, because the store may name a hidden column in another way.
            self.column(*column);
            self.text(" AS ");
            self.column(*column);
        }
        self.text(" FROM ");
        self.table();
        self.text(" WHERE ");
        self.equals_name(each.column, "_sora_value");
        for rest in [&read.filter[..at], &read.filter[at + 1..]] {
            if !rest.is_empty() {
                self.text(" AND ");
                self.all(rest);
            }
        }
        if O::TEXT {
            self.order(&read.sort);
        }
        self.text(" LIMIT ");
        self.out.value(number(each.rows), Operand::Number);
        self.text(") AS \"_sora_rows\"");
    }

    /// Writes what is selected, which holds no value.
    pub(crate) fn heads(&mut self, read: &Read, inner: bool) {
        if inner {
            self.text("SELECT count(*) FROM (");
        }
        self.text("SELECT ");
        match &read.output {
            Output::Count if inner => self.text("1"),
            Output::Count => self.text("count(*)"),
            Output::Aggregate(aggregation) => self.aggregates(aggregation),
            _ => {
                self.read_columns(&read.columns);
                for column in label_columns::<D>(&read.binding, &read.columns) {
                    self.text(", ");
                    self.read_column(column);
                }
            }
        }
        self.text(" FROM ");
    }

    /// Writes the head of a derived table that numbers the rows of each value; it holds no value.
    fn numbered(&mut self, read: &Read, each: LimitEach) {
        self.text("(SELECT ");
        let labels: Vec<u16> = label_columns::<D>(&read.binding, &read.columns).collect();
        for column in read.columns.iter().chain(&labels) {
            // Named, because the store may name a hidden column in another way.
            self.column(*column);
            self.text(" AS ");
            self.column(*column);
            self.text(", ");
        }
        self.text("row_number() OVER (PARTITION BY ");
        self.equal_operand(each.column);
        self.order(&read.sort);
        self.text(") AS \"_sora_number\" FROM ");
    }

    /// Writes the end of that table, and which of its rows are read.
    fn first_of_each(&mut self, each: LimitEach) {
        self.text(") AS \"_sora_rows\" WHERE \"_sora_number\" <= ");
        self.out.value(number(each.rows), Operand::Number);
        self.text(" ORDER BY \"_sora_number\"");
    }

    fn conditions(&mut self, read: &Read, portion: Portion) {
        let mut word = " WHERE ";
        if let Access::Keys(keys) = &read.access {
            self.text(word);
            self.text("(");
            self.has_key(keys);
            self.text(")");
            word = " AND ";
        }
        if !read.filter.is_empty() {
            self.text(word);
            self.all(&read.filter);
            word = " AND ";
        }
        if let Some(after) = &read.after {
            self.text(word);
            self.behind(&read.sort, after, portion);
        }
    }

    pub(crate) fn order(&mut self, sort: &[Sort]) {
        for (index, sort) in sort.iter().enumerate() {
            self.text(if index > 0 { ", " } else { " ORDER BY " });
            self.ordered_operand(sort.column);
            if sort.descending {
                self.text(" DESC");
            }
            let nullable = self.binding.live_column(sort.column).nullable;
            self.text(D::nulls(nullable, sort.descending));
        }
    }

    fn limit(&mut self, limit: Option<u64>, offset: u64) {
        if limit.is_some() || (offset > 0 && D::OFFSET_NEEDS_LIMIT) {
            self.text(" LIMIT ");
            self.out.value(number(limit.unwrap_or(u64::MAX)), Operand::Number);
        }
    }

    fn offset(&mut self, offset: u64) {
        if offset > 0 {
            self.text(" OFFSET ");
            self.out.value(number(offset), Operand::Number);
        }
    }
}
