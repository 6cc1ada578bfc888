//! The logical types of columns.

use std::fmt;
use std::str::FromStr;

use crate::{Decimal, Error, ErrorKind, Result};

/// The logical type of a column, the same on every store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Type {
    /// True or false.
    Bool,
    /// A signed integer of 64 bits; a column may narrow it by a range.
    I64,
    /// A binary float of 64 bits. −0.0 is written as 0.0, NaN is refused.
    F64,
    /// A decimal with at most `precision` digits, `scale` of them behind the point.
    Decimal {
        /// Digits in all, 1 to 28.
        precision: u8,
        /// Digits behind the point, at most `precision`.
        scale: u8,
    },
    /// UTF-8 text without U+0000, compared by bytes.
    Text,
    /// Bytes, compared bytewise.
    Bytes,
    /// A moment in microseconds, UTC.
    Timestamp,
    /// A day.
    Date,
    /// A UUID of 16 bytes.
    Uuid,
    /// JSON, opaque: it can be null or not, and is neither compared nor sorted.
    Json,
    /// A type of a found table that Sora does not know: shown as it is, not filtered, not sorted.
    Unknown,
}

impl Type {
    /// Whether values of the type can be compared with literals.
    pub fn is_comparable(self) -> bool {
        !matches!(self, Self::Json | Self::Unknown)
    }

    /// Whether rows can be sorted by a column of the type.
    pub fn is_sortable(self) -> bool {
        self.is_comparable()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::I64 => "i64",
            Self::F64 => "f64",
            Self::Decimal { precision, scale } => {
                return write!(f, "decimal({precision},{scale})");
            }
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Unknown => "unknown",
        })
    }
}

impl FromStr for Type {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) prints, such as `i64` or `decimal(10,2)`.
    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "bool" => Self::Bool,
            "i64" => Self::I64,
            "f64" => Self::F64,
            "text" => Self::Text,
            "bytes" => Self::Bytes,
            "timestamp" => Self::Timestamp,
            "date" => Self::Date,
            "uuid" => Self::Uuid,
            "json" => Self::Json,
            _ => decimal(text).ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidInput,
                    format!(
                        "{text:?} is not a type; there are bool, i64, f64, decimal(P,S) with S <= P <= {}, \
                         text, bytes, timestamp, date, uuid, json",
                        Decimal::PRECISION_MAX
                    ),
                )
            })?,
        })
    }
}

fn decimal(text: &str) -> Option<Type> {
    let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let fits = (1..=Decimal::PRECISION_MAX).contains(&precision) && scale <= precision;
    fits.then_some(Type::Decimal { precision, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        for text in [
            "bool",
            "i64",
            "f64",
            "decimal(10,2)",
            "text",
            "bytes",
            "timestamp",
            "date",
            "uuid",
            "json",
        ] {
            assert_eq!(text.parse::<Type>().expect(text).to_string(), text);
        }
        for text in
            ["", "int", "decimal", "decimal(29,0)", "decimal(2,3)", "decimal(0,0)", "unknown"]
        {
            assert!(text.parse::<Type>().is_err(), "{text}");
        }
    }
}
