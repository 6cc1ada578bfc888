//! How Rust types map onto columns.

use crate::{Cell, CellSink, Date, Decimal, Error, ErrorKind, Result, Timestamp, Type};

/// A Rust type that one column holds.
///
/// Implement it for a newtype by delegating, or derive it:
///
/// ```
/// use sora_core::{Cell, CellSink, ColumnType, Result, Type};
///
/// struct ZipCode(String);
///
/// impl ColumnType for ZipCode {
///     type Base = Self;
///     const TYPE: Type = String::TYPE;
///     fn encode(&self, out: &mut dyn CellSink) -> Result<()> {
///         self.0.encode(out)
///     }
///     fn decode(cell: Cell<'_>) -> Result<Self> {
///         String::decode(cell).map(Self)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be held by one column",
    label = "not a column type",
    note = "i64 and narrower integers, f32, f64, bool, String, Vec<u8>, sora's Date, Timestamp and Decimal, and Option of them can",
    note = "types of chrono, jiff, rust_decimal, time and uuid need the feature of that name",
    note = "u64 does not fit an i64: use i64 or u32; `#[sora(json)]` stores any Serialize type; `#[derive(ColumnType)]` maps newtypes and enums"
)]
pub trait ColumnType: Sized {
    /// The type without its `Option`: what literals are compared as.
    type Base: ColumnType;
    /// The logical type of the column.
    const TYPE: Type;
    /// Whether the column can hold no value.
    const NULLABLE: bool = false;
    /// The smallest and largest integer, if fewer than 64 bits.
    const RANGE: Option<(i64, i64)> = None;

    /// Writes the value as one cell.
    fn encode(&self, out: &mut dyn CellSink) -> Result<()>;

    /// Reads the value from a cell.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] if the cell is of another type, null, or out of range.
    fn decode(cell: Cell<'_>) -> Result<Self>;
}

/// Returns the error of a cell that a Rust type cannot hold.
#[cold]
pub fn unexpected(cell: Cell<'_>, expected: &str) -> Error {
    let found = match cell {
        Cell::Null => "null".into(),
        Cell::I64(value) => format!("the i64 {value}"),
        other => format!("a value of type {}", other.kind_name()),
    };
    Error::new(ErrorKind::Data, format!("expected {expected}, found {found}"))
}

impl<T: ColumnType> ColumnType for Option<T> {
    type Base = T::Base;
    const TYPE: Type = T::TYPE;
    const NULLABLE: bool = true;
    const RANGE: Option<(i64, i64)> = T::RANGE;

    fn encode(&self, out: &mut dyn CellSink) -> Result<()> {
        match self {
            Some(value) => value.encode(out),
            None => out.cell(Cell::Null),
        }
    }

    #[inline]
    fn decode(cell: Cell<'_>) -> Result<Self> {
        if cell.is_null() { Ok(None) } else { T::decode(cell).map(Some) }
    }
}

/// Maps a type onto one variant of [`Cell`].
macro_rules! column_type {
    ($($rust:ty => $variant:ident as $logical:expr, $encode:expr, $decode:expr;)*) => {$(
        impl ColumnType for $rust {
            type Base = Self;
            const TYPE: Type = $logical;

            fn encode(&self, out: &mut dyn CellSink) -> Result<()> {
                let encode: fn(&$rust) -> Result<Cell<'_>> = $encode;
                out.cell(encode(self)?)
            }

            #[inline]
            fn decode(cell: Cell<'_>) -> Result<Self> {
                match cell {
                    Cell::$variant(value) => {
                        let decode: fn(_) -> Option<$rust> = $decode;
                        decode(value).ok_or_else(|| unexpected(cell, stringify!($rust)))
                    }
                    _ => Err(unexpected(cell, stringify!($rust))),
                }
            }
        }
    )*};
}

/// A decimal column declares its own precision and scale; zero stands for "not declared".
const DECIMAL: Type = Type::Decimal { precision: 0, scale: 0 };

column_type! {
    bool => Bool as Type::Bool, |value| Ok(Cell::Bool(*value)), Some;
    i64 => I64 as Type::I64, |value| Ok(Cell::I64(*value)), Some;
    f64 => F64 as Type::F64, |value| Ok(Cell::F64(*value)), Some;
    Decimal => Decimal as DECIMAL, |value| Ok(Cell::Decimal(*value)), Some;
    Timestamp => Timestamp as Type::Timestamp, |value| Ok(Cell::Timestamp(*value)), Some;
    Date => Date as Type::Date, |value| Ok(Cell::Date(*value)), Some;
    String => Text as Type::Text, |value| Ok(Cell::Text(value)), |text: &str| Some(text.into());
    Box<str> => Text as Type::Text, |value| Ok(Cell::Text(value)), |text: &str| Some(text.into());
    Vec<u8> => Bytes as Type::Bytes, |value| Ok(Cell::Bytes(value)), |bytes: &[u8]| Some(bytes.into());
    Box<[u8]> => Bytes as Type::Bytes, |value| Ok(Cell::Bytes(value)), |bytes: &[u8]| Some(bytes.into());
}

impl ColumnType for f32 {
    type Base = Self;
    const TYPE: Type = Type::F64;

    fn encode(&self, out: &mut dyn CellSink) -> Result<()> {
        out.cell(Cell::F64(f64::from(*self)))
    }

    /// The column has 64 bits; what was written as an `f32` comes back as it was.
    fn decode(cell: Cell<'_>) -> Result<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "that is what an f32 field asks for")]
        f64::decode(cell).map(|value| value as f32)
    }
}

/// Maps the integers that an i64 holds.
macro_rules! narrow_integer {
    ($($rust:ty)*) => {$(
        impl ColumnType for $rust {
            type Base = Self;
            const TYPE: Type = Type::I64;
            const RANGE: Option<(i64, i64)> = Some((<$rust>::MIN as i64, <$rust>::MAX as i64));

            fn encode(&self, out: &mut dyn CellSink) -> Result<()> {
                out.cell(Cell::I64(i64::from(*self)))
            }

            fn decode(cell: Cell<'_>) -> Result<Self> {
                let value = i64::decode(cell).map_err(|_| unexpected(cell, stringify!($rust)))?;
                Self::try_from(value).map_err(|_| unexpected(cell, stringify!($rust)))
            }
        }
    )*};
}

narrow_integer! { i8 i16 i32 u8 u16 u32 }

#[cfg(feature = "uuid")]
column_type! {
    uuid::Uuid => Uuid as Type::Uuid,
        |value| Ok(Cell::Uuid(value.into_bytes())), |bytes| Some(Self::from_bytes(bytes));
}

#[cfg(feature = "rust_decimal")]
column_type! {
    rust_decimal::Decimal => Decimal as DECIMAL,
        |value| {
            let scale = u8::try_from(value.scale()).ok();
            let decimal = scale.and_then(|scale| Decimal::new(value.mantissa(), scale));
            decimal.map(Cell::Decimal).ok_or_else(|| out_of_range("decimal"))
        },
        |value: Decimal| Self::try_from_i128_with_scale(value.mantissa(), u32::from(value.scale())).ok();
}

#[cfg(feature = "jiff")]
column_type! {
    jiff::Timestamp => Timestamp as Type::Timestamp,
        |value| timestamp(value.as_nanosecond().div_euclid(1_000)),
        |value: Timestamp| Self::from_microsecond(value.micros()).ok();
    jiff::civil::Date => Date as Type::Date,
        |value| date(i32::from(value.year()), value.month().unsigned_abs().into(), value.day().unsigned_abs().into()),
        |value: Date| {
            let (year, month, day) = value.calendar();
            Self::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()
        };
}

#[cfg(feature = "chrono")]
column_type! {
    chrono::DateTime<chrono::Utc> => Timestamp as Type::Timestamp,
        // `timestamp_micros` floors: chrono counts nanoseconds up from the second.
        |value| timestamp(value.timestamp_micros().into()),
        |value: Timestamp| Self::from_timestamp_micros(value.micros());
    chrono::NaiveDate => Date as Type::Date,
        |value| {
            use chrono::Datelike;
            date(value.year(), value.month(), value.day())
        },
        |value: Date| {
            let (year, month, day) = value.calendar();
            Self::from_ymd_opt(year, month, day)
        };
}

#[cfg(feature = "time")]
column_type! {
    time::OffsetDateTime => Timestamp as Type::Timestamp,
        |value| timestamp(value.unix_timestamp_nanos().div_euclid(1_000)),
        |value: Timestamp| Self::from_unix_timestamp_nanos(i128::from(value.micros()) * 1_000).ok();
    time::Date => Date as Type::Date,
        |value| date(value.year(), u8::from(value.month()).into(), value.day().into()),
        |value: Date| {
            let (year, month, day) = value.calendar();
            let month = u8::try_from(month).ok()?.try_into().ok()?;
            Self::from_calendar_date(year, month, day.try_into().ok()?).ok()
        };
}

#[cfg(any(feature = "chrono", feature = "jiff", feature = "time"))]
fn timestamp(micros: i128) -> Result<Cell<'static>> {
    let timestamp = i64::try_from(micros).ok().and_then(Timestamp::from_micros);
    timestamp.map(Cell::Timestamp).ok_or_else(|| out_of_range("timestamp"))
}

#[cfg(any(feature = "chrono", feature = "jiff", feature = "time"))]
fn date(year: i32, month: u32, day: u32) -> Result<Cell<'static>> {
    let date = Date::from_calendar(year, month, day);
    date.map(Cell::Date).ok_or_else(|| out_of_range("date"))
}

#[cfg(any(feature = "chrono", feature = "jiff", feature = "rust_decimal", feature = "time"))]
fn out_of_range(what: &str) -> Error {
    let message = format!("the {what} is out of range: years 1 to 9999, decimals of 96 bits");
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;
    use crate::Value;

    #[expect(clippy::needless_pass_by_value, reason = "values are given in place")]
    fn there_and_back<T: ColumnType + Debug + PartialEq>(value: T) {
        let mut cells: Vec<Value> = Vec::new();
        value.encode(&mut cells).expect("encodes");
        assert_eq!(T::decode(cells[0].cell()).expect("decodes"), value);
    }

    #[test]
    fn values_come_back() {
        there_and_back(u32::MAX);
        there_and_back(i8::MIN);
        there_and_back(0.1f32);
        there_and_back(Some(String::new()));
        there_and_back(None::<String>);
        there_and_back(vec![0u8, 255]);
        there_and_back(Timestamp::MIN);
        #[cfg(feature = "uuid")]
        there_and_back(uuid::Uuid::max());
        #[cfg(feature = "rust_decimal")]
        there_and_back(rust_decimal::Decimal::MIN);
        #[cfg(feature = "jiff")]
        {
            there_and_back(jiff::Timestamp::from_microsecond(-1).expect("in range"));
            there_and_back(jiff::civil::Date::new(9999, 12, 31).expect("in range"));
        }
        #[cfg(feature = "chrono")]
        {
            there_and_back(chrono::DateTime::from_timestamp_micros(-1).expect("in range"));
            there_and_back(chrono::NaiveDate::from_ymd_opt(1, 1, 1).expect("in range"));
        }
        #[cfg(feature = "time")]
        {
            there_and_back(time::OffsetDateTime::UNIX_EPOCH);
            there_and_back(time::Date::from_ordinal_date(2024, 366).expect("in range"));
        }
    }

    #[test]
    fn a_cell_of_another_type_or_range_is_refused() {
        let error = u8::decode(Cell::I64(256)).expect_err("too large");
        assert_eq!(error.to_string(), "expected u8, found the i64 256");
        assert!(u32::decode(Cell::I64(-1)).is_err());
        assert!(i64::decode(Cell::Null).is_err());
        assert!(String::decode(Cell::I64(1)).is_err());
    }

    #[cfg(feature = "jiff")]
    #[test]
    fn nanoseconds_are_floored() {
        let before = jiff::Timestamp::from_nanosecond(-1).expect("in range");
        let mut cells: Vec<Value> = Vec::new();
        before.encode(&mut cells).expect("encodes");
        assert_eq!(cells, [Value::Timestamp(Timestamp::from_micros(-1).expect("in range"))]);
    }
}
