//! Changes of stored rows.

use std::sync::Arc;

use sora_core::Value;
use sora_core::write::{Change, Effect, Outcome, Write};

use super::{ids, ids_of, rebuilt, table};
use crate::provider::{Lie, change_outcomes};

pub(crate) const LIES: &[Lie] = &[
    Lie {
        name: "an update replaces columns that are not given",
        line: "an update replaces the given columns and no others",
        write: |write| {
            let is_meant = table(write) == "players";
            if let Change::Update { rows, columns, .. } = &mut write.change
                && is_meant
                && **columns == [0, 2]
            {
                *rows = rebuilt(rows, 3, |row| vec![row[0].clone(), Value::Null, row[1].clone()]);
                *columns = [0, 1, 2].into();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "sets where it should add",
        line: "a patch sets and adds",
        write: |write| {
            if let Change::Patch { assignments, .. } = &mut write.change {
                let set = |mut assignment: sora_core::Assignment| {
                    assignment.add = false;
                    assignment
                };
                *assignments = assignments.iter().cloned().map(set).collect();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "an overflow is reported as done",
        line: "a sum that does not fit fails and changes nothing",
        write_report: |_, report| {
            change_outcomes(report, |outcome| match outcome {
                Outcome::Failed(error) if error.message().contains("sum") => {
                    Some(Outcome::Applied(Effect::Updated))
                }
                _ => None,
            });
        },
        ..Lie::NONE
    },
    Lie {
        name: "a patch by filter changes the rows that it can",
        line: "a patch by filter is one item for all its rows",
        write: |write| {
            if let Change::Patch { target, .. } = &mut write.change
                && target.keys.is_none()
                && target.filter.is_empty()
            {
                *target = ids(1..=5);
            }
        },
        write_report: |write, report| {
            if let Change::Patch { target, .. } = &write.change
                && target.keys.is_none()
                && target.filter.is_empty()
            {
                report.affected = 0;
                report.outcomes.sort_by_key(|outcome| outcome.error().is_none());
                report.outcomes.truncate(1);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "deletes the neighbour too",
        line: "a delete removes the listed rows and no others",
        write: |write| {
            if let Change::Delete { target, .. } = &mut write.change
                && ids_of(target) == [Value::I64(2)]
            {
                *target = ids([2, 3]);
            }
        },
        write_report: |write, report| {
            if let Change::Delete { target, .. } = &write.change
                && ids_of(target) == [Value::I64(2)]
            {
                report.outcomes.truncate(1);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "deletes without its filter",
        line: "a delete by filter removes the rows that meet it",
        write: |write| {
            if let Change::Delete { target, .. } = &mut write.change
                && target.keys.is_none()
            {
                target.filter = Arc::default();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "changes by keys without its filter",
        line: "a change by keys applies its filter too",
        write: |write| {
            if let Change::Patch { target, .. } | Change::Delete { target, .. } = &mut write.change
                && target.keys.is_some()
            {
                target.filter = Arc::default();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "does not check the version of a patch",
        line: "a stale version changes nothing",
        write: |write| {
            if let Change::Patch { version, .. } = &mut write.change {
                *version = None;
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "does not check the version of an update",
        line: "a stale version changes nothing",
        write: |write| {
            if let Change::Update { check_version, .. } = &mut write.change {
                *check_version = false;
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "does not count the version",
        line: "every change counts the version",
        rows: |read, rows| {
            if read.binding.schema().version() == Some(2) {
                for row in rows {
                    row[2] = Value::I64(1);
                }
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "loses one of the changes at the same time",
        line: "changes at the same time are each done once",
        rows: |read, rows| {
            if read.binding.schema().table() == "at once"
                && let Some(Value::I64(sum)) = rows.first_mut().and_then(|row| row.get_mut(1))
            {
                *sum -= 1;
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "checks the version before it waits for its turn",
        line: "of changes that race for one version one is done",
        write: |write| {
            let is_meant = table(write) == "raced for";
            if let Change::Update { check_version, .. } = &mut write.change
                && is_meant
            {
                *check_version = false;
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "stops in the middle of a write that is given up",
        line: "a call that is given up is done in whole or not at all",
        after: |write, report| {
            let Change::Insert { rows, .. } = &write.change else { return None };
            let is_meant = table(write) == "given up" && rows.len() == 3;
            let first = rows.row(0).map(|row| row.get(0).to_value());
            let (true, 3, Some(Value::I64(first))) = (is_meant, report.affected, first) else {
                return None;
            };
            let change = Change::Delete { target: ids([first + 2]), version: None };
            Some(Write::new(write.binding.clone(), change))
        },
        ..Lie::NONE
    },
];
