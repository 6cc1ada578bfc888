//! What an aggregation gives by its definition. Not by `sora_core::Groups`: that is judged here.

use std::fmt;

use sora_core::{
    AggregateFunction, Aggregation, Cell, Decimal, ErrorKind, Measure, Result, Schema, Sort, Value,
};

use crate::store::{Cells, in_order};

/// What an aggregation of some rows may give.
#[derive(Debug)]
pub(crate) struct Expected {
    rows: Vec<Vec<Wanted>>,
    /// Whether a sum does not fit.
    must_fail: bool,
    /// Whether a sum of floats fits or does not, as its rows come.
    may_fail: bool,
    is_too_many: bool,
}

/// A cell of a group.
#[derive(Clone)]
enum Wanted {
    Exactly(Value),
    /// A float within a distance, because stores add in different orders.
    Near(f64, f64),
    /// Whatever the order of the rows makes of it.
    Any,
}

impl Expected {
    /// Returns what the aggregation of rows, whose cells stand in the schema's order, may give.
    pub(crate) fn of(schema: &Schema, rows: &[&Cells], aggregation: &Aggregation) -> Self {
        let sort: Vec<Sort> = aggregation.sort().collect();
        let mut sorted = rows.to_vec();
        sorted.sort_by(|left, right| in_order(&sort, left, right));
        let mut groups: Vec<Vec<&Cells>> = Vec::new();
        for row in sorted {
            match groups.last_mut() {
                Some(group) if in_order(&sort, group[0], row).is_eq() => group.push(row),
                _ => groups.push(vec![row]),
            }
        }
        if groups.is_empty() && sort.is_empty() {
            groups.push(Vec::new());
        }
        let is_too_many = !sort.is_empty() && groups.len() as u64 > aggregation.groups_max;
        let mut expected =
            Self { rows: Vec::new(), must_fail: false, may_fail: false, is_too_many };
        for group in groups {
            let key = sort.iter().map(|by| group[0][usize::from(by.column)].clone());
            let mut row: Vec<Wanted> = key.map(Wanted::Exactly).collect();
            for measure in &*aggregation.measures {
                let wanted = expected.measure(schema, &group, *measure);
                row.push(wanted);
            }
            expected.rows.push(row);
        }
        expected
    }

    /// Keeps the first groups alone.
    pub(crate) fn limited(mut self, groups: usize) -> Self {
        self.rows.truncate(groups);
        self
    }

    /// Compares an answer, or says what is wrong with it.
    pub(crate) fn compare(&self, found: Result<&[Cells]>) -> std::result::Result<(), String> {
        match found {
            Err(error) if error.kind() == ErrorKind::Limit && self.is_too_many => Ok(()),
            Err(error)
                if error.kind() == ErrorKind::Constraint && (self.must_fail || self.may_fail) =>
            {
                Ok(())
            }
            Err(error) => Err(format!("{:?}: {error}; expected {:?}", error.kind(), self.rows)),
            Ok(found) if self.must_fail || self.is_too_many => {
                Err(format!("an error was expected, found {found:?}"))
            }
            Ok(found) => {
                let fits = |(wanted, found): (&Vec<Wanted>, &Cells)| {
                    wanted.len() == found.len()
                        && wanted.iter().zip(found).all(|(wanted, found)| wanted.is_met(found))
                };
                match found.len() == self.rows.len() && self.rows.iter().zip(found).all(fits) {
                    true => Ok(()),
                    false => Err(format!("found {found:?}\n  expected {:?}", self.rows)),
                }
            }
        }
    }

    fn measure(&mut self, schema: &Schema, group: &[&Cells], measure: Measure) -> Wanted {
        use AggregateFunction::{Average, Count, Max, Min, Sum};
        let Some(column) = measure.column else { return Wanted::Exactly(count(group.len())) };
        let cells = group.iter().map(|row| row[usize::from(column)].cell());
        let values: Vec<Cell<'_>> = cells.filter(|cell| !cell.is_null()).collect();
        let by = |left: &Cell<'_>, right: &Cell<'_>| {
            left.compare(*right).unwrap_or(std::cmp::Ordering::Equal)
        };
        let extreme = match measure.function {
            Count => return Wanted::Exactly(count(values.len())),
            Min => values.iter().copied().min_by(by),
            Max => values.iter().copied().max_by(by),
            _ if values.is_empty() => None,
            Sum | Average => {
                let is_mean = measure.function == Average;
                return match schema.column(column).column_type {
                    sora_core::Type::F64 => self.floats(&values, is_mean),
                    _ => self.whole(&values, is_mean),
                };
            }
            _ => return Wanted::Any,
        };
        Wanted::Exactly(extreme.map_or(Value::Null, Cell::to_value))
    }

    /// Sums of integers, and of the mantissas of decimals of one scale.
    fn whole(&mut self, values: &[Cell<'_>], is_mean: bool) -> Wanted {
        let mut total = 0_i128;
        let mut scale = None;
        for value in values {
            total += match value {
                Cell::I64(value) => i128::from(*value),
                Cell::Decimal(value) => {
                    scale = Some(value.scale());
                    value.mantissa()
                }
                _ => 0,
            };
        }
        if is_mean {
            #[expect(clippy::cast_precision_loss, reason = "the distance allows for it")]
            let mean = total as f64 / values.len() as f64 / 10f64.powi(scale.unwrap_or(0).into());
            return Wanted::Near(mean, mean.abs() * 4.0 * f64::EPSILON);
        }
        let sum = match scale {
            None => i64::try_from(total).ok().map(Value::I64),
            Some(scale) => Decimal::new(total, scale)
                .filter(|sum| sum.precision() <= Decimal::PRECISION_MAX)
                .map(Value::Decimal),
        };
        self.must_fail |= sum.is_none();
        sum.map_or(Wanted::Any, Wanted::Exactly)
    }

    fn floats(&mut self, values: &[Cell<'_>], is_mean: bool) -> Wanted {
        let floats = values.iter().map(|value| match value {
            Cell::F64(value) => *value,
            _ => f64::NAN,
        });
        let beyond: f64 = floats.clone().filter(|value| !value.is_finite()).sum();
        if beyond.is_nan() {
            self.must_fail = true;
            return Wanted::Any;
        }
        if beyond.is_infinite() {
            // In some orders the finite ones go beyond the largest float before, which a store may
            // refuse there and then.
            let size: f64 = floats.filter(|value| value.is_finite()).map(f64::abs).sum();
            self.may_fail |= size.is_infinite();
            return Wanted::Exactly(Value::F64(beyond));
        }
        let (total, size) = floats.fold((0.0, 0.0), |(total, size): (f64, f64), value| {
            (total + value, size + value.abs())
        });
        if !size.is_finite() {
            self.may_fail = true;
            return Wanted::Any;
        }
        #[expect(clippy::cast_precision_loss, reason = "few rows")]
        let count = values.len() as f64;
        let divisor = if is_mean { count } else { 1.0 };
        let distance = size * count * 2.0 * f64::EPSILON + f64::MIN_POSITIVE;
        Wanted::Near(total / divisor, distance / divisor)
    }
}

impl Wanted {
    fn is_met(&self, found: &Value) -> bool {
        match (self, found) {
            (Self::Any, _) => true,
            (Self::Exactly(wanted), found) => {
                // Values that are equal, but stored in another way, are not what was asked for.
                wanted == found && format!("{wanted:?}") == format!("{found:?}")
            }
            (Self::Near(wanted, distance), Value::F64(found)) => {
                (wanted - found).abs() <= *distance
            }
            (Self::Near(..), _) => false,
        }
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(value) => write!(f, "{value:?}"),
            Self::Near(value, distance) => write!(f, "{value:?} ± {distance:?}"),
            Self::Any => f.write_str("any"),
        }
    }
}

fn count(count: usize) -> Value {
    Value::I64(i64::try_from(count).unwrap_or(i64::MAX))
}
