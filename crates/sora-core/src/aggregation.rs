//! What is computed over the rows of a read, instead of handing them out.

use std::fmt;
use std::sync::Arc;

/// Groups of rows, and what is computed over each.
///
/// The rows of such a read have the cells of the group's columns, then one for each measure, and
/// come in the order of the group's columns. Without columns to group by there is one row, also over
/// no rows at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Aggregation {
    /// The columns whose values make a group; nulls are one group.
    pub group: Arc<[u16]>,
    /// What is computed.
    pub measures: Arc<[Measure]>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AggregateFunction {
    /// The number of rows, or of values that are not null.
    Count,
    /// The sum; null over no value. A sum that does not fit its type is an error.
    Sum,
    /// The smallest value in the column's order; null over no value.
    Min,
    /// The largest value in the column's order; null over no value.
    Max,
    /// The mean as a float; null over no value.
    Average,
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
