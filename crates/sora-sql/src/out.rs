//! What a statement is written into.

use std::marker::PhantomData;

use sora_core::{Binding, Cell, RowBuffer};

use crate::Dialect;

/// Takes the parts of a statement in the order of its text.
///
/// The renderer keeps the text and counts the values, a binder binds the values and ignores the
/// text; both are compiled for their type, so that what a binder ignores costs nothing.
pub trait Out {
    /// Whether text is kept. Where it is not, parts that hold no value are not walked.
    const TEXT: bool;

    /// Takes a piece of SQL.
    fn text(&mut self, text: &str);

    /// Takes a name, which is written in quotes.
    fn name(&mut self, name: &str);

    /// Takes a value.
    fn value(&mut self, cell: Cell<'_>, operand: Operand<'_>);

    /// Takes a list of values for one operand, bound as one.
    fn list<'v>(&mut self, values: impl Iterator<Item = Cell<'v>>, operand: Operand<'_>);

    /// Takes a list of keys of several columns, bound as one. A dialect that binds one list for
    /// each column never asks for it.
    fn keys(&mut self, keys: &RowBuffer);
}

/// What a value is for, which decides as what it is passed to a store that types its parameters.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// It is stored in a column of the schema, or added to it.
    Assigned(&'a Binding, u16),
    /// It is compared with a column of the schema.
    Compared(&'a Binding, u16),
    /// It is a number of rows.
    Number,
}

/// Renders the text of a statement in a dialect.
#[derive(Debug)]
pub struct Text<D> {
    sql: String,
    values: usize,
    dialect: PhantomData<D>,
}

/// Returns the text that a walk writes.
pub fn render<D: Dialect>(walk: impl FnOnce(&mut Text<D>)) -> String {
    let mut out = Text { sql: String::new(), values: 0, dialect: PhantomData };
    walk(&mut out);
    out.sql
}

/// Writes a name in double quotes, its own doubled.
pub(crate) fn quote(text: &mut String, name: &str) {
    text.push('"');
    for (index, part) in name.split('"').enumerate() {
        if index > 0 {
            text.push_str("\"\"");
        }
        text.push_str(part);
    }
    text.push('"');
}

impl<D: Dialect> Text<D> {
    fn placeholder(&mut self, operand: Operand<'_>, is_list: bool) {
        self.values += 1;
        D::placeholder(&mut self.sql, self.values, operand, is_list);
    }
}

impl<D: Dialect> Out for Text<D> {
    const TEXT: bool = true;

    fn text(&mut self, text: &str) {
        self.sql.push_str(text);
    }

    fn name(&mut self, name: &str) {
        quote(&mut self.sql, name);
    }

    fn value(&mut self, _: Cell<'_>, operand: Operand<'_>) {
        self.placeholder(operand, false);
    }

    fn list<'v>(&mut self, _: impl Iterator<Item = Cell<'v>>, operand: Operand<'_>) {
        self.placeholder(operand, true);
    }

    fn keys(&mut self, _: &RowBuffer) {
        self.placeholder(Operand::Number, true);
    }
}
