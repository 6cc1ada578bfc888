//! One record of a file, in the terms of its format.

/// What a record says about one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    /// A field of a CSV file, whose type is not told.
    Bare(&'a str),
    /// `true` or `false` of JSON.
    Bool(bool),
    /// An object or array of JSON, as it is written.
    Nested(&'a str),
    /// No value.
    Null,
    /// A number of JSON, as it is written.
    Number(&'a str),
    /// A string of JSON, its escapes resolved.
    Text(&'a str),
}

/// A record, valid until the next one is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(super) text: &'a str,
    pub(super) unescaped: &'a str,
    pub(super) slots: &'a [Slot],
}

/// Where the text of a field stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether the text was unescaped, and thus stands apart.
    pub(super) is_unescaped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bare,
    False,
    Nested,
    Null,
    Number,
    Text,
    True,
}

impl Slot {
    /// A column of which the record says nothing.
    pub(super) const NULL: Self = Self { kind: Kind::Null, start: 0, end: 0, is_unescaped: false };
}

impl<'a> Record<'a> {
    /// The number of fields.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the field of a column; what the record does not have is null.
    pub(crate) fn field(&self, column: usize) -> Field<'a> {
        let Some(slot) = self.slots.get(column) else { return Field::Null };
        let text = if slot.is_unescaped { self.unescaped } else { self.text };
        let text = text.get(slot.start..slot.end).unwrap_or_default();
        match slot.kind {
            Kind::Bare => Field::Bare(text),
            Kind::False => Field::Bool(false),
            Kind::Nested => Field::Nested(text),
            Kind::Null => Field::Null,
            Kind::Number => Field::Number(text),
            Kind::Text => Field::Text(text),
            Kind::True => Field::Bool(true),
        }
    }
}
