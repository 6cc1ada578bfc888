//! Reports of writes.

use std::sync::Arc;

use sora_core::Cell;
use sora_core::write::{Change, Effect, Outcome, Write};

use super::ids;
use crate::provider::{Lie, change_outcomes};

pub(crate) const LIES: &[Lie] = &[
    Lie {
        name: "loses an outcome",
        line: "a write reports one outcome for each row",
        write_report: |_, report| {
            if report.outcomes.len() > 2 {
                report.outcomes.pop();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "reports an outcome too many",
        line: "a write reports one outcome for each row",
        write_report: |_, report| {
            if report.outcomes.len() > 2 {
                report.outcomes.push(Outcome::Applied(Effect::Inserted));
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "reports an outcome for each row of a change by filter",
        line: "a write reports one outcome for each row",
        write_report: |write, report| {
            if let Change::Delete { target, .. } = &write.change
                && target.keys.is_none()
            {
                for _ in 1..report.affected {
                    report.outcomes.push(Outcome::Applied(Effect::Deleted));
                }
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "exchanges two outcomes",
        line: "outcomes stand in the order of their rows",
        write_report: |_, report| {
            if report.outcomes.len() > 2 {
                report.outcomes.swap(1, 2);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "counts a row for each outcome",
        line: "a write counts the rows that it wrote",
        write_report: |_, report| report.affected = report.outcomes.len() as u64,
        ..Lie::NONE
    },
    Lie {
        name: "a missing row is reported as changed",
        line: "a missing row is reported as missing",
        write_report: |_, report| {
            change_outcomes(report, |outcome| match outcome {
                Outcome::Applied(Effect::Missing) => Some(Outcome::Applied(Effect::Updated)),
                _ => None,
            });
        },
        ..Lie::NONE
    },
    Lie {
        name: "loses the rows behind one that fails",
        line: "a row that fails leaves the others of its write alone",
        after: |write, report| {
            let Change::Insert { rows, .. } = &write.change else { return None };
            let failed = report.outcomes.iter().position(|outcome| outcome.error().is_some())?;
            let behind = rows.iter().zip(&report.outcomes).skip(failed);
            let lost = behind.filter(|(_, outcome)| outcome.is_written());
            let target = ids(lost.filter_map(|(row, _)| match row.get(0) {
                Cell::I64(id) => Some(id),
                _ => None,
            }));
            let change = Change::Delete { target, version: None };
            Some(Write::new(write.binding.clone(), change))
        },
        ..Lie::NONE
    },
    Lie {
        name: "an atomic write is half done",
        line: "an atomic write is whole or nothing, or is refused",
        write: |write| write.atomic = false,
        write_report: |write, report| {
            let failed = report.outcomes.iter().position(|outcome| outcome.error().is_some());
            if write.atomic
                && let (Some(failed), Some(error)) = (failed, report.first_error().cloned())
            {
                report.undo(write.change.len(), failed, error);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "an atomic write that is undone reports rows as written",
        line: "an atomic write is whole or nothing, or is refused",
        write_report: |write, report| {
            if write.atomic && report.first_error().is_some() {
                report.outcomes[0] = Outcome::Applied(Effect::Inserted);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "does not claim atomic writes and takes them",
        line: "an atomic write is whole or nothing, or is refused",
        capability: |capability| capability.atomic_writes = false,
        ..Lie::NONE
    },
    Lie {
        name: "returns rows in another order",
        line: "returned rows are as stored and in input order, or are refused",
        returned: |rows| rows.reverse(),
        ..Lie::NONE
    },
    Lie {
        name: "claims to return rows and returns none",
        line: "returned rows are as stored and in input order, or are refused",
        write: |write| write.returning = None,
        ..Lie::NONE
    },
    Lie {
        name: "claims more rows than it takes",
        line: "a write takes as many rows as declared",
        write: |write| {
            if let Change::Insert { rows, .. } = &mut write.change
                && rows.len() > 400
            {
                Arc::make_mut(rows).truncate(400);
            }
        },
        ..Lie::NONE
    },
];
