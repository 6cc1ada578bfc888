//! Checks a predicate against a schema and turns its literals into its columns' own types.
//!
//! An integer beside a float, a decimal beside an integer, or a date beside a timestamp is compared
//! by value without losing a bit: the literal becomes an exact bound of the column's type. A literal
//! that no value of the column equals leaves a comparison that is false, but still unknown beside
//! null.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::predicate::FilterLimits;
use crate::value::UuidText;
use crate::{
    Column, Comparison, Date, Decimal, Error, ErrorKind, Predicate, Result, Schema, Timestamp,
    Truth, Type, Value,
};

impl Predicate {
    /// Checks the predicate against a schema and returns it with literals of its columns' types and
    /// nested `AND` and `OR` joined.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if a literal does not fit its column, [`ErrorKind::Limit`] if it
    /// is too deep or too long.
    pub fn bind(self, schema: &Schema, limits: FilterLimits) -> Result<Self> {
        let mut terms_left = limits.terms_max;
        Binder { schema, limits, terms_left: &mut terms_left }.predicate(self, limits.depth_max)
    }
}

/// Returns the condition that a column stands to a literal in a comparison.
pub(crate) fn compare(
    column: &Column,
    at: u16,
    comparison: Comparison,
    value: Value,
) -> Result<Predicate> {
    if value.is_null() {
        comparable(column)?;
        return Ok(Predicate::Constant(Truth::Unknown));
    }
    let (comparison, value) = match place(column, value)? {
        Place::At(value) => (comparison, value),
        Place::Above(value) => match comparison {
            // The literal lies between this value and the next one of the column's type.
            Comparison::Less | Comparison::LessOrEqual => (Comparison::LessOrEqual, value),
            Comparison::Greater | Comparison::GreaterOrEqual => (Comparison::Greater, value),
            Comparison::Equal => (Comparison::Less, least(column)),
            Comparison::NotEqual => (Comparison::GreaterOrEqual, least(column)),
        },
        Place::BelowAll => match comparison {
            Comparison::Less | Comparison::LessOrEqual | Comparison::Equal => {
                (Comparison::Less, least(column))
            }
            _ => (Comparison::GreaterOrEqual, least(column)),
        },
    };
    Ok(Predicate::Compare { column: at, comparison, value })
}

/// Where a literal stands among the values of a column.
enum Place {
    /// It is this value.
    At(Value),
    /// It is no value of the column, and this is the greatest one below it.
    Above(Value),
    /// It is below every value of the column.
    BelowAll,
}

struct Binder<'a> {
    schema: &'a Schema,
    limits: FilterLimits,
    terms_left: &'a mut usize,
}

impl Binder<'_> {
    fn predicate(&mut self, predicate: Predicate, depth: usize) -> Result<Predicate> {
        let Some(depth) = depth.checked_sub(1) else {
            let message = format!("the filter is nested more than {} deep", self.limits.depth_max);
            return Err(Error::new(ErrorKind::Limit, message));
        };
        match predicate {
            Predicate::And(parts) => {
                let parts = self.parts(parts, depth, |part| match part {
                    Predicate::And(parts) => Ok(parts),
                    other => Err(other),
                })?;
                Ok(Predicate::And(parts))
            }
            Predicate::Or(parts) => {
                let parts = self.parts(parts, depth, |part| match part {
                    Predicate::Or(parts) => Ok(parts),
                    other => Err(other),
                })?;
                Ok(Predicate::Or(parts))
            }
            Predicate::Not(operand) => {
                Ok(Predicate::Not(Box::new(self.predicate(*operand, depth)?)))
            }
            Predicate::Is { operand, truth } => {
                Ok(Predicate::Is { operand: Box::new(self.predicate(*operand, depth)?), truth })
            }
            leaf => self.leaf(leaf),
        }
        .map(single)
    }

    fn parts(
        &mut self,
        parts: Vec<Predicate>,
        depth: usize,
        same: fn(Predicate) -> Result<Vec<Predicate>, Predicate>,
    ) -> Result<Vec<Predicate>> {
        let mut bound = Vec::with_capacity(parts.len());
        for part in parts {
            match same(self.predicate(part, depth)?) {
                Ok(parts) => bound.extend(parts),
                Err(part) => bound.push(part),
            }
        }
        Ok(bound)
    }

    fn leaf(&mut self, leaf: Predicate) -> Result<Predicate> {
        let Some(left) = self.terms_left.checked_sub(1) else {
            let message = format!("the filter has more than {} conditions", self.limits.terms_max);
            return Err(Error::new(ErrorKind::Limit, message));
        };
        *self.terms_left = left;
        match leaf {
            Predicate::Bool(at) => {
                let column = self.column(at)?;
                if column.column_type != Type::Bool {
                    return Err(refused(column, "stands alone, which only a bool column can"));
                }
                Ok(Predicate::Bool(at))
            }
            Predicate::Compare { column: at, comparison, value } => {
                compare(self.column(at)?, at, comparison, value)
            }
            Predicate::In { column: at, values, null } => self.list(at, &values, null),
            Predicate::Like { column: at, pattern, fold } => {
                let column = self.column(at)?;
                if column.column_type != Type::Text {
                    return Err(refused(column, "is matched with LIKE, which only text can be"));
                }
                Ok(Predicate::Like { column: at, pattern, fold })
            }
            Predicate::IsNull(at) => self.column(at).map(|_| Predicate::IsNull(at)),
            other => Ok(other),
        }
    }

    fn list(&self, at: u16, values: &[Value], mut null: bool) -> Result<Predicate> {
        if values.len() > self.limits.list_max {
            let message = format!("an IN list has at most {} values", self.limits.list_max);
            return Err(Error::new(ErrorKind::Limit, message));
        }
        let column = self.column(at)?;
        comparable(column)?;
        let mut bound = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Value::Null => null = true,
                value => {
                    if let Place::At(value) = place(column, value.clone())? {
                        bound.push(value);
                    }
                }
            }
        }
        if bound.is_empty() && !values.is_empty() && !null {
            // None can be equal, but the list was not empty: beside null it is unknown.
            let value = least(column);
            return Ok(Predicate::Compare { column: at, comparison: Comparison::Less, value });
        }
        bound.sort_by(|left, right| left.cell().sort_order(right.cell()));
        bound.dedup();
        Ok(Predicate::In { column: at, values: Arc::from(bound), null })
    }

    fn column(&self, at: u16) -> Result<&Column> {
        self.schema.columns().get(usize::from(at)).ok_or_else(|| {
            let message = format!("the table {:?} has no column {at}", self.schema.table());
            Error::new(ErrorKind::Internal, message)
        })
    }
}

/// `AND` and `OR` of one part are that part.
fn single(predicate: Predicate) -> Predicate {
    match predicate {
        Predicate::And(mut parts) | Predicate::Or(mut parts) if parts.len() == 1 => {
            parts.pop().unwrap_or(Predicate::ALL)
        }
        other => other,
    }
}

fn comparable(column: &Column) -> Result<()> {
    match column.column_type {
        Type::Json => Err(refused(column, "is json, which can only be compared by IS NULL")),
        Type::Unknown => {
            Err(refused(column, "has a type that Sora does not know, so it cannot be filtered"))
        }
        _ => Ok(()),
    }
}

fn place(column: &Column, value: Value) -> Result<Place> {
    comparable(column)?;
    let mismatch = || {
        let found = value.cell().kind_name();
        refused(column, &format!("is {} and cannot be compared with {found}", column.column_type))
    };
    Ok(match (column.column_type, &value) {
        (Type::F64, Value::F64(float)) | (Type::I64, Value::F64(float)) if float.is_nan() => {
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
        | (Type::Uuid, Value::Uuid(_)) => Place::At(value),
        // −0.0 equals 0.0, and stores hold only the latter.
        (Type::F64, Value::F64(float)) => Place::At(Value::F64(*float + 0.0)),
        (Type::I64, Value::F64(float)) => integer_below_float(*float),
        (Type::I64, Value::Decimal(decimal)) => integer_below_decimal(*decimal),
        (Type::F64, Value::I64(integer)) => float_below_integer(*integer),
        (Type::F64, Value::Decimal(decimal)) => float_nearest_decimal(*decimal),
        (Type::Decimal { scale, .. }, Value::Decimal(decimal)) => decimal_below(*decimal, scale),
        (Type::Decimal { scale, .. }, Value::I64(integer)) => {
            decimal_below(Decimal::from(*integer), scale)
        }
        (Type::Timestamp, Value::Date(date)) => Place::At(Value::Timestamp(date.midnight())),
        (Type::Date, Value::Timestamp(timestamp)) => date_below(*timestamp),
        (Type::Timestamp, Value::Text(text)) => {
            let timestamp =
                text.parse().map_err(|error: Error| error.with("column", &column.name))?;
            Place::At(Value::Timestamp(timestamp))
        }
        (Type::Date, Value::Text(text)) => match text.parse::<Date>() {
            Ok(date) => Place::At(Value::Date(date)),
            Err(error) => match text.parse::<Timestamp>() {
                Ok(timestamp) => date_below(timestamp),
                Err(_) => return Err(error.with("column", &column.name)),
            },
        },
        (Type::Uuid, Value::Text(text)) => match UuidText::parse(text) {
            Some(uuid) => Place::At(Value::Uuid(uuid)),
            None => return Err(refused(column, &format!("is a UUID, which {text:?} is not"))),
        },
        (Type::Decimal { scale, .. }, Value::Text(text)) => {
            let decimal =
                text.parse().map_err(|error: Error| error.with("column", &column.name))?;
            decimal_below(decimal, scale)
        }
        _ => return Err(mismatch()),
    })
}

fn refused(column: &Column, why: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("the column {:?} {why}", column.name))
}

/// A value that none of the column's is below. Only types that [`place`] can miss need one.
fn least(column: &Column) -> Value {
    match column.column_type {
        Type::F64 => Value::F64(f64::NEG_INFINITY),
        Type::Date => Value::Date(Date::MIN),
        Type::Decimal { precision, scale } => {
            let mantissa = 1 - 10i128.pow(u32::from(precision));
            Decimal::new(mantissa, scale).map_or(Value::Null, Value::Decimal)
        }
        _ => Value::I64(i64::MIN),
    }
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

fn integer_below_decimal(decimal: Decimal) -> Place {
    let unit = 10i128.pow(u32::from(decimal.scale()));
    let floor = decimal.mantissa().div_euclid(unit);
    let exact = decimal.mantissa().rem_euclid(unit) == 0;
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
    match (nearest as i128).cmp(&i128::from(integer)) {
        Ordering::Equal => Place::At(Value::F64(nearest)),
        Ordering::Less => Place::Above(Value::F64(nearest)),
        Ordering::Greater => Place::Above(Value::F64(nearest.next_down())),
    }
}

/// A decimal literal beside a float column is read as the float it is nearest to, as everywhere.
fn float_nearest_decimal(decimal: Decimal) -> Place {
    // The text of a decimal is always a float's text.
    Place::At(Value::F64(decimal.to_string().parse().unwrap_or(0.0)))
}

fn decimal_below(decimal: Decimal, scale: u8) -> Place {
    if decimal.scale() <= scale {
        // By value; it is compared at its own scale if it cannot be widened.
        return Place::At(Value::Decimal(decimal.rescale(scale).unwrap_or(decimal)));
    }
    let unit = 10i128.pow(u32::from(decimal.scale() - scale));
    let floor = decimal.mantissa().div_euclid(unit);
    let exact = decimal.mantissa().rem_euclid(unit) == 0;
    match Decimal::new(floor, scale).map(Value::Decimal) {
        Some(value) if exact => Place::At(value),
        Some(value) => Place::Above(value),
        None => Place::BelowAll,
    }
}

fn date_below(timestamp: Timestamp) -> Place {
    let date = timestamp.date();
    let value = Value::Date(date);
    if date.midnight() == timestamp { Place::At(value) } else { Place::Above(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cell;

    fn column(column_type: Type) -> Column {
        Column::new("x", column_type)
    }

    fn check(column_type: Type, comparison: Comparison, value: Value, expected: &str) {
        let schema = Schema::builder("t").column(column(column_type)).build().expect("a schema");
        let predicate = Predicate::Compare { column: 0, comparison, value };
        let bound = predicate.bind(&schema, FilterLimits::default());
        let shown = match &bound {
            Ok(bound) => bound.display(&schema).to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_float_beside_an_integer_becomes_an_exact_bound() {
        use Comparison::*;
        let integer = |comparison, float, expected| {
            check(Type::I64, comparison, Value::F64(float), expected);
        };
        integer(Less, 2.5, "x <= 2");
        integer(GreaterOrEqual, -2.5, "x > -3");
        integer(Equal, 3.0, "x = 3");
        integer(Equal, 2.5, "x < -9223372036854775808");
        integer(NotEqual, 2.5, "x >= -9223372036854775808");
        integer(Less, 1e300, "x <= 9223372036854775807");
        integer(Greater, 9_223_372_036_854_775_808.0, "x > 9223372036854775807");
        integer(Greater, f64::NEG_INFINITY, "x >= -9223372036854775808");
        integer(Less, -1e300, "x < -9223372036854775808");
        check(
            Type::I64,
            Equal,
            Value::F64(f64::NAN),
            "the column \"x\" cannot be compared with NaN",
        );
    }

    #[test]
    fn an_integer_beside_a_float_keeps_every_bit() {
        use Comparison::*;
        let beyond = Value::I64((1 << 53) + 1);
        check(Type::F64, Equal, beyond.clone(), "x < -9e999");
        check(Type::F64, Greater, beyond.clone(), "x > 9007199254740992.0");
        check(Type::F64, LessOrEqual, beyond, "x <= 9007199254740992.0");
        check(Type::F64, Less, Value::I64(i64::MAX), "x <= 9.223372036854775e18");
        check(Type::F64, Equal, Value::I64(5), "x = 5.0");
        check(Type::F64, Equal, Value::F64(-0.0), "x = 0.0");
    }

    #[test]
    fn decimals_dates_and_texts_find_their_place() {
        use Comparison::*;
        let price = Type::Decimal { precision: 5, scale: 2 };
        let text = |text: &str| Value::Text(text.into());
        check(price, Less, text("1.005"), "x <= 1.00");
        check(price, Equal, text("1.005"), "x < -999.99");
        check(price, Equal, text("1.5"), "x = 1.50");
        check(price, Equal, Value::I64(7), "x = 7.00");
        check(Type::I64, Greater, Value::Decimal("2.5".parse().expect("a decimal")), "x > 2");
        check(Type::Date, Less, text("2024-01-01T00:00:01Z"), "x <= '2024-01-01'");
        check(Type::Date, Less, text("2024-01-01T00:00:00Z"), "x < '2024-01-01'");
        check(Type::Timestamp, Less, text("2024-01-01"), "x < '2024-01-01T00:00:00.000000Z'");
        check(
            Type::Bool,
            Equal,
            Value::I64(1),
            "the column \"x\" is bool and cannot be compared with i64",
        );
        check(
            Type::Text,
            Equal,
            Value::I64(1),
            "the column \"x\" is text and cannot be compared with i64",
        );
        check(
            Type::I64,
            Equal,
            text("1"),
            "the column \"x\" is i64 and cannot be compared with text",
        );
        check(
            Type::Json,
            Equal,
            Value::Null,
            "the column \"x\" is json, which can only be compared by IS NULL",
        );
        check(Type::I64, Equal, Value::Null, "NULL");
    }

    #[test]
    fn lists_drop_what_cannot_be_equal_and_keep_null() {
        let schema = Schema::builder("t").column(column(Type::I64)).build().expect("a schema");
        let check = |values: &[Value], null, expected: &str| {
            let list = Predicate::In { column: 0, values: values.into(), null };
            let bound = list.bind(&schema, FilterLimits::default()).expect("bound");
            assert_eq!(bound.display(&schema).to_string(), expected);
        };
        check(
            &[Value::I64(2), Value::F64(1.0), Value::F64(1.5), Value::I64(2)],
            false,
            "x IN (1, 2)",
        );
        check(&[Value::F64(1.5)], false, "x < -9223372036854775808");
        check(&[Value::F64(1.5), Value::Null], false, "x IN (NULL)");
        check(&[], false, "x IN ()");
    }

    #[test]
    fn depth_and_terms_are_bounded() {
        let schema = Schema::builder("t").column(column(Type::Bool)).build().expect("a schema");
        let mut deep = Predicate::Bool(0);
        for _ in 0..64 {
            deep = Predicate::Not(Box::new(deep));
        }
        let error = deep.bind(&schema, FilterLimits::default()).expect_err("too deep");
        assert_eq!(error.kind(), ErrorKind::Limit);
        let wide = Predicate::Or(vec![Predicate::Bool(0); 1_001]);
        let error = wide.bind(&schema, FilterLimits::default()).expect_err("too wide");
        assert_eq!(error.kind(), ErrorKind::Limit);
        let nested = Predicate::And(vec![Predicate::And(vec![Predicate::Bool(0)]), Predicate::ALL]);
        let bound = nested.bind(&schema, FilterLimits::default()).expect("bound");
        assert_eq!(bound.display(&schema).to_string(), "x AND TRUE");
    }

    #[test]
    fn cells_and_predicates_agree_on_the_place() {
        // The bound literal must select the same integers as the mathematical comparison.
        for float in [-2.5, -2.0, 0.0, 1.5, 2.0] {
            for comparison in [Comparison::Less, Comparison::LessOrEqual, Comparison::Equal] {
                let bound = compare(&column(Type::I64), 0, comparison, Value::F64(float));
                for integer in -4..4i32 {
                    let row = [Value::I64(integer.into())];
                    let truth =
                        bound.as_ref().expect("bound").evaluate(&&row[..]).expect("a truth");
                    let order = f64::from(integer).total_cmp(&float);
                    assert_eq!(truth.is_true(), comparison.holds(order), "{integer} {float}");
                }
            }
        }
        assert!(Cell::I64(1).compare(Cell::F64(1.0)).is_none());
    }
}
