//! What is computed over the rows of a read.

use sora_core::{Aggregation, Measure};

use crate::walk::Walk;
use crate::{Dialect, Out};

impl<D: Dialect, O: Out> Walk<'_, D, O> {
    /// Writes what is selected: the columns of the group, then the measures. It holds no value.
    pub(crate) fn aggregates(&mut self, aggregation: &Aggregation) {
        self.group_operands(aggregation);
        for (index, measure) in (aggregation.group.len()..).zip(&*aggregation.measures) {
            self.comma(index);
            match measure {
                Measure { function: sora_core::AggregateFunction::Count, column } => {
                    self.text("count(");
                    match column {
                        Some(column) => self.column(*column),
                        None => self.text("*"),
                    }
                    self.text(")");
                }
                measure => D::measure(self, *measure),
            }
        }
    }

    /// Writes how rows are grouped, and the order of the groups.
    pub(crate) fn groups(&mut self, aggregation: &Aggregation) {
        if aggregation.group.is_empty() {
            return;
        }
        self.text(" GROUP BY ");
        self.group_operands(aggregation);
        let sort: Vec<_> = aggregation.sort().collect();
        self.order(&sort);
    }

    /// Writes the columns of the group, everywhere in the same words: a store knows by these that
    /// what is selected is what is grouped by.
    fn group_operands(&mut self, aggregation: &Aggregation) {
        for (index, column) in aggregation.group.iter().enumerate() {
            self.comma(index);
            self.ordered_operand(*column);
        }
    }
}
