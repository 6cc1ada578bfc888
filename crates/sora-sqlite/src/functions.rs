//! What Sora adds to SQLite's SQL on each connection: the order and the sum of decimals, and sums
//! and means that are exact and fail instead of overflowing.

use std::cmp::Ordering;

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};
use sora_core::{Accumulator, AggregateFunction, Cell, Decimal, Error, ErrorKind};

use crate::failure::{CELL_PREFIX, SUM_PREFIX};

/// Registers them.
pub(crate) fn register(connection: &Connection) -> Result<()> {
    // Not for the schema of a file: a trigger of it must not call them.
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    rusqlite::vtab::array::load_module(connection)?;
    connection.create_collation("sora_decimal", compare_decimals)?;
    connection.create_scalar_function("sora_add", 4, flags, add)?;
    connection.create_scalar_function("sora_decimal_add", 4, flags, add_decimals)?;
    connection.create_aggregate_function("sora_sum", 1, flags, Total(AggregateFunction::Sum))?;
    connection.create_aggregate_function("sora_avg", 1, flags, Total(AggregateFunction::Average))
}

/// `sora_sum(column)` and `sora_avg(column)`, of integers, floats, and decimals as text.
struct Total(AggregateFunction);

impl Aggregate<Accumulator, Value> for Total {
    fn init(&self, _: &mut Context<'_>) -> Result<Accumulator> {
        Ok(Accumulator::new(self.0))
    }

    fn step(&self, context: &mut Context<'_>, total: &mut Accumulator) -> Result<()> {
        let cell = match context.get_raw(0) {
            ValueRef::Null => return Ok(()),
            ValueRef::Integer(value) => Cell::I64(value),
            ValueRef::Real(value) => Cell::F64(value),
            other => {
                let text = other.as_str().ok().and_then(|text| text.parse::<Decimal>().ok());
                let found = text.ok_or_else(|| {
                    let message = "the stored cell is no number, so nothing can be added";
                    failed(CELL_PREFIX, message)
                })?;
                Cell::Decimal(found)
            }
        };
        total.add(cell).map_err(|error| failed_sum(&error))
    }

    fn finalize(&self, _: &mut Context<'_>, total: Option<Accumulator>) -> Result<Value> {
        let Some(total) = total else { return Ok(Value::Null) };
        match total.finish().map_err(|error| failed_sum(&error))? {
            sora_core::Value::I64(total) => Ok(Value::Integer(total)),
            sora_core::Value::F64(total) => Ok(Value::Real(total)),
            sora_core::Value::Decimal(total) => Ok(Value::Text(total.to_string())),
            _ => Ok(Value::Null),
        }
    }
}

fn failed_sum(error: &Error) -> rusqlite::Error {
    let prefix = if error.kind() == ErrorKind::Data { CELL_PREFIX } else { SUM_PREFIX };
    failed(prefix, error.message())
}

/// Orders canonical decimals by value; what is none sorts first, by its bytes.
fn compare_decimals(left: &str, right: &str) -> Ordering {
    match (left.parse::<Decimal>(), right.parse::<Decimal>()) {
        // Texts of one value must be distinct to be a total order beside what is no decimal.
        (Ok(first), Ok(second)) => first.cmp(&second),
        (Ok(_), Err(_)) => Ordering::Greater,
        (Err(_), Ok(_)) => Ordering::Less,
        (Err(_), Err(_)) => left.cmp(right),
    }
}

/// `sora_add(stored, addend, min, max)`
fn add(context: &Context<'_>) -> Result<Value> {
    match (context.get_raw(0), context.get_raw(1)) {
        (ValueRef::Null, _) | (_, ValueRef::Null) => Ok(Value::Null),
        (ValueRef::Integer(stored), ValueRef::Integer(addend)) => {
            let (min, max) = (context.get::<i64>(2)?, context.get::<i64>(3)?);
            let sum = stored.checked_add(addend).filter(|sum| (min..=max).contains(sum));
            sum.map(Value::Integer).ok_or_else(|| {
                failed(
                    SUM_PREFIX,
                    &format!("{stored} + {addend} goes beyond the column's {min} to {max}"),
                )
            })
        }
        (ValueRef::Real(stored), ValueRef::Real(addend)) => {
            let sum = stored + addend;
            if sum.is_nan() {
                return Err(failed(SUM_PREFIX, &format!("{stored} + {addend} is no number")));
            }
            // −0.0 is never stored.
            Ok(Value::Real(sum + 0.0))
        }
        (stored, _) => Err(failed(
            CELL_PREFIX,
            &format!("the stored cell is {}, so nothing can be added", stored.data_type()),
        )),
    }
}

/// `sora_decimal_add(stored, addend, precision, scale)`
fn add_decimals(context: &Context<'_>) -> Result<Value> {
    if context.get_raw(0) == ValueRef::Null || context.get_raw(1) == ValueRef::Null {
        return Ok(Value::Null);
    }
    let (precision, scale) = (context.get::<u8>(2)?, context.get::<u8>(3)?);
    let operand = |index| {
        let text: Option<String> = context.get(index).ok();
        text.and_then(|text| text.parse::<Decimal>().ok()).ok_or_else(|| {
            failed(CELL_PREFIX, "the stored cell is no decimal, so nothing can be added")
        })
    };
    let (stored, addend): (Decimal, Decimal) = (operand(0)?, operand(1)?);
    let fits = |sum: Decimal| sum.rescale(scale).filter(|sum| sum.precision() <= precision);
    match stored.checked_add(addend).and_then(fits) {
        Some(sum) => Ok(Value::Text(sum.to_string())),
        None => Err(failed(
            SUM_PREFIX,
            &format!(
                "{stored} + {addend} has more than {precision} digits, {scale} of them behind the \
                 point"
            ),
        )),
    }
}

fn failed(prefix: &str, message: &str) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(format!("{prefix}{message}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(expression: &str) -> std::result::Result<Value, String> {
        let connection = Connection::open_in_memory().expect("memory");
        register(&connection).expect("registered");
        connection
            .query_row(&format!("SELECT {expression}"), [], |row| row.get(0))
            .map_err(|error| crate::failure::store_error(error).to_string())
    }

    #[test]
    fn sums_are_exact_or_fail() {
        let limits = "-9223372036854775808, 9223372036854775807";
        assert_eq!(sum(&format!("sora_add(1, 2, {limits})")), Ok(Value::Integer(3)));
        assert_eq!(sum(&format!("sora_add(NULL, 2, {limits})")), Ok(Value::Null));
        assert_eq!(sum(&format!("sora_add(2.5, 2.0, {limits})")), Ok(Value::Real(4.5)));
        let overflow = sum(&format!("sora_add(9223372036854775807, 1, {limits})"));
        assert!(overflow.expect_err("overflow").starts_with("9223372036854775807 + 1 goes beyond"));
        assert!(sum("sora_add(250, 6, 0, 255)").is_err());
        assert!(sum(&format!("sora_add(9e999, -9e999, {limits})")).is_err());
        assert!(sum(&format!("sora_add('a', 1, {limits})")).expect_err("text").contains("Text"));
        let text = |text: &str| Ok(Value::Text(text.into()));
        assert_eq!(sum("sora_decimal_add('1.25', '-1.30', 4, 2)"), text("-0.05"));
        assert_eq!(sum("sora_decimal_add('0.05', '-0.05', 4, 2)"), text("0.00"));
        assert!(
            sum("sora_decimal_add('99.99', '0.01', 4, 2)").expect_err("full").contains("4 digits")
        );
    }

    #[test]
    fn totals_are_exact_in_every_order() {
        let of = |function: &str, values: &str| {
            sum(&format!("{function}(column1) FROM (VALUES {values})"))
        };
        assert_eq!(
            of("sora_sum", "(9223372036854775807), (1), (-1)"),
            Ok(Value::Integer(i64::MAX))
        );
        let overflow = of("sora_sum", "(9223372036854775807), (1)").expect_err("overflow");
        assert_eq!(
            overflow,
            "the sum does not fit: 9223372036854775808 goes beyond the 64 bits of an integer"
        );
        assert_eq!(of("sora_avg", "(1), (NULL), (2)"), Ok(Value::Real(1.5)));
        assert_eq!(of("sora_sum", "('0.10'), ('0.25')"), Ok(Value::Text("0.35".into())));
        assert_eq!(of("sora_avg", "('0.10'), ('0.20')"), Ok(Value::Real(0.15)));
        assert_eq!(of("sora_sum", "(1.5), (-1.5)"), Ok(Value::Real(0.0)));
        assert!(of("sora_sum", "(9e999), (-9e999)").is_err());
        assert!(of("sora_sum", "(x'00')").expect_err("bytes").contains("no number"));
        assert_eq!(of("sora_sum", "(NULL)"), Ok(Value::Null));
        assert_eq!(sum("sora_avg(1) WHERE FALSE"), Ok(Value::Null));
    }

    #[test]
    fn decimals_are_ordered_by_value() {
        for (left, right, order) in [
            ("9.00", "10.00", Ordering::Less),
            ("-9.00", "-10.00", Ordering::Greater),
            ("1.5", "1.50", Ordering::Equal),
            ("x", "1.50", Ordering::Less),
        ] {
            assert_eq!(compare_decimals(left, right), order, "{left} {right}");
            assert_eq!(compare_decimals(right, left), order.reverse(), "{right} {left}");
        }
    }
}
