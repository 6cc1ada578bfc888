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
    /// Whether the text was unescaped, and thus stands apart.
    pub(super) is_unescaped: bool,
    /// A record is far shorter than 4 GiB.
    pub(super) start: u32,
    pub(super) end: u32,
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
    pub(super) const NULL: Self = Self { kind: Kind::Null, is_unescaped: false, start: 0, end: 0 };
}

impl Slot {
    /// Returns the place of a text.
    pub(super) fn new(kind: Kind, start: usize, end: usize, is_unescaped: bool) -> Self {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { kind, is_unescaped, start: place(start), end: place(end) }
    }

    /// Whether it holds a place of the record.
    pub(super) fn is_at(self, place: usize) -> bool {
        !self.is_unescaped && (self.start as usize..self.end as usize).contains(&place)
    }
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
        let text = text.get(slot.start as usize..slot.end as usize).unwrap_or_default();
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
