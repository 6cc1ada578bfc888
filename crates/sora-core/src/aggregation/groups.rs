//! Aggregation above a store, or in one that keeps its rows in memory.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::{Accumulator, Aggregation, Measure};
use crate::{Error, ErrorKind, Result, Row, RowSink, Schema, Value};

/// A sink that puts rows into groups and computes the measures of each.
#[derive(Debug)]
pub struct Groups<'a> {
    schema: &'a Schema,
    aggregation: &'a Aggregation,
    /// Where the columns to group by stand in a row.
    group: Vec<usize>,
    /// Where the columns of the measures stand.
    measures: Vec<Option<usize>>,
    found: BTreeMap<GroupKey, Vec<Accumulator>>,
    key: GroupKey,
}

/// The values that make a group, ordered as rows are sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupKey(pub(crate) Vec<Value>);

impl<'a> Groups<'a> {
    /// Returns a sink for rows of these columns.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] if a column that it reads is not among them.
    pub fn new(schema: &'a Schema, columns: &[u16], aggregation: &'a Aggregation) -> Result<Self> {
        let position = |column: u16| {
            columns.iter().position(|other| *other == column).ok_or_else(|| {
                let message = format!("the column {column} is aggregated, but not read");
                Error::new(ErrorKind::Internal, message)
            })
        };
        let group = aggregation.group.iter().map(|column| position(*column));
        let measures = aggregation.measures.iter().map(|measure| measure.column.map(position));
        Ok(Self {
            schema,
            aggregation,
            group: group.collect::<Result<_>>()?,
            measures: measures.map(Option::transpose).collect::<Result<_>>()?,
            found: BTreeMap::new(),
            key: GroupKey::default(),
        })
    }

    /// Hands out a row for each group, at most so many, in their order, and returns how many were
    /// handed out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Constraint`], naming the measure, if a sum does not fit its type.
    pub fn finish(mut self, limit: Option<u64>, sink: &mut dyn RowSink) -> Result<u64> {
        if self.group.is_empty() && self.found.is_empty() {
            self.found.insert(GroupKey::default(), accumulators(self.aggregation));
        }
        let mut handed_out = 0;
        for (GroupKey(mut row), accumulators) in self.found {
            if limit == Some(handed_out) {
                break;
            }
            for (accumulator, measure) in accumulators.into_iter().zip(&*self.aggregation.measures)
            {
                let result = accumulator.finish();
                row.push(result.map_err(|error| named(error, self.schema, *measure))?);
            }
            handed_out += 1;
            if sink.row(&row)?.is_break() {
                break;
            }
        }
        Ok(handed_out)
    }
}

impl RowSink for Groups<'_> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.key.0.clear();
        for position in &self.group {
            self.key.0.push(row.cell(*position)?.to_value());
        }
        let groups = self.found.len() as u64;
        let accumulators = match self.found.get_mut(&self.key) {
            Some(accumulators) => accumulators,
            None if !self.group.is_empty() && groups >= self.aggregation.groups_max => {
                return Err(self.aggregation.exceeded(self.schema));
            }
            None => {
                self.found.entry(self.key.clone()).or_insert_with(|| accumulators(self.aggregation))
            }
        };
        for (at, (accumulator, position)) in accumulators.iter_mut().zip(&self.measures).enumerate()
        {
            match position {
                None => accumulator.add_row(),
                Some(position) => accumulator
                    .add(row.cell(*position)?)
                    .map_err(|error| named(error, self.schema, self.aggregation.measures[at]))?,
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {
        self.found.clear();
    }
}

fn accumulators(aggregation: &Aggregation) -> Vec<Accumulator> {
    aggregation.measures.iter().map(|measure| Accumulator::new(measure.function)).collect()
}

fn named(error: Error, schema: &Schema, measure: Measure) -> Error {
    error.with("table", schema.table()).with("measure", measure.display(schema))
}

impl Ord for GroupKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let cells = self.0.iter().zip(&other.0);
        cells
            .map(|(left, right)| left.cell().sort_order(right.cell()))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for GroupKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for GroupKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for GroupKey {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AggregateFunction, Column, RowBuffer, Type};

    fn schema() -> Schema {
        Schema::builder("t")
            .column(Column::new("f", Type::F64).nullable())
            .column(Column::new("x", Type::I64).nullable())
            .build()
            .expect("a schema")
    }

    fn rows(aggregation: &Aggregation, rows: &[(Value, Value)]) -> Result<Vec<Vec<Value>>> {
        let schema = schema();
        // The columns stand in another order than in the schema.
        let mut groups = Groups::new(&schema, &[1, 0], aggregation)?;
        for (f, x) in rows {
            assert!(groups.row(&vec![x.clone(), f.clone()])?.is_continue());
        }
        let mut found = RowBuffer::new(aggregation.width());
        groups.finish(None, &mut found)?;
        let row = |row: crate::BufferedRow<'_>| {
            (0..row.width()).map(|at| row.get(at).to_value()).collect()
        };
        Ok(found.iter().map(row).collect())
    }

    #[test]
    fn null_and_nan_are_one_group_each_and_null_is_first() {
        let sum = Measure::new(AggregateFunction::Sum, 1);
        let aggregation = Aggregation::new([0], [Measure::ROWS, sum]);
        let data = [
            (Value::F64(f64::NAN), Value::I64(1)),
            (Value::Null, Value::I64(2)),
            (Value::F64(0.0), Value::I64(4)),
            (Value::F64(f64::NAN), Value::I64(8)),
            (Value::Null, Value::Null),
            (Value::F64(-0.0), Value::I64(16)),
        ];
        let found = rows(&aggregation, &data).expect("groups");
        assert_eq!(format!("{found:?}"), "[[NULL, 2, 2], [0.0, 2, 20], [NaN, 2, 9]]");
        assert!(rows(&aggregation, &[]).expect("no groups").is_empty());
    }

    #[test]
    fn without_groups_there_is_one_row_also_of_nothing() {
        let max = Measure::new(AggregateFunction::Max, 1);
        let aggregation = Aggregation::new([], [Measure::ROWS, max]);
        let found = rows(&aggregation, &[]).expect("a row");
        assert_eq!(found, [[Value::I64(0), Value::Null]]);
    }

    #[test]
    fn groups_are_bounded_and_failures_name_their_measure() {
        let sum = Measure::new(AggregateFunction::Sum, 1);
        let aggregation = Aggregation { groups_max: 2, ..Aggregation::new([0], [sum]) };
        let group = |f: f64| (Value::F64(f), Value::I64(i64::MAX));
        assert_eq!(rows(&aggregation, &[group(1.0), group(2.0)]).expect("groups").len(), 2);
        let error = rows(&aggregation, &[group(1.0), group(2.0), group(3.0)]).expect_err("three");
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(error.to_string().contains("sum(x) by f makes more than 2 groups"), "{error}");
        let error = rows(&aggregation, &[group(1.0), group(1.0)]).expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::Constraint);
        assert!(error.to_string().contains("measure: sum(x)"), "{error}");
    }
}
