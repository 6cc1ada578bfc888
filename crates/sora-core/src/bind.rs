//! Checks a predicate against a schema and turns its literals into its columns' own types.
//!
//! An integer beside a float, a decimal beside an integer, or a date beside a timestamp is compared
//! by value without losing a bit: the literal becomes an exact bound of the column's type. A literal
//! that no value of the column equals leaves a comparison that is false, but still unknown beside
//! null.

use std::sync::Arc;

use crate::place::{Place, comparable, least, refused};
use crate::predicate::FilterLimits;
use crate::{Column, Comparison, Error, ErrorKind, Predicate, Result, Schema, Truth, Type, Value};

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

/// Returns the condition that a column compares so with a literal at a place.
pub(crate) fn compare(column: &Column, at: u16, comparison: Comparison, place: Place) -> Predicate {
    let (comparison, value) = match place {
        Place::Nowhere => return Predicate::Constant(Truth::Unknown),
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
    Predicate::Compare { column: at, comparison, value }
}

/// Returns the condition that a column equals a literal at one of some places.
pub(crate) fn one_of(column: &Column, at: u16, places: Vec<Place>, mut null: bool) -> Predicate {
    let is_empty = places.is_empty();
    let mut values = Vec::with_capacity(places.len());
    for place in places {
        match place {
            Place::At(value) => values.push(value),
            Place::Nowhere => null = true,
            Place::Above(_) | Place::BelowAll => {}
        }
    }
    if values.is_empty() && !is_empty && !null {
        // None can be equal, but the list was not empty: beside null it is unknown.
        return compare(column, at, Comparison::Equal, Place::BelowAll);
    }
    values.sort_by(|left, right| left.cell().sort_order(right.cell()));
    values.dedup();
    Predicate::In { column: at, values: Arc::from(values), null }
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
                    let why =
                        "stands alone, which only a bool column can; compare it with a literal";
                    return Err(refused(column, why));
                }
                Ok(Predicate::Bool(at))
            }
            Predicate::Compare { column: at, comparison, value } => {
                let column = self.column(at)?;
                Ok(compare(column, at, comparison, Place::of(column, value)?))
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

    fn list(&self, at: u16, values: &[Value], null: bool) -> Result<Predicate> {
        if values.len() > self.limits.list_max {
            let message = format!("an IN list has at most {} values", self.limits.list_max);
            return Err(Error::new(ErrorKind::Limit, message));
        }
        let column = self.column(at)?;
        comparable(column)?;
        let places: Result<Vec<_>> =
            values.iter().map(|value| Place::of(column, value.clone())).collect();
        Ok(one_of(column, at, places?, null))
    }

    fn column(&self, at: u16) -> Result<&Column> {
        self.schema.columns().get(usize::from(at)).ok_or_else(|| {
            let message = format!("the table {:?} has no column {at}", self.schema.table());
            Error::new(ErrorKind::Internal, message)
        })
    }
}

/// `AND` and `OR` of one part are that part, and of none a constant.
fn single(predicate: Predicate) -> Predicate {
    match predicate {
        Predicate::And(parts) if parts.is_empty() => Predicate::ALL,
        Predicate::Or(parts) if parts.is_empty() => Predicate::Constant(Truth::False),
        Predicate::And(mut parts) | Predicate::Or(mut parts) if parts.len() == 1 => {
            parts.pop().unwrap_or(Predicate::ALL)
        }
        other => other,
    }
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
        check(price, Less, Value::I64(1_000), "x <= 999.99");
        check(price, Greater, Value::I64(-1_000), "x >= -999.99");
        check(price, Greater, text("-999.995"), "x >= -999.99");
        check(price, Equal, Value::I64(i64::MAX), "x < -999.99");
        let widest = Type::Decimal { precision: 28, scale: 28 };
        let mantissa_max = text("79228162514264337593543950335");
        check(widest, Less, mantissa_max, "x <= 0.9999999999999999999999999999");
        check(Type::I64, Greater, Value::Decimal("2.5".parse().expect("a decimal")), "x > 2");
        check(Type::Date, Less, text("2024-01-01T00:00:01Z"), "x <= '2024-01-01'");
        check(Type::Date, Less, text("2024-01-01T00:00:00Z"), "x < '2024-01-01'");
        check(Type::Timestamp, Less, text("2024-01-01"), "x < '2024-01-01T00:00:00.000000Z'");
        check(
            Type::Bool,
            Equal,
            Value::I64(1),
            "the column \"x\" is bool and cannot be compared with i64; write TRUE or FALSE",
        );
        check(
            Type::Text,
            Equal,
            Value::I64(1),
            "the column \"x\" is text and cannot be compared with i64; write a text in single quotes",
        );
        check(
            Type::I64,
            Equal,
            text("1"),
            "the column \"x\" is i64 and cannot be compared with a text; write a number",
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
        for (empty, constant) in
            [(Predicate::And(vec![]), Truth::True), (Predicate::Or(vec![]), Truth::False)]
        {
            let bound = empty.bind(&schema, FilterLimits::default()).expect("bound");
            assert_eq!(bound, Predicate::Constant(constant));
        }
    }

    #[test]
    fn cells_and_predicates_agree_on_the_place() {
        // The bound literal must select the same integers as the mathematical comparison.
        for float in [-2.5, -2.0, 0.0, 1.5, 2.0] {
            for comparison in [Comparison::Less, Comparison::LessOrEqual, Comparison::Equal] {
                let column = column(Type::I64);
                let place = Place::of(&column, Value::F64(float)).expect("a place");
                let bound = compare(&column, 0, comparison, place);
                for integer in -4..4i32 {
                    let row = [Value::I64(integer.into())];
                    let truth = bound.evaluate(&&row[..]).expect("a truth");
                    let order = f64::from(integer).total_cmp(&float);
                    assert_eq!(truth.is_true(), comparison.holds(order), "{integer} {float}");
                }
            }
        }
        assert!(Cell::I64(1).compare(Cell::F64(1.0)).is_none());
    }
}
