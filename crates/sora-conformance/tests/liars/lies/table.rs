//! What only shows through a table. Each lie goes for the tables of one line.

use sora_core::Value;
use sora_core::read::{Access, Read};
use sora_core::write::{Change, Effect, Outcome, Write};

use crate::provider::{Lie, change_outcomes};

pub(crate) const LIES: &[Lie] = &[
    Lie {
        name: "loses a row of a long answer",
        line: "a query gives the same rows whoever does its parts",
        rows: |read, rows| {
            if is_of(read, "case ") && read.limit.is_none() {
                rows.pop();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "takes a page before what is done in memory",
        line: "a page is taken behind what is done in memory",
        rows: |read, rows| {
            if is_of(read, "pages") && read.filter.is_empty() {
                rows.truncate(20);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "hands out more rows than there are",
        line: "what is done in memory is bounded, or refused before it runs",
        rows: |read, rows| {
            if is_of(read, "bounded") && read.filter.is_empty() && read.sort.is_empty() {
                let more = rows.clone();
                rows.extend(more);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "loses a group of a table that has five",
        line: "an aggregation gives the same groups whoever computes it",
        rows: |read, rows| {
            if is_of(read, "aggregated") && rows.len() == 5 {
                rows.pop();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "hands out fewer rows than there are to aggregate",
        line: "what is aggregated in memory is bounded, or refused before it runs",
        rows: |read, rows| {
            if is_of(read, "aggregates") {
                rows.truncate(30);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "gives a row that was not listed",
        line: "a look-up of many keys has one slot for each",
        read: |read| {
            if is_of(read, "slots") {
                read.access = Access::Scan;
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "loses the last child of many",
        line: "a load of children has one list for each parent, or is bounded",
        rows: |read, rows| {
            if is_of(read, "children") && rows.len() > 5 {
                rows.pop();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "reports too many rows",
        line: "a result says what happened",
        read_report: |read, report| report.received += u64::from(is_of(read, "outcomes")),
        ..Lie::NONE
    },
    Lie {
        name: "gives a short page where a cursor starts",
        line: "a cursor belongs to its query",
        rows: |read, rows| {
            if is_of(read, "cursors") && read.after.is_some() {
                rows.truncate(1);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "repeats the last row of a page as the first of the next",
        line: "a stream gives every row once, in order",
        rows: |read, rows| {
            if is_of(read, "streams") && read.after.is_some() {
                let first = rows.first().cloned();
                rows.splice(0..0, first);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "gives pages that are shorter than they should be",
        line: "a stream reads at most one page ahead",
        rows: |read, rows| {
            if is_of(read, "pulled") {
                rows.truncate(3);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "goes on only while it is polled, and lets nobody else read until then",
        line: "a stream that is left alone keeps nobody waiting",
        capability: |capability| capability.reads_ahead = true,
        holds: |read| is_of(read, "waited"),
        ..Lie::NONE
    },
    Lie {
        name: "a conflict is reported as written",
        line: "a write of many rows has one outcome for each",
        write_report: |write, report| {
            if is_written_to(write, "many") {
                change_outcomes(report, |outcome| {
                    outcome.error().map(|_| Outcome::Applied(Effect::Inserted))
                });
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "an atomic write is done row by row",
        line: "an atomic write of many rows is whole or nothing, or is refused",
        write: |write| {
            if is_written_to(write, "atomic") {
                write.atomic = false;
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "changes rows by key that no longer meet the filter",
        line: "a write by filter writes the rows that meet it, or is refused",
        write: |write| {
            let is_meant = is_written_to(write, "where");
            if let Change::Patch { assignments, .. } = &mut write.change
                && is_meant
            {
                let twice = |mut assignment: sora_core::Assignment| {
                    if let Value::I64(value) = &mut assignment.value {
                        *value *= 2;
                    }
                    assignment
                };
                *assignments = assignments.iter().cloned().map(twice).collect();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "a conflict inside a batch is reported as written",
        line: "a batch is whole or nothing",
        write_report: |write, report| {
            if is_written_to(write, "batches") {
                change_outcomes(report, |outcome| {
                    outcome.error().map(|_| Outcome::Applied(Effect::Updated))
                });
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "a conflict in a stream is reported as written",
        line: "a stream of rows has one outcome for each, and the last of a key wins",
        write_report: |write, report| {
            if is_written_to(write, "poured") {
                change_outcomes(report, |outcome| {
                    outcome.error().map(|_| Outcome::Applied(Effect::Inserted))
                });
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "a conflict in an atomic stream is reported as written",
        line: "an atomic stream of rows is whole or nothing, or is refused",
        write_report: |write, report| {
            if is_written_to(write, "undone") {
                change_outcomes(report, |outcome| {
                    outcome.error().map(|_| Outcome::Applied(Effect::Inserted))
                });
            }
        },
        ..Lie::NONE
    },
];

fn is_of(read: &Read, table: &str) -> bool {
    read.binding.schema().table().starts_with(table)
}

fn is_written_to(write: &Write, table: &str) -> bool {
    write.binding.schema().table().starts_with(table)
}
