//! What a change of one column gives.

use crate::{Assignment, Cell, Column, Error, ErrorKind, Result, Value, check_cell};

impl Assignment {
    /// Returns the value that a row holds in the column after the change.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Constraint`] if a sum leaves the column's type or range, is NaN, or needs more
    /// digits than the column has; [`ErrorKind::InvalidInput`] if the value does not fit the column.
    pub fn apply(&self, column: &Column, stored: Cell<'_>) -> Result<Value> {
        if !self.add {
            return check_cell(column, self.value.cell()).map(Cell::to_value);
        }
        let sum = match (stored, self.value.cell()) {
            (Cell::Null, _) | (_, Cell::Null) => Some(Value::Null),
            (Cell::I64(stored), Cell::I64(value)) => stored.checked_add(value).map(Value::I64),
            (Cell::F64(stored), Cell::F64(value)) => Some(Value::F64(stored + value)),
            (Cell::Decimal(stored), Cell::Decimal(value)) => {
                stored.checked_add(value).map(Value::Decimal)
            }
            (stored, value) => {
                let message = format!(
                    "the column {:?} holds a {}, to which a {} cannot be added",
                    column.name,
                    stored.kind_name(),
                    value.kind_name()
                );
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        };
        let refused = |why: &str| {
            let message = format!("the sum does not fit the column {:?}{why}", column.name);
            Error::new(ErrorKind::Constraint, message)
        };
        let sum = sum.ok_or_else(|| refused(": it overflows"))?;
        check_cell(column, sum.cell())
            .map(Cell::to_value)
            .map_err(|error| refused("").with_source(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Type;

    fn check(column: &Column, stored: &Value, value: Value, expected: &Result<Value, ErrorKind>) {
        let label = format!("{stored:?} + {value:?}");
        let assignment = Assignment { column: 0, add: true, value };
        let sum = assignment.apply(column, stored.cell()).map_err(|error| error.kind());
        assert_eq!(&sum, expected, "{label}");
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let decimal = |text: &str| Value::Decimal(text.parse().expect("a decimal"));
        let refused = || Err(ErrorKind::Constraint);
        let wide = Column::new("x", Type::I64).nullable();
        check(&wide, &Value::I64(i64::MAX - 1), Value::I64(1), &Ok(Value::I64(i64::MAX)));
        check(&wide, &Value::I64(i64::MAX), Value::I64(1), &refused());
        check(&wide, &Value::Null, Value::I64(1), &Ok(Value::Null));
        check(&wide, &Value::I64(1), Value::Text("1".into()), &Err(ErrorKind::InvalidInput));
        let narrow = Column::new("x", Type::I64).range(0, 255);
        check(&narrow, &Value::I64(250), Value::I64(5), &Ok(Value::I64(255)));
        check(&narrow, &Value::I64(250), Value::I64(6), &refused());
        check(&narrow, &Value::I64(250), Value::Null, &refused());
        let price = Column::new("x", Type::Decimal { precision: 4, scale: 2 });
        check(&price, &decimal("99.98"), decimal("0.01"), &Ok(decimal("99.99")));
        check(&price, &decimal("99.99"), decimal("0.01"), &refused());
        let float = Column::new("x", Type::F64);
        check(&float, &Value::F64(f64::INFINITY), Value::F64(f64::NEG_INFINITY), &refused());
        check(&float, &Value::F64(f64::MAX), Value::F64(f64::MAX), &Ok(Value::F64(f64::INFINITY)));
        check(
            &Column::new("x", Type::Bool),
            &Value::Bool(true),
            Value::Bool(true),
            &Err(ErrorKind::InvalidInput),
        );
    }
}
