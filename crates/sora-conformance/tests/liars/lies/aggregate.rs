//! What is computed over rows. Each lie is about reads of aggregations alone.

use std::sync::Arc;

use sora_core::read::{Output, Read};
use sora_core::{AggregateFunction, Aggregation, Value};

use crate::provider::{Cells, Lie};

const MEASURES: &str = "an exact aggregation gives what its measures say";
const GROUPS: &str = "exact groups are by value and come in order, null first";
const TOTALS: &str = "a total that does not fit is an error";

pub(crate) const LIES: &[Lie] = &[
    Lie {
        name: "counts nulls",
        line: MEASURES,
        read: |read| {
            change(read, |aggregation| {
                for measure in Arc::make_mut(&mut aggregation.measures) {
                    if measure.function == AggregateFunction::Count {
                        measure.column = None;
                    }
                }
            });
        },
        ..Lie::NONE
    },
    Lie {
        name: "sums nothing to zero",
        line: MEASURES,
        rows: |read, rows| {
            measured(read, rows, |function, cell| {
                if function == AggregateFunction::Sum && cell.is_null() {
                    *cell = Value::I64(0);
                }
            });
        },
        ..Lie::NONE
    },
    Lie {
        name: "rounds means to 15 digits",
        line: MEASURES,
        rows: |read, rows| {
            measured(read, rows, |function, cell| {
                if let (AggregateFunction::Average, Value::F64(mean)) = (function, cell) {
                    *mean = format!("{mean:.14e}").parse().expect("a float");
                }
            });
        },
        ..Lie::NONE
    },
    Lie {
        name: "gives no row over no row",
        line: MEASURES,
        rows: |read, rows| {
            let is_empty = |row: &Cells| row.first() == Some(&Value::I64(0));
            if aggregation(read).is_some_and(|aggregation| aggregation.group.is_empty()) {
                rows.retain(|row| !is_empty(row));
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "aggregates without the filter",
        line: MEASURES,
        read: |read| {
            if aggregation(read).is_some() {
                read.filter = Arc::default();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "claims to aggregate and refuses",
        line: MEASURES,
        refuses_read: |read| aggregation(read).is_some(),
        ..Lie::NONE
    },
    Lie {
        name: "does not claim to aggregate and does",
        line: MEASURES,
        capability: |capability| capability.aggregates = false,
        ..Lie::NONE
    },
    Lie {
        name: "puts nulls last",
        line: GROUPS,
        rows: |read, rows| {
            if is_grouped(read, 1) && rows.first().is_some_and(|row| row[0].is_null()) {
                rows.rotate_left(1);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "groups by letters of either case",
        line: GROUPS,
        rows: |read, rows| {
            if is_grouped(read, 2) {
                let upper = Value::Text("B".into());
                rows.retain(|row| !row.contains(&upper));
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "ignores the limit of groups",
        line: GROUPS,
        read: |read| {
            if aggregation(read).is_some() {
                read.limit = None;
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "gives no total where it does not fit",
        line: TOTALS,
        read: |read| {
            if is_of(read, "totals") && !read.binding.schema().table().contains("within") {
                change(read, |aggregation| {
                    for measure in Arc::make_mut(&mut aggregation.measures) {
                        measure.function = AggregateFunction::Max;
                    }
                });
            }
        },
        ..Lie::NONE
    },
];

fn aggregation(read: &Read) -> Option<&Arc<Aggregation>> {
    match &read.output {
        Output::Aggregate(aggregation) => Some(aggregation),
        _ => None,
    }
}

/// Whether it groups by so many columns in the tables of the groups' line.
fn is_grouped(read: &Read, columns: usize) -> bool {
    is_of(read, "groups")
        && aggregation(read).is_some_and(|aggregation| aggregation.group.len() == columns)
}

fn is_of(read: &Read, table: &str) -> bool {
    read.binding.schema().table().starts_with(table)
}

fn change(read: &mut Read, change: impl Fn(&mut Aggregation)) {
    if let Output::Aggregate(aggregation) = &mut read.output {
        change(Arc::make_mut(aggregation));
    }
}

/// Changes the cells of measures.
fn measured(read: &Read, rows: &mut [Cells], change: impl Fn(AggregateFunction, &mut Value)) {
    let Some(aggregation) = aggregation(read) else { return };
    for row in rows {
        let cells = row.iter_mut().skip(aggregation.group.len());
        for (cell, measure) in cells.zip(&*aggregation.measures) {
            change(measure.function, cell);
        }
    }
}
