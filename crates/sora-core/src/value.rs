//! One value of one column: owned as [`Value`], borrowed as [`Cell`].

use std::cmp::Ordering;
use std::fmt;

use crate::{Date, Decimal, Timestamp};

/// An owned value, 24 bytes wide.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the variants are the types of `Type`, documented there")]
pub enum Value {
    /// No value.
    #[default]
    Null,
    Bool(bool),
    I64(i64),
    F64(f64),
    Decimal(Decimal),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    Timestamp(Timestamp),
    Date(Date),
    Uuid([u8; 16]),
    /// Canonical JSON text.
    Json(Box<str>),
}

/// A borrowed value: what stores hand out and take in, without an allocation.
///
/// It displays as a literal of the text filter: `'O''Brien'`, `5`, `2.5`, `TRUE`, `X'00ff'`.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the variants are the types of `Type`, documented there")]
pub enum Cell<'a> {
    /// No value.
    #[default]
    Null,
    Bool(bool),
    I64(i64),
    F64(f64),
    Decimal(Decimal),
    Text(&'a str),
    Bytes(&'a [u8]),
    Timestamp(Timestamp),
    Date(Date),
    Uuid([u8; 16]),
    /// Canonical JSON text.
    Json(&'a str),
}

const _: () = assert!(size_of::<Value>() == 24 && size_of::<Cell<'_>>() == 24);

impl Value {
    /// Borrows the value.
    pub fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Bool(value) => Cell::Bool(*value),
            Self::I64(value) => Cell::I64(*value),
            Self::F64(value) => Cell::F64(*value),
            Self::Decimal(value) => Cell::Decimal(*value),
            Self::Text(value) => Cell::Text(value),
            Self::Bytes(value) => Cell::Bytes(value),
            Self::Timestamp(value) => Cell::Timestamp(*value),
            Self::Date(value) => Cell::Date(*value),
            Self::Uuid(value) => Cell::Uuid(*value),
            Self::Json(value) => Cell::Json(value),
        }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cell(), f)
    }
}

impl Cell<'_> {
    /// Copies the value out of what it borrows from.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::I64(value) => Value::I64(value),
            Self::F64(value) => Value::F64(value),
            Self::Decimal(value) => Value::Decimal(value),
            Self::Text(value) => Value::Text(value.into()),
            Self::Bytes(value) => Value::Bytes(value.into()),
            Self::Timestamp(value) => Value::Timestamp(value),
            Self::Date(value) => Value::Date(value),
            Self::Uuid(value) => Value::Uuid(value),
            Self::Json(value) => Value::Json(value.into()),
        }
    }

    /// Whether there is no value.
    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// Orders two values of one type; `None` if one is null or they are of different types.
    ///
    /// Text, bytes and UUIDs by bytes, false before true, NaN equal to itself and behind ∞.
    pub fn compare(self, other: Cell<'_>) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Bool(left), Cell::Bool(right)) => left.cmp(&right),
            (Self::I64(left), Cell::I64(right)) => left.cmp(&right),
            (Self::F64(left), Cell::F64(right)) => compare_floats(left, right),
            (Self::Decimal(left), Cell::Decimal(right)) => left.cmp(&right),
            (Self::Text(left), Cell::Text(right)) | (Self::Json(left), Cell::Json(right)) => {
                left.as_bytes().cmp(right.as_bytes())
            }
            (Self::Bytes(left), Cell::Bytes(right)) => left.cmp(right),
            (Self::Timestamp(left), Cell::Timestamp(right)) => left.cmp(&right),
            (Self::Date(left), Cell::Date(right)) => left.cmp(&right),
            (Self::Uuid(left), Cell::Uuid(right)) => left.cmp(&right),
            _ => return None,
        })
    }

    /// Orders two cells of one column for a sort: null before every value.
    ///
    /// Cells of different types, which only a column of unknown type can hold, go by their type.
    #[inline]
    pub fn sort_order(self, other: Cell<'_>) -> Ordering {
        match (self, other) {
            // Most keys: rows are put in their order by this.
            (Self::I64(left), Cell::I64(right)) => left.cmp(&right),
            _ => self.compare(other).unwrap_or_else(|| self.rank().cmp(&other.rank())),
        }
    }

    /// What kind of value it is, for messages: `text`, `null`, ….
    pub fn kind_name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::I64(_) => "i64",
            Self::F64(_) => "f64",
            Self::Decimal(_) => "decimal",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "timestamp",
            Self::Date(_) => "date",
            Self::Uuid(_) => "uuid",
            Self::Json(_) => "json",
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::I64(_) => 2,
            Self::F64(_) => 3,
            Self::Decimal(_) => 4,
            Self::Text(_) => 5,
            Self::Bytes(_) => 6,
            Self::Timestamp(_) => 7,
            Self::Date(_) => 8,
            Self::Uuid(_) => 9,
            Self::Json(_) => 10,
        }
    }
}

impl PartialEq for Cell<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.sort_order(*other).is_eq()
    }
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Null => f.write_str("NULL"),
            Self::Bool(true) => f.write_str("TRUE"),
            Self::Bool(false) => f.write_str("FALSE"),
            Self::I64(value) => write!(f, "{value}"),
            // A literal that no f64 holds is read as ∞.
            Self::F64(value) if value.is_infinite() && value > 0.0 => f.write_str("9e999"),
            Self::F64(value) if value.is_infinite() => f.write_str("-9e999"),
            Self::F64(value) => write!(f, "{value:?}"),
            Self::Decimal(value) => write!(f, "{value}"),
            Self::Text(value) | Self::Json(value) => write!(f, "'{}'", value.replace('\'', "''")),
            Self::Timestamp(value) => write!(f, "'{value}'"),
            Self::Date(value) => write!(f, "'{value}'"),
            Self::Uuid(value) => write!(f, "'{}'", UuidText(value)),
            Self::Bytes(value) => {
                f.write_str("X'")?;
                value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str("'")
            }
        }
    }
}

impl fmt::Debug for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Displays 16 bytes as a hyphenated UUID.
#[derive(Clone, Copy, Debug)]
pub struct UuidText(pub [u8; 16]);

impl fmt::Display for UuidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl UuidText {
    /// Reads a UUID with or without hyphens, in either case; `None` if it is not one.
    pub fn parse(text: &str) -> Option<[u8; 16]> {
        let bytes = text.as_bytes();
        let hyphenated = bytes.len() == 36;
        if !hyphenated && bytes.len() != 32 {
            return None;
        }
        let mut uuid = [0; 16];
        let mut at = 0;
        for (index, byte) in uuid.iter_mut().enumerate() {
            if hyphenated && matches!(index, 4 | 6 | 8 | 10) {
                (bytes[at] == b'-').then_some(())?;
                at += 1;
            }
            let digit = |at: usize| char::from(bytes[at]).to_digit(16);
            *byte = u8::try_from(digit(at)? * 16 + digit(at + 1)?).ok()?;
            at += 2;
        }
        Some(uuid)
    }
}

/// Orders floats with NaN equal to itself and behind ∞; −0.0 equals 0.0.
fn compare_floats(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_floats_with_nan_last() {
        let order = |left, right| Cell::F64(left).compare(Cell::F64(right));
        assert_eq!(order(f64::NAN, f64::NAN), Some(Ordering::Equal));
        assert_eq!(order(f64::INFINITY, f64::NAN), Some(Ordering::Less));
        assert_eq!(order(f64::NAN, -1.0), Some(Ordering::Greater));
        assert_eq!(order(-0.0, 0.0), Some(Ordering::Equal));
    }

    #[test]
    fn null_is_never_compared_and_sorts_first() {
        assert_eq!(Cell::Null.compare(Cell::Null), None);
        assert_eq!(Cell::Null.sort_order(Cell::I64(i64::MIN)), Ordering::Less);
        assert_eq!(Cell::Null.sort_order(Cell::Null), Ordering::Equal);
    }

    #[test]
    fn uuids_are_read_in_both_forms() {
        let text = "0190a6f2-7c1e-7d3a-9b1f-00ff00ff00ff";
        let uuid = UuidText::parse(text).expect("a UUID");
        assert_eq!(UuidText(uuid).to_string(), text);
        assert_eq!(UuidText::parse(&text.replace('-', "").to_uppercase()), Some(uuid));
        for text in
            ["", "0190a6f2-7c1e-7d3a-9b1f-00ff00ff00fg", "0190a6f27-c1e-7d3a-9b1f-00ff00ff00f"]
        {
            assert_eq!(UuidText::parse(text), None, "{text}");
        }
    }
}
