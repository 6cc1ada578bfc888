//! Rows by their keys.

use sora_core::{BufferedRow, Cell, RowBuffer, Truth};

use crate::walk::{Walk, key_name};
use crate::{Dialect, Out};

/// How keys are asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// There is none.
    Nothing,
    /// As values, this many keys.
    Values(usize),
    /// As one list of a key of one column.
    List,
    /// As a derived table of a key of several columns.
    Source,
}

/// Returns the form in which keys are asked.
pub(crate) fn key_form<D: Dialect>(keys: &RowBuffer) -> KeyForm {
    match (keys.len(), keys.width()) {
        (0, _) => KeyForm::Nothing,
        (len, _) if len <= D::VALUES_MAX => KeyForm::Values(len),
        (_, 1) => KeyForm::List,
        _ => KeyForm::Source,
    }
}

impl<D: Dialect, O: Out> Walk<'_, D, O> {
    /// Writes the condition that a row has one of the keys, unless they are a derived table.
    pub(crate) fn has_key(&mut self, keys: &RowBuffer) {
        let binding = self.binding;
        let key = binding.schema().key();
        match (key_form::<D>(keys), key) {
            (KeyForm::Nothing, _) => self.constant(Truth::False),
            (_, [column]) => {
                let cell =
                    |index| keys.row(index).map_or(Cell::Null, |row: BufferedRow<'_>| row.get(0));
                self.is_one_of(*column, (0..keys.len()).map(cell));
            }
            (KeyForm::Values(len), _) => {
                for (index, row) in keys.iter().enumerate() {
                    if index > 0 {
                        self.text(" OR ");
                    }
                    if len > 1 {
                        self.text("(");
                    }
                    self.key_equals(|position| row.get(position));
                    if len > 1 {
                        self.text(")");
                    }
                }
            }
            // The derived table is joined; here is what ties it to the row.
            (KeyForm::List | KeyForm::Source, _) => {
                for (index, column) in key.iter().enumerate() {
                    if index > 0 {
                        self.text(" AND ");
                    }
                    self.equals_name(*column, &key_name(index));
                }
            }
        }
    }

    /// Writes that each column of the key equals a cell.
    pub(crate) fn key_equals<'v>(&mut self, cell: impl Fn(usize) -> Cell<'v>) {
        let binding = self.binding;
        for (index, column) in binding.schema().key().iter().enumerate() {
            if index > 0 {
                self.text(" AND ");
            }
            self.equals(*column, cell(index));
        }
    }

    /// Writes the derived table of keys, if there is one, in front of the table's name.
    pub(crate) fn key_source(&mut self, keys: &RowBuffer) {
        if key_form::<D>(keys) == KeyForm::Source {
            let binding = self.binding;
            D::key_source(self, binding.schema().key(), keys);
            self.text(" CROSS JOIN ");
        }
    }
}
