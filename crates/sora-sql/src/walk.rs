//! What all walks share: columns, comparisons, lists.

use std::marker::PhantomData;

use sora_core::{Binding, Cell, Type};

use crate::{Dialect, Out};

/// A walk over a read or a write of one table, into one output.
#[derive(Debug)]
pub struct Walk<'a, D, O> {
    pub(crate) binding: &'a Binding,
    pub(crate) out: &'a mut O,
    dialect: PhantomData<D>,
}

/// Lists of more values are bound as one array, so that they are one shape.
pub(crate) const PLACEHOLDERS_MAX: usize = 8;

/// The name of a column of the derived table that holds keys.
pub(crate) fn key_name(position: usize) -> String {
    format!("_sora_key_{position}")
}

impl<'a, D: Dialect, O: Out> Walk<'a, D, O> {
    pub(crate) fn new(binding: &'a Binding, out: &'a mut O) -> Self {
        Self { binding, out, dialect: PhantomData }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.out.text(text);
    }

    /// Writes the table's name.
    pub(crate) fn table(&mut self) {
        if O::TEXT {
            self.out.name(&self.binding.live().name);
        }
    }

    /// Writes a column's name.
    pub(crate) fn column(&mut self, column: u16) {
        if O::TEXT {
            self.out.name(&self.binding.live_column(column).name);
        }
    }

    /// Writes the names of columns with commas between them.
    pub(crate) fn columns(&mut self, columns: &[u16]) {
        if O::TEXT {
            for (index, column) in columns.iter().enumerate() {
                self.comma(index);
                self.column(*column);
            }
        }
    }

    pub(crate) fn comma(&mut self, index: usize) {
        if index > 0 {
            self.text(", ");
        }
    }

    /// Writes a column so that it is equal to what has the same value.
    pub(crate) fn equal_operand(&mut self, column: u16) {
        if O::TEXT {
            self.column(column);
            let collation = self.byte_order(column);
            self.collation(collation);
        }
    }

    /// Writes a column so that it is ordered by value.
    pub(crate) fn ordered_operand(&mut self, column: u16) {
        if O::TEXT {
            self.column(column);
            let collation = match D::value_order(self.column_type(column)) {
                Some(collation) => Some(collation),
                None => self.byte_order(column),
            };
            self.collation(collation);
        }
    }

    /// Writes that a column equals a value.
    pub(crate) fn equals(&mut self, column: u16, value: Cell<'_>) {
        // The first comparison, by the column's own collation, is there for its index.
        let twice = self.is_tested_twice(column);
        if twice {
            self.text("(");
            self.column(column);
            self.text(" = ");
            self.out.value(value);
            self.text(" AND ");
        }
        self.equal_operand(column);
        self.text(" = ");
        self.out.value(value);
        if twice {
            self.text(")");
        }
    }

    /// Writes that a column equals one of a list, which is not empty.
    pub(crate) fn is_one_of<'v, I>(&mut self, column: u16, values: I)
    where
        I: ExactSizeIterator<Item = Cell<'v>> + Clone,
    {
        if values.len() == 1 {
            values.for_each(|value| self.equals(column, value));
            return;
        }
        let twice = self.is_tested_twice(column);
        if twice {
            self.text("(");
            self.column(column);
            self.list(values.clone());
            self.text(" AND ");
        }
        self.equal_operand(column);
        self.list(values);
        if twice {
            self.text(")");
        }
    }

    /// Writes `IN` and a list of two or more values.
    fn list<'v, I: ExactSizeIterator<Item = Cell<'v>>>(&mut self, mut values: I) {
        if values.len() > PLACEHOLDERS_MAX {
            D::in_list(self, |out| out.list(&mut values));
            return;
        }
        self.text(" IN (");
        for (index, value) in values.enumerate() {
            self.comma(index);
            self.out.value(value);
        }
        self.text(")");
    }

    pub(crate) fn is_null(&mut self, column: u16) {
        self.column(column);
        self.text(" IS NULL");
    }

    /// Writes parts with a word between them. Long chains are trees: stores bound the depth of an
    /// expression, and a flat chain of n parts is n deep.
    pub(crate) fn joined<T>(
        &mut self,
        parts: &[T],
        word: &str,
        part: &mut impl FnMut(&mut Self, &T),
    ) {
        const FLAT_MAX: usize = 8;
        if parts.len() > FLAT_MAX {
            let (left, right) = parts.split_at(parts.len() / 2);
            self.text("(");
            self.joined(left, word, part);
            self.text(")");
            self.text(word);
            self.text("(");
            self.joined(right, word, part);
            self.text(")");
            return;
        }
        for (index, one) in parts.iter().enumerate() {
            if index > 0 {
                self.text(word);
            }
            part(self, one);
        }
    }

    /// The logical type as which the column is read.
    pub(crate) fn column_type(&self, column: u16) -> Type {
        self.binding.schema().column(column).column_type
    }

    fn byte_order(&self, column: u16) -> Option<&'static str> {
        D::byte_order(self.binding.live_column(column), self.binding.live().is_view)
    }

    fn is_tested_twice(&self, column: u16) -> bool {
        let live = self.binding.live_column(column);
        live.collation.is_some() && D::finds_equal(live)
    }

    fn collation(&mut self, collation: Option<&str>) {
        if let Some(collation) = collation {
            self.text(" COLLATE ");
            self.text(collation);
        }
    }
}
