//! What all walks share: columns, comparisons, lists.

use std::marker::PhantomData;

use sora_core::{Binding, Cell, Type};

use crate::{Dialect, Operand, Out};

/// A walk over a read or a write of one table, into one output.
#[derive(Debug)]
pub struct Walk<'a, D, O> {
    pub(crate) binding: &'a Binding,
    pub(crate) out: &'a mut O,
    dialect: PhantomData<D>,
}

/// The name of the number of a row in a statement of many.
pub(crate) const ROW_NUMBER: &str = "_sora_row";

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

    /// Writes columns as they are read, with commas between them.
    pub(crate) fn read_columns(&mut self, columns: &[u16]) {
        if O::TEXT {
            for (index, column) in columns.iter().enumerate() {
                self.comma(index);
                self.read_column(*column);
            }
        }
    }

    /// Writes a column as it is read.
    pub(crate) fn read_column(&mut self, column: u16) {
        if O::TEXT {
            self.column(column);
            self.text(D::read_as(self.binding.live_column(column)));
        }
    }

    /// Writes a value that is compared with a column.
    #[inline]
    pub(crate) fn compared(&mut self, column: u16, value: Cell<'_>) {
        self.out.value(value, Operand::Compared(self.binding, column));
    }

    /// Writes a value that is stored in a column.
    #[inline]
    pub(crate) fn assigned(&mut self, column: u16, value: Cell<'_>) {
        self.out.value(value, Operand::Assigned(self.binding, column));
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
            let live = self.binding.live_column(column);
            self.collation(D::byte_equality(live, self.binding.live().is_view));
        }
    }

    /// Writes a column so that it is ordered by value.
    pub(crate) fn ordered_operand(&mut self, column: u16) {
        if O::TEXT {
            self.column(column);
            let collation = match D::value_order(self.column_type(column)) {
                Some(collation) => Some(collation),
                None => {
                    D::byte_order(self.binding.live_column(column), self.binding.live().is_view)
                }
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
            self.compared(column, value);
            self.text(" AND ");
        }
        self.equal_operand(column);
        self.text(" = ");
        self.compared(column, value);
        if twice {
            self.text(")");
        }
    }

    /// Writes that a column equals one of a derived table, which holds no value.
    pub(crate) fn equals_name(&mut self, column: u16, name: &str) {
        if !O::TEXT {
            return;
        }
        let twice = self.is_tested_twice(column);
        if twice {
            self.text("(");
            self.column(column);
            self.text(" = ");
            self.out.name(name);
            self.text(" AND ");
        }
        self.equal_operand(column);
        self.text(" = ");
        self.out.name(name);
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
            self.list(column, values.clone());
            self.text(" AND ");
        }
        self.equal_operand(column);
        self.list(column, values);
        if twice {
            self.text(")");
        }
    }

    /// Writes `IN` and a list of two or more values.
    fn list<'v, I: ExactSizeIterator<Item = Cell<'v>>>(&mut self, column: u16, values: I) {
        if values.len() > D::VALUES_MAX {
            let operand = Operand::Compared(self.binding, column);
            D::in_list(self, column, |out| out.list(values, operand));
            return;
        }
        self.text(" IN (");
        for (index, value) in values.enumerate() {
            self.comma(index);
            self.compared(column, value);
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
