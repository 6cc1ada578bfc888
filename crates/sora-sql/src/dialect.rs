//! What differs between the stores that speak SQL.

use sora_core::{
    Assigned, Cell, Column, Error, LiveColumn, LiveTable, Measure, Pattern, RowBuffer, Type,
};

use crate::walk::Walk;
use crate::{Operand, Out};

/// The ways in which the SQL of one store differs from that of others.
///
/// A dialect is a type without values: its functions are chosen when the walks are compiled.
pub trait Dialect: Sized {
    /// The most values of a list, or keys of a look-up, that are bound one by one. Longer ones are
    /// bound as arrays, so that they are one shape.
    const VALUES_MAX: usize;

    /// The largest limit that is written into the text, where a store plans better for a number that
    /// it knows. It is a number of Sora's own type, never text; larger ones, which are as many
    /// shapes, are bound.
    const LIMIT_LITERAL_MAX: u64;

    /// Whether an offset must stand behind a limit.
    const OFFSET_NEEDS_LIMIT: bool;

    /// Whether a limit for each value is asked value by value, where an index finds the rows of one:
    /// then it reads no more rows than it gives.
    const LATERAL: bool;

    /// Whether a read can lock the rows that it gives, where a session does not keep all writers out.
    const LOCKS_ROWS: bool;

    /// What stands behind the columns of an insert that gives a number which else counts up by itself.
    const OVERRIDING: &'static str;

    /// What stands behind the definition of a table.
    const TABLE_OPTIONS: &'static str;

    /// What tells, of a row that an upsert returns, whether it is new; `None` if nothing does.
    fn is_inserted(table: &LiveTable) -> Option<&'static str>;

    /// Writes the placeholder of the value, or list, with this number, counted from 1.
    fn placeholder(text: &mut String, number: usize, operand: Operand<'_>, is_list: bool);

    /// The collation that makes a column be ordered by bytes, if it is not so by itself.
    fn byte_order(column: &LiveColumn, is_view: bool) -> Option<&'static str>;

    /// The collation that makes a column be equal by bytes, if it is not so by itself.
    fn byte_equality(column: &LiveColumn, is_view: bool) -> Option<&'static str>;

    /// Whether the column's own collation calls more texts equal than those that are equal by
    /// bytes, so that its index finds a superset of them.
    fn finds_equal(column: &LiveColumn) -> bool;

    /// The collation by which a column of a type is ordered, if the store's own order of it is not
    /// the order of the values.
    fn value_order(column_type: Type) -> Option<&'static str>;

    /// Writes the condition that a text matches a pattern, case-sensitively or folding ASCII.
    fn matches<O: Out>(walk: &mut Walk<'_, Self, O>, column: u16, pattern: &Pattern, fold: bool);

    /// What stands behind a column of a sort so that null is before every value, and behind all if
    /// it is descending.
    fn nulls(nullable: bool, descending: bool) -> &'static str;

    /// What stands behind a column that is read, for a type that only the store knows.
    fn read_as(column: &LiveColumn) -> &'static str;

    /// Whether a cell of a column can be none of its type.
    fn can_fail(column: &LiveColumn) -> bool;

    /// Writes what follows a column that is tested against a list of values: the list is one value.
    fn in_list<O: Out>(walk: &mut Walk<'_, Self, O>, column: u16, list: impl FnOnce(&mut O));

    /// Writes the name of the derived table that holds keys of several columns, and its definition:
    /// its columns are `_sora_key_0`, `_sora_key_1`, ….
    fn key_source<O: Out>(walk: &mut Walk<'_, Self, O>, key: &[u16], keys: &RowBuffer);

    /// Writes the sum of a column and a value, which fails on overflow and leaves null as it is.
    fn add<O: Out>(walk: &mut Walk<'_, Self, O>, column: u16, value: Cell<'_>);

    /// Writes a measure of a column other than its count, as [`AggregateFunction`] says it: exact,
    /// failing where it does not fit, by value and text by bytes. It holds no value.
    ///
    /// [`AggregateFunction`]: sora_core::AggregateFunction
    fn measure<O: Out>(walk: &mut Walk<'_, Self, O>, measure: Measure);

    /// Writes the type, key and default of a column in the definition of its table.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](sora_core::ErrorKind::Unsupported) if the store cannot assign its
    /// value so.
    fn define(text: &mut String, column: &Column, key: KeyRole) -> Result<(), Error>;

    /// Writes a value as the literal of a default.
    fn literal(text: &mut String, value: Cell<'_>, column_type: Type);

    /// Whether the key alone is the address of a row, so that every index holds it.
    fn key_is_address(key: &[&Column]) -> bool;

    /// Whether a column can be added to a table that has rows.
    fn can_be_added(assigned: &Assigned, nullable: bool) -> bool;
}

/// What a column is to the key of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRole {
    /// It is not in the key.
    None,
    /// It is one of several columns.
    Part,
    /// It is the key.
    Whole,
}
