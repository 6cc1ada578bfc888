//! One measure over the rows of one group, row by row.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::AggregateFunction;
use crate::{Cell, Decimal, Error, ErrorKind, Result, Value, unexpected};

/// Computes one measure: what stores that compute exactly must give.
#[derive(Clone, Debug)]
pub struct Accumulator {
    function: AggregateFunction,
    /// Rows, or values that are not null.
    count: u64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Nothing,
    Integer(i128),
    Decimal { mantissa: i128, scale: u8 },
    Float(FloatSum),
    Extreme(Value),
}

impl Accumulator {
    /// Returns the measure over no row.
    pub fn new(function: AggregateFunction) -> Self {
        Self { function, count: 0, state: State::Nothing }
    }

    /// Counts a row, whatever it holds.
    pub fn add_row(&mut self) {
        self.count += 1;
    }

    /// Takes the value of the next row; null is left out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] if a sum is asked of what is no number;
    /// [`ErrorKind::Constraint`] if a sum goes beyond 128 bits.
    pub fn add(&mut self, cell: Cell<'_>) -> Result<()> {
        use AggregateFunction::{Average, Count, Max, Min, Sum};
        if cell.is_null() {
            return Ok(());
        }
        self.count += 1;
        match self.function {
            Count => Ok(()),
            Min => {
                self.keep(cell, Ordering::Less);
                Ok(())
            }
            Max => {
                self.keep(cell, Ordering::Greater);
                Ok(())
            }
            Sum | Average => self.sum(cell),
        }
    }

    /// Returns the result.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Constraint`] if the sum does not fit its type.
    pub fn finish(self) -> Result<Value> {
        use AggregateFunction::{Average, Count};
        let Self { function, count, state } = self;
        if function == Count {
            // No table holds more rows than an i64 counts.
            return Ok(Value::I64(i64::try_from(count).unwrap_or(i64::MAX)));
        }
        let is_average = function == Average;
        Ok(match state {
            State::Nothing => Value::Null,
            State::Extreme(value) => value,
            State::Integer(total) if is_average => Value::F64(quotient(total, 0, count)),
            State::Integer(total) => Value::I64(i64::try_from(total).map_err(|_| {
                does_not_fit(&format!("{total} goes beyond the 64 bits of an integer"))
            })?),
            State::Decimal { mantissa, scale } if is_average => {
                Value::F64(quotient(mantissa, scale, count))
            }
            State::Decimal { mantissa, scale } => {
                let total = Decimal::new(mantissa, scale);
                let fits = |total: &Decimal| total.precision() <= Decimal::PRECISION_MAX;
                Value::Decimal(total.filter(fits).ok_or_else(|| {
                    does_not_fit(&format!("it has more than {} digits", Decimal::PRECISION_MAX))
                })?)
            }
            State::Float(sum) => {
                let total = sum.finish()?;
                #[expect(clippy::cast_precision_loss, reason = "fewer rows than 2^53")]
                Value::F64(if is_average { total / count as f64 } else { total })
            }
        })
    }

    fn keep(&mut self, cell: Cell<'_>, wanted: Ordering) {
        let is_better = match &self.state {
            State::Extreme(kept) => cell.sort_order(kept.cell()) == wanted,
            _ => true,
        };
        if is_better {
            self.state = State::Extreme(cell.to_value());
        }
    }

    fn sum(&mut self, cell: Cell<'_>) -> Result<()> {
        let beyond = || does_not_fit("it goes beyond 128 bits");
        self.state = match (&self.state, cell) {
            (State::Nothing, Cell::I64(value)) => State::Integer(value.into()),
            (State::Integer(total), Cell::I64(value)) => {
                State::Integer(total.checked_add(value.into()).ok_or_else(beyond)?)
            }
            (State::Nothing, Cell::Decimal(value)) => {
                State::Decimal { mantissa: value.mantissa(), scale: value.scale() }
            }
            (State::Decimal { mantissa, scale }, Cell::Decimal(value)) => {
                let wider = value.scale().max(*scale);
                let at = |mantissa: i128, scale: u8| {
                    mantissa.checked_mul(10i128.checked_pow(u32::from(wider - scale))?)
                };
                let sum = at(*mantissa, *scale).zip(at(value.mantissa(), value.scale()));
                let sum = sum.and_then(|(total, value)| total.checked_add(value));
                State::Decimal { mantissa: sum.ok_or_else(beyond)?, scale: wider }
            }
            (State::Nothing, Cell::F64(value)) => State::Float(FloatSum::default().plus(value)),
            (State::Float(sum), Cell::F64(value)) => State::Float(sum.plus(value)),
            (_, other) => return Err(unexpected(other, "a number to add")),
        };
        Ok(())
    }
}

/// A sum of floats that keeps what rounding loses
/// (Neumaier, <https://doi.org/10.1002/zamm.19740540106>).
#[derive(Clone, Copy, Debug, Default)]
struct FloatSum {
    total: f64,
    lost: f64,
    /// The sum of what is not finite.
    beyond: Option<f64>,
}

impl FloatSum {
    fn plus(mut self, value: f64) -> Self {
        if !value.is_finite() {
            self.beyond = Some(self.beyond.unwrap_or_default() + value);
            return self;
        }
        let total = self.total + value;
        self.lost += match self.total.abs() >= value.abs() {
            true => (self.total - total) + value,
            false => (value - total) + self.total,
        };
        self.total = total;
        self
    }

    fn finish(self) -> Result<f64> {
        let total = self.total + self.lost;
        match self.beyond {
            Some(beyond) if beyond.is_nan() => Err(does_not_fit("it is no number")),
            Some(beyond) => Ok(beyond),
            // −0.0 is never handed out.
            None if total.is_finite() => Ok(total + 0.0),
            None => Err(does_not_fit("it goes beyond the largest float")),
        }
    }
}

/// Returns the float nearest to `mantissa / 10^scale / count`.
fn quotient(mantissa: i128, scale: u8, count: u64) -> f64 {
    /// A quotient that is no midpoint of two floats differs from every midpoint before so many
    /// digits, because `count` has 64 bits; what is behind them only says that there is something.
    const DIGITS: usize = 60;
    let (magnitude, count) = (mantissa.unsigned_abs(), u128::from(count.max(1)));
    let mut text = String::with_capacity(2 * DIGITS);
    if mantissa < 0 {
        text.push('-');
    }
    text += &(magnitude / count).to_string();
    let mut rest = magnitude % count;
    for _ in 0..DIGITS {
        rest *= 10;
        let digit = u32::try_from(rest / count).ok().and_then(|digit| char::from_digit(digit, 10));
        text.push(digit.unwrap_or('0'));
        rest %= count;
    }
    text.push(if rest > 0 { '1' } else { '0' });
    // Writing to a String cannot fail.
    let _ = write!(text, "e-{}", DIGITS + 1 + usize::from(scale));
    // These are the digits of a float.
    text.parse().unwrap_or(f64::NAN)
}

fn does_not_fit(why: &str) -> Error {
    Error::new(ErrorKind::Constraint, format!("the sum does not fit: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use AggregateFunction::{Average, Count, Max, Min, Sum};

    fn check(function: AggregateFunction, values: &[Value], expected: &str) {
        let mut accumulator = Accumulator::new(function);
        let added = values.iter().try_for_each(|value| accumulator.add(value.cell()));
        let found = match added.and_then(|()| accumulator.finish()) {
            Ok(value) => format!("{value:?}"),
            Err(error) => format!("{:?}", error.kind()),
        };
        assert_eq!(found, expected, "{function} of {values:?}");
    }

    #[test]
    fn integers_are_added_exactly_whatever_the_order() {
        let of =
            |values: &[i64]| -> Vec<Value> { values.iter().copied().map(Value::I64).collect() };
        check(Sum, &of(&[i64::MAX, 1, -1]), "9223372036854775807");
        check(Sum, &of(&[i64::MAX, 1]), "Constraint");
        check(Average, &of(&[i64::MAX, i64::MAX]), "9.223372036854776e18");
        check(Average, &of(&[1, 2]), "1.5");
        check(Average, &of(&[1, 0, 0]), "0.3333333333333333");
        // Rounding the sum to a float first would give 3002399751580331.0.
        check(Average, &of(&[9_007_199_254_740_992, 1, 0]), "3002399751580331.0");
        check(Average, &of(&[-9_007_199_254_740_993, 0]), "-4503599627370496.0");
        check(Min, &of(&[3, -2, 7]), "-2");
        check(Max, &of(&[3, -2, 7]), "7");
    }

    #[test]
    fn decimals_are_added_exactly() {
        let of = |values: &[&str]| -> Vec<Value> {
            values.iter().map(|text| Value::Decimal(text.parse().expect("a decimal"))).collect()
        };
        check(Sum, &of(&["0.10", "0.20", "-0.30"]), "0.00");
        check(Sum, &of(&["1.5", "2.25"]), "3.75");
        check(Sum, &of(&["9999999999999999999999999.999", "0.001"]), "Constraint");
        check(
            Sum,
            &of(&["9999999999999999999999999.999", "0.001", "-0.001"]),
            "9999999999999999999999999.999",
        );
        check(Average, &of(&["0.10", "0.20"]), "0.15");
        check(Average, &of(&["1.00", "0.00", "0.00"]), "0.3333333333333333");
        check(Max, &of(&["9.9", "10.0"]), "10.0");
    }

    #[test]
    fn floats_are_added_with_what_rounding_loses() {
        let of =
            |values: &[f64]| -> Vec<Value> { values.iter().copied().map(Value::F64).collect() };
        check(Sum, &of(&[1e100, 1.0, -1e100]), "1.0");
        check(Sum, &of(&[-0.0]), "0.0");
        check(Sum, &of(&[f64::MAX, f64::MAX]), "Constraint");
        check(Sum, &of(&[f64::INFINITY, f64::MAX, f64::MAX]), "9e999");
        check(Average, &of(&[f64::INFINITY, f64::NEG_INFINITY]), "Constraint");
        check(Sum, &of(&[f64::NAN, 1.0]), "Constraint");
        check(Max, &of(&[f64::NAN, f64::INFINITY]), "NaN");
        check(Min, &of(&[f64::NAN, f64::INFINITY]), "9e999");
    }

    #[test]
    fn nulls_are_left_out() {
        for function in [Sum, Average, Min, Max] {
            check(function, &[], "NULL");
            check(function, &[Value::Null], "NULL");
        }
        check(Count, &[Value::Null, Value::Bool(false)], "1");
        check(Min, &[Value::Null, Value::Text("é".into()), Value::Text("z".into())], "'z'");
        check(Sum, &[Value::Text("1".into())], "Data");
    }

    #[test]
    fn a_mean_is_the_nearest_float() {
        let check = |sum: i128, count, expected: f64| {
            assert_eq!(quotient(sum, 0, count).to_bits(), expected.to_bits(), "{sum}/{count}");
        };
        // Both are floats without rounding, so that IEEE's quotient is the nearest one.
        for (sum, count) in [(2, 3u32), (10, 7), (1, 49), (5, 9), (1, 10), (-1, 3), (0, 5)] {
            check(sum.into(), count.into(), f64::from(sum) / f64::from(count));
        }
        check(9_007_199_254_740_993, 1, 9_007_199_254_740_992.0);
        // A little above the midpoint of two floats.
        let count = 1 << 62;
        let midpoint = i128::from(count) * 9_007_199_254_740_993;
        check(midpoint + 1, count, 9_007_199_254_740_994.0);
        check(-midpoint, count, -9_007_199_254_740_992.0);
    }
}
