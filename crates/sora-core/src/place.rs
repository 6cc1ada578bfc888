//! Where a literal stands among the values of a column, without losing a bit.

use std::cmp::Ordering;

use crate::number::Number;
use crate::value::UuidText;
use crate::{Column, Date, Decimal, Error, ErrorKind, Result, Timestamp, Type, Value};

/// Where a literal stands among the values of a column.
#[derive(Debug)]
pub(crate) enum Place {
    /// It is this value.
    At(Value),
    /// It is no value of the column, and this is the greatest one below it.
    Above(Value),
    /// It is below every value of the column.
    BelowAll,
    /// It is null, which stands nowhere.
    Nowhere,
}

impl Place {
    /// Finds the place of a value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the column is not comparable, or not with such a value.
    pub(crate) fn of(column: &Column, value: Value) -> Result<Self> {
        comparable(column)?;
        Ok(match (column.column_type, &value) {
            (_, Value::Null) => Self::Nowhere,
            (Type::F64 | Type::I64, Value::F64(float)) if float.is_nan() => {
                return Err(refused(column, "cannot be compared with NaN"));
            }
            (Type::Text, Value::Text(text)) if text.contains('\0') => {
                return Err(refused(column, "cannot be compared with a text that contains U+0000"));
            }
            (Type::Bool, Value::Bool(_))
            | (Type::I64, Value::I64(_))
            | (Type::Text, Value::Text(_))
            | (Type::Bytes, Value::Bytes(_))
            | (Type::Timestamp, Value::Timestamp(_))
            | (Type::Date, Value::Date(_))
            | (Type::Uuid, Value::Uuid(_)) => Self::At(value),
            // −0.0 equals 0.0, and stores hold only the latter.
            (Type::F64, Value::F64(float)) => Self::At(Value::F64(*float + 0.0)),
            (Type::I64, Value::F64(float)) => integer_below_float(*float),
            (Type::I64, Value::Decimal(decimal)) => integer_below(floor(*decimal, 0)),
            (Type::F64, Value::I64(integer)) => float_below_integer(*integer),
            (Type::F64, Value::Decimal(decimal)) => float_nearest_decimal(*decimal),
            (Type::Decimal { precision, scale }, Value::Decimal(decimal)) => {
                decimal_below(floor(*decimal, scale), precision, scale)
            }
            (Type::Decimal { precision, scale }, Value::I64(integer)) => {
                decimal_below(floor(Decimal::from(*integer), scale), precision, scale)
            }
            (Type::Timestamp, Value::Date(date)) => Self::At(Value::Timestamp(date.midnight())),
            (Type::Date, Value::Timestamp(timestamp)) => date_below(*timestamp),
            (_, Value::Text(text)) => Self::of_text(column, text)?,
            (_, other) => return Err(mismatch(column, other.cell().kind_name())),
        })
    }

    /// Finds the place of a number as it is written. With a point or an exponent it stands, beside
    /// a float column, for the float nearest to it; everywhere else it is exact.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    pub(crate) fn of_number(column: &Column, number: &Number<'_>) -> Result<Self> {
        comparable(column)?;
        Ok(match column.column_type {
            Type::I64 => integer_below(number.floor(0)),
            Type::Decimal { precision, scale } => {
                decimal_below(number.floor(scale), precision, scale)
            }
            Type::F64 => {
                // Plus zero: −0.0 equals 0.0, and stores hold only the latter.
                let nearest = number.nearest_float() + 0.0;
                if number.is_whole() {
                    float_below(number.order_beside(nearest), nearest)
                } else {
                    Self::At(Value::F64(nearest))
                }
            }
            _ => return Err(mismatch(column, "a number")),
        })
    }

    /// A text beside a column of a type that has no literal of its own is read as that type.
    fn of_text(column: &Column, text: &str) -> Result<Self> {
        let named = |error: Error| error.with("column", &column.name);
        Ok(match column.column_type {
            Type::Timestamp => Self::At(Value::Timestamp(text.parse().map_err(named)?)),
            Type::Date => match text.parse::<Date>() {
                Ok(date) => Self::At(Value::Date(date)),
                Err(error) => match text.parse::<Timestamp>() {
                    Ok(timestamp) => date_below(timestamp),
                    Err(_) => return Err(named(error)),
                },
            },
            Type::Uuid => match UuidText::parse(text) {
                Some(uuid) => Self::At(Value::Uuid(uuid)),
                None => return Err(refused(column, &format!("is a UUID, which {text:?} is not"))),
            },
            Type::Decimal { precision, scale } => {
                let decimal = text.parse().map_err(named)?;
                decimal_below(floor(decimal, scale), precision, scale)
            }
            _ => return Err(mismatch(column, "a text")),
        })
    }
}

/// Refuses a column whose values can only be null or not.
pub(crate) fn comparable(column: &Column) -> Result<()> {
    match column.column_type {
        Type::Json => Err(refused(column, "is json, which can only be compared by IS NULL")),
        Type::Unknown => {
            Err(refused(column, "has a type that Sora does not know, so it cannot be filtered"))
        }
        _ => Ok(()),
    }
}

/// Returns the error of a column that a filter uses in a way that it cannot be used.
pub(crate) fn refused(column: &Column, why: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("the column {:?} {why}", column.name))
}

/// A value that none of the column's is below. Only types that a literal can miss need one.
pub(crate) fn least(column: &Column) -> Value {
    match column.column_type {
        Type::F64 => Value::F64(f64::NEG_INFINITY),
        Type::Date => Value::Date(Date::MIN),
        Type::Decimal { precision, scale } => decimal(1 - 10i128.pow(precision.into()), scale),
        _ => Value::I64(i64::MIN),
    }
}

fn mismatch(column: &Column, found: &str) -> Error {
    let literal = match column.column_type {
        Type::Bool => "TRUE or FALSE",
        Type::Bytes => "bytes, such as X'00ff'",
        Type::Date => "a date, such as '2024-02-29'",
        Type::Timestamp => "a timestamp, such as '2024-02-29T12:30:00Z'",
        Type::Text => "a text in single quotes",
        Type::Uuid => "a UUID in single quotes",
        _ => "a number",
    };
    let logical = column.column_type;
    refused(column, &format!("is {logical} and cannot be compared with {found}; write {literal}"))
}

fn integer_below_float(float: f64) -> Place {
    // 2^63 is a float; i64::MAX is not.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let floor = float.floor();
    if floor < -LIMIT {
        return Place::BelowAll;
    }
    if floor >= LIMIT {
        return Place::Above(Value::I64(i64::MAX));
    }
    #[expect(clippy::cast_possible_truncation, reason = "floored and in range: exact")]
    let integer = Value::I64(floor as i64);
    #[expect(clippy::float_cmp, reason = "whether it was whole is an exact question")]
    if floor == float { Place::At(integer) } else { Place::Above(integer) }
}

fn integer_below((floor, exact): (i128, bool)) -> Place {
    match i64::try_from(floor) {
        Ok(integer) if exact => Place::At(Value::I64(integer)),
        Ok(integer) => Place::Above(Value::I64(integer)),
        Err(_) if floor < 0 => Place::BelowAll,
        Err(_) => Place::Above(Value::I64(i64::MAX)),
    }
}

fn float_below_integer(integer: i64) -> Place {
    #[expect(clippy::cast_precision_loss, reason = "the rounding is undone below")]
    let nearest = integer as f64;
    #[expect(clippy::cast_possible_truncation, reason = "a float of at most 2^63 fits an i128")]
    float_below(i128::from(integer).cmp(&(nearest as i128)), nearest)
}

/// The place of a number, by its order beside the float nearest to it.
fn float_below(order: Ordering, nearest: f64) -> Place {
    match order {
        Ordering::Equal => Place::At(Value::F64(nearest)),
        Ordering::Greater => Place::Above(Value::F64(nearest)),
        Ordering::Less => Place::Above(Value::F64(nearest.next_down())),
    }
}

/// A decimal literal beside a float column is read as the float it is nearest to, as everywhere.
fn float_nearest_decimal(decimal: Decimal) -> Place {
    // The text of a decimal is always a float's text.
    Place::At(Value::F64(decimal.to_string().parse().unwrap_or(0.0) + 0.0))
}

/// The place of a number among the decimals of a column, by its floor in units of the last digit.
fn decimal_below((floor, exact): (i128, bool), precision: u8, scale: u8) -> Place {
    let limit = 10i128.pow(precision.into());
    if floor <= -limit {
        Place::BelowAll
    } else if floor >= limit {
        Place::Above(decimal(limit - 1, scale))
    } else if exact {
        Place::At(decimal(floor, scale))
    } else {
        Place::Above(decimal(floor, scale))
    }
}

fn decimal(mantissa: i128, scale: u8) -> Value {
    let decimal = Decimal::new(mantissa, scale);
    Value::Decimal(decimal.expect("28 digits fit: a schema checks precision and scale"))
}

/// Returns the greatest multiple of `10^-scale` that is not above a decimal, in that unit, and
/// whether it is the decimal. What leaves an i128 becomes its bound, which is beyond every column.
fn floor(decimal: Decimal, scale: u8) -> (i128, bool) {
    let mantissa = decimal.mantissa();
    let unit = |places: u8| 10i128.pow(places.into());
    if decimal.scale() <= scale {
        let beyond = if mantissa < 0 { i128::MIN } else { i128::MAX };
        return (mantissa.checked_mul(unit(scale - decimal.scale())).unwrap_or(beyond), true);
    }
    let unit = unit(decimal.scale() - scale);
    (mantissa.div_euclid(unit), mantissa.rem_euclid(unit) == 0)
}

fn date_below(timestamp: Timestamp) -> Place {
    let date = timestamp.date();
    let value = Value::Date(date);
    if date.midnight() == timestamp { Place::At(value) } else { Place::Above(value) }
}
