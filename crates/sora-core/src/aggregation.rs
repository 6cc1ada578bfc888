//! What is computed over the rows of a read, instead of handing them out.

mod accumulator;
mod groups;
mod summable;

use std::fmt;
use std::sync::Arc;

use crate::{Column, Decimal, Error, ErrorKind, Name, Result, Schema, Sort, Type};

pub use accumulator::Accumulator;
pub(crate) use groups::GroupKey;
pub use groups::Groups;
pub use summable::Summable;

/// Groups of rows, and what is computed over each.
///
/// The rows of such a read have the cells of the group's columns, then one for each measure, and
/// come in the order of the group's columns: by value, text by bytes, null first. Values are one
/// group if they are equal by value, whatever the column's own collation; nulls are one group, and
/// so are NaN. Without columns to group by there is one row, also over no rows at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Aggregation {
    /// The columns whose values make a group.
    pub group: Arc<[u16]>,
    /// What is computed.
    pub measures: Arc<[Measure]>,
    /// How many groups there may be; more are an error. [`Self::GROUPS_MAX`] unless set.
    pub groups_max: u64,
}

/// One number over the rows of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Measure {
    /// How it is computed.
    pub function: AggregateFunction,
    /// Of which column, whose nulls are left out; none for the number of rows.
    pub column: Option<u16>,
}

/// How a [`Measure`] is computed.
///
/// Totals of integers and decimals are exact in whatever order the rows come. Those of floats are
/// rounded as they are added, so that stores differ in the last digits, and where an intermediate
/// total goes beyond the largest float. A total that does not fit its type, or is NaN, is an error
/// of kind [`ErrorKind::Constraint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AggregateFunction {
    /// The number of rows, or of values that are not null.
    Count,
    /// The sum; null over no value. Of integers an i64, of floats a float, of decimals a decimal of
    /// the column's scale and at most 28 digits.
    Sum,
    /// The smallest value in the column's order; null over no value.
    Min,
    /// The largest value in the column's order; null over no value.
    Max,
    /// The mean as a float; null over no value. Of integers and decimals it is the float nearest to
    /// the exact mean.
    Average,
}

impl Aggregation {
    /// The most columns to group by.
    pub const GROUP_MAX: usize = 16;
    /// The most measures.
    pub const MEASURES_MAX: usize = 64;
    /// How many groups there may be unless it is said.
    pub const GROUPS_MAX: u64 = 10_000;

    /// Returns what is computed over groups of at most [`Self::GROUPS_MAX`].
    pub fn new(group: impl Into<Arc<[u16]>>, measures: impl Into<Arc<[Measure]>>) -> Self {
        Self { group: group.into(), measures: measures.into(), groups_max: Self::GROUPS_MAX }
    }

    /// Returns the columns of its rows, named as `state`, `count()`, `sum(population)`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if a column cannot be grouped by or computed so.
    pub fn columns(&self, schema: &Schema) -> Result<Vec<Column>> {
        let invalid = |message: String| Error::new(ErrorKind::InvalidInput, message);
        let (group, measures) = (self.group.len(), self.measures.len());
        if group + measures == 0 {
            return Err(invalid("an aggregation computes something, or groups by a column".into()));
        }
        if group > Self::GROUP_MAX || measures > Self::MEASURES_MAX {
            return Err(invalid(format!(
                "an aggregation has at most {} columns to group by and {} measures",
                Self::GROUP_MAX,
                Self::MEASURES_MAX
            )));
        }
        let mut columns = Vec::with_capacity(group + measures);
        for (at, column) in self.group.iter().enumerate() {
            let found = column_at(schema, *column)?;
            if !found.column_type.is_sortable() {
                return Err(invalid(format!(
                    "the column {:?} is {}, which is not grouped by",
                    found.name, found.column_type
                )));
            }
            if self.group[..at].contains(column) {
                return Err(invalid(format!("the column {:?} is grouped by twice", found.name)));
            }
            columns.push(Column {
                nullable: found.nullable,
                range: found.range,
                ..Column::new(found.name.clone(), found.column_type)
            });
        }
        for measure in &*self.measures {
            let name = measure.display(schema).to_string();
            let column = Column::new(name, measure.result_type(schema)?);
            columns.push(match measure.function {
                AggregateFunction::Count => column,
                _ => column.nullable(),
            });
        }
        Ok(columns)
    }

    /// The columns that it reads, repeated or not.
    pub fn reads(&self) -> impl Iterator<Item = u16> {
        self.group.iter().copied().chain(self.measures.iter().filter_map(|measure| measure.column))
    }

    /// The number of cells of its rows.
    pub fn width(&self) -> usize {
        self.group.len() + self.measures.len()
    }

    /// The order of its rows.
    pub fn sort(&self) -> impl Iterator<Item = Sort> {
        self.group.iter().map(|column| Sort { column: *column, descending: false })
    }

    /// Returns the error of more groups than there may be.
    pub fn exceeded(&self, schema: &Schema) -> Error {
        let message = format!(
            "{} makes more than {} groups; narrow the filter, or raise groups_max",
            self.display(schema),
            self.groups_max
        );
        Error::new(ErrorKind::Limit, message).with("table", schema.table())
    }

    /// Displays it as `count(), sum(population) by state`.
    pub fn display<'a>(&'a self, schema: &'a Schema) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            for (at, measure) in self.measures.iter().enumerate() {
                write!(f, "{}{}", if at > 0 { ", " } else { "" }, measure.display(schema))?;
            }
            for (at, column) in self.group.iter().enumerate() {
                let word = match at {
                    0 if self.measures.is_empty() => "groups by ",
                    0 => " by ",
                    _ => ", ",
                };
                write!(f, "{word}{}", ColumnName(schema, *column))?;
            }
            Ok(())
        })
    }
}

impl Measure {
    /// The number of rows.
    pub const ROWS: Self = Self { function: AggregateFunction::Count, column: None };

    /// Returns a measure of a column.
    pub fn new(function: AggregateFunction, column: u16) -> Self {
        Self { function, column: Some(column) }
    }

    /// Returns the type of what it gives.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the function is not of columns of the type.
    pub fn result_type(self, schema: &Schema) -> Result<Type> {
        use AggregateFunction::{Average, Count, Max, Min, Sum};
        let Some(column) = self.column else {
            return match self.function {
                Count => Ok(Type::I64),
                other => {
                    let message = format!("{other} is of a column; only rows are counted");
                    Err(Error::new(ErrorKind::InvalidInput, message))
                }
            };
        };
        let column = column_at(schema, column)?;
        Ok(match (self.function, column.column_type) {
            (Count, _) | (Sum, Type::I64) => Type::I64,
            (Sum | Average, Type::F64) | (Average, Type::I64 | Type::Decimal { .. }) => Type::F64,
            (Sum, Type::Decimal { scale, .. }) => {
                Type::Decimal { precision: Decimal::PRECISION_MAX, scale }
            }
            (Min | Max, column_type) if column_type.is_comparable() => column_type,
            (function, column_type) => {
                let remedy = match function {
                    Sum | Average => "numbers have one",
                    _ => "it has no order",
                };
                let message = format!(
                    "there is no {function} of the column {:?}, which is {column_type}: {remedy}",
                    column.name
                );
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        })
    }

    /// Displays it as `sum(population)`.
    pub fn display(self, schema: &Schema) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| {
            write!(f, "{}(", self.function)?;
            if let Some(column) = self.column {
                write!(f, "{}", ColumnName(schema, column))?;
            }
            f.write_str(")")
        })
    }
}

impl AggregateFunction {
    /// The name, as SQL has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Average => "avg",
        }
    }
}

impl fmt::Display for AggregateFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Displays the name of a column, also of one that is not there.
struct ColumnName<'a>(&'a Schema, u16);

impl fmt::Display for ColumnName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.columns().get(usize::from(self.1)) {
            Some(column) => Name(&column.name).fmt(f),
            None => write!(f, "#{}", self.1),
        }
    }
}

fn column_at(schema: &Schema, column: u16) -> Result<&Column> {
    schema.columns().get(usize::from(column)).ok_or_else(|| {
        let message = format!("the table has no column {column} to aggregate");
        Error::new(ErrorKind::InvalidInput, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        Schema::builder("t")
            .column(Column::new("state", Type::Text))
            .column(Column::new("size", Type::I64).nullable())
            .column(Column::new("price", Type::Decimal { precision: 6, scale: 2 }))
            .column(Column::new("data", Type::Json))
            .column(Column::new("odd", Type::Unknown))
            .build()
            .expect("a schema")
    }

    fn check(group: &[u16], measures: &[Measure], expected: &str) {
        let schema = schema();
        let columns = Aggregation::new(group, measures).columns(&schema);
        let shown = match columns {
            Ok(columns) => columns
                .iter()
                .map(|column| {
                    let null = if column.nullable { "?" } else { "" };
                    format!("{} {}{null}", column.name, column.column_type)
                })
                .collect::<Vec<_>>()
                .join("; "),
            Err(error) => format!("{:?}: {error}", error.kind()),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn columns_have_the_types_of_their_functions() {
        use AggregateFunction::{Average, Count, Max, Min, Sum};
        let of = Measure::new;
        check(&[], &[Measure::ROWS, of(Count, 3)], "count() i64; count(data) i64");
        check(
            &[0, 1],
            &[of(Sum, 1), of(Sum, 2), of(Average, 2), of(Min, 0), of(Max, 2)],
            "state text; size i64?; sum(size) i64?; sum(price) decimal(28,2)?; avg(price) f64?; \
             min(state) text?; max(price) decimal(6,2)?",
        );
        check(&[], &[], "InvalidInput: an aggregation computes something, or groups by a column");
        check(
            &[],
            &[of(Sum, 0)],
            "InvalidInput: there is no sum of the column \"state\", which is text: numbers have one",
        );
        check(
            &[],
            &[of(Min, 3)],
            "InvalidInput: there is no min of the column \"data\", which is json: it has no order",
        );
        check(&[4], &[], "InvalidInput: the column \"odd\" is unknown, which is not grouped by");
        check(&[1, 1], &[], "InvalidInput: the column \"size\" is grouped by twice");
        check(&[9], &[], "InvalidInput: the table has no column 9 to aggregate");
        let rows = Measure { function: Sum, column: None };
        check(&[], &[rows], "InvalidInput: sum is of a column; only rows are counted");
    }

    #[test]
    fn it_displays_as_it_is_read() {
        let schema = schema();
        let measures = [Measure::ROWS, Measure::new(AggregateFunction::Sum, 1)];
        let show = |group: &[u16], measures: &[Measure]| {
            Aggregation::new(group, measures).display(&schema).to_string()
        };
        assert_eq!(show(&[0, 1], &measures), "count(), sum(size) by state, size");
        assert_eq!(show(&[], &measures), "count(), sum(size)");
        assert_eq!(show(&[0], &[]), "groups by state");
    }
}
