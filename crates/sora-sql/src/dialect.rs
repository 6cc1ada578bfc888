//! What differs between the stores that speak SQL.

use sora_core::{Assigned, Column, Error, LiveColumn, Pattern, Type};

use crate::Out;
use crate::walk::Walk;

/// The ways in which the SQL of one store differs from that of others.
///
/// A dialect is a type without values: its functions are chosen when the walks are compiled.
pub trait Dialect: Sized {
    /// Writes the placeholder of the value with this number, counted from 1.
    fn placeholder(text: &mut String, number: usize);

    /// The collation that makes a column compare by bytes, if it does not do so by itself.
    fn byte_order(column: &LiveColumn, is_view: bool) -> Option<&'static str>;

    /// Whether all texts that are equal by bytes are equal in the column's own collation, so that
    /// its index finds a superset of them.
    fn finds_equal(column: &LiveColumn) -> bool;

    /// The collation by which a column of a type is ordered, if the store's own order of it is not
    /// the order of the values.
    fn value_order(column_type: Type) -> Option<&'static str>;

    /// Writes the condition that a text matches a pattern, case-sensitively or folding ASCII.
    fn matches<O: Out>(walk: &mut Walk<'_, Self, O>, column: u16, pattern: &Pattern, fold: bool);

    /// Writes what follows a column that is tested against a list of values: the list is one value.
    fn in_list<O: Out>(walk: &mut Walk<'_, Self, O>, list: impl FnOnce(&mut O));

    /// Writes the name of the derived table that holds keys of several columns, and its definition:
    /// its columns are `_sora_key_0`, `_sora_key_1`, ….
    fn key_source<O: Out>(walk: &mut Walk<'_, Self, O>, key: &[u16], list: impl FnOnce(&mut O));

    /// Writes the sum of a column and a value, which fails on overflow and leaves null as it is.
    fn add<O: Out>(walk: &mut Walk<'_, Self, O>, column: u16, value: sora_core::Cell<'_>);

    /// Writes the type, key and default of a column in the definition of its table.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](sora_core::ErrorKind::Unsupported) if the store cannot assign its
    /// value so.
    fn define(text: &mut String, column: &Column, key: KeyRole) -> Result<(), Error>;

    /// What stands behind the definition of a table.
    const TABLE_OPTIONS: &'static str;

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
