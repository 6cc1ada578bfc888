//! What a statement is written into.

use std::marker::PhantomData;

use sora_core::{Cell, RowBuffer};

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
    fn value(&mut self, cell: Cell<'_>);

    /// Takes a list of values of one type, bound as one.
    fn list(&mut self, values: &mut dyn Iterator<Item = Cell<'_>>);

    /// Takes a list of keys of several columns, bound as one.
    fn keys(&mut self, keys: &RowBuffer);
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
    fn placeholder(&mut self) {
        self.values += 1;
        D::placeholder(&mut self.sql, self.values);
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

    fn value(&mut self, _: Cell<'_>) {
        self.placeholder();
    }

    fn list(&mut self, _: &mut dyn Iterator<Item = Cell<'_>>) {
        self.placeholder();
    }

    fn keys(&mut self, _: &RowBuffer) {
        self.placeholder();
    }
}
