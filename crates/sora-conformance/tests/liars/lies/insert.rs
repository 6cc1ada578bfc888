//! New rows.

use std::sync::Arc;

use sora_core::write::{Change, Effect, OnConflict, Outcome, Target, Write};
use sora_core::{Error, ErrorKind, Predicate, RowBuffer, Value};

use super::{rebuilt, replace, table};
use crate::provider::{Lie, change_outcomes};

pub(crate) const LIES: &[Lie] = &[
    Lie {
        name: "a conflict without its constraint",
        line: "a conflict fails its row and names its constraint",
        write_report: |_, report| {
            change_outcomes(report, |outcome| match outcome {
                Outcome::Failed(error) if error.kind() == ErrorKind::Conflict => {
                    Some(Outcome::Failed(Error::new(ErrorKind::Conflict, "taken")))
                }
                _ => None,
            });
        },
        ..Lie::NONE
    },
    Lie {
        name: "an ignored conflict replaces the row",
        line: "an ignored conflict leaves the stored row as it is",
        write: |write| {
            if write.returning.is_some() {
                return;
            }
            if let Change::Insert { on_conflict, .. } = &mut write.change
                && *on_conflict == OnConflict::Ignore
            {
                *on_conflict = OnConflict::Update([0].into());
            }
        },
        write_report: |write, report| {
            if !matches!(&write.change, Change::Insert { on_conflict: OnConflict::Ignore, .. }) {
                return;
            }
            report.affected = 0;
            change_outcomes(report, |outcome| match outcome {
                Outcome::Applied(Effect::Inserted) => None,
                _ => Some(Outcome::Applied(Effect::Unchanged)),
            });
        },
        ..Lie::NONE
    },
    Lie {
        name: "an upsert replaces columns that are not given",
        line: "an upsert replaces the given columns of the row with the same key",
        write: |write| {
            if let Change::Insert { rows, columns, on_conflict: OnConflict::Update(_) } =
                &mut write.change
                && **columns == [0, 2]
            {
                *rows = rebuilt(rows, 3, |row| vec![row[0].clone(), Value::Null, row[1].clone()]);
                *columns = [0, 1, 2].into();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "an upsert removes the row and adds another",
        line: "an upsert goes by a unique index and keeps the key",
        before: |write| match &write.change {
            Change::Insert { rows, on_conflict: OnConflict::Update(by), .. } if **by == [1] => {
                let names: Vec<Value> = rows.iter().map(|row| row.get(1).to_value()).collect();
                let names = names.into_iter().filter(|name| !name.is_null()).collect();
                let same = Predicate::In { column: 1, values: names, null: false };
                let target = Target::filter([same].into());
                let change = Change::Delete { target, version: None };
                Some(Write::new(write.binding.clone(), change))
            }
            _ => None,
        },
        ..Lie::NONE
    },
    Lie {
        name: "an upsert that cannot be done is reported as done",
        line: "an upsert that meets another unique fails",
        write_report: |write, report| {
            if matches!(&write.change, Change::Insert { on_conflict: OnConflict::Update(_), .. }) {
                change_outcomes(report, |outcome| {
                    outcome.error().map(|_| Outcome::Applied(Effect::Updated))
                });
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "nulls are equal in a unique index",
        line: "nulls never conflict in a unique index",
        write: |write| {
            let is_meant = table(write) == "players";
            if let Change::Insert { rows, columns, .. } = &mut write.change
                && is_meant
                && **columns == [0, 1, 2]
            {
                *rows = rebuilt(rows, 3, |row| {
                    let mut row = row.to_vec();
                    if row[1].is_null() {
                        row[1] = Value::Text("(null)".into());
                    }
                    row
                });
            }
        },
        rows: |_, rows| replace(rows, &Value::Text("(null)".into()), &Value::Null),
        ..Lie::NONE
    },
    Lie {
        name: "of rows with one key the first one wins",
        line: "a row that comes twice in an upsert ends as the last",
        write: |write| {
            if let Change::Insert { rows, on_conflict: OnConflict::Update(_), .. } =
                &mut write.change
            {
                let mut buffer = RowBuffer::new(rows.width());
                for row in rows.iter() {
                    let first = rows.iter().find(|first| first.get(0) == row.get(0));
                    buffer.push(&first.unwrap_or(row)).expect("a row");
                }
                *rows = Arc::new(buffer);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "a default is lost",
        line: "the store assigns what an insert leaves out",
        rows: |_, rows| replace(rows, &Value::Text("it's \"quoted\"".into()), &Value::Null),
        ..Lie::NONE
    },
    Lie {
        name: "counts on from the largest number that is there",
        line: "an identity number is never given twice",
        write: |write| {
            let is_meant = table(write) == "counted";
            if let Change::Insert { rows, columns, .. } = &mut write.change
                && is_meant
            {
                // The table is empty each time.
                *rows = rebuilt(rows, 2, |row| vec![Value::I64(1), row[0].clone()]);
                *columns = [0, 1].into();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "a column without a value is not named",
        line: "a row without a required value fails and names the column",
        write_report: |_, report| {
            change_outcomes(report, |outcome| match outcome {
                Outcome::Failed(error) if error.kind() == ErrorKind::Constraint => {
                    Some(Outcome::Failed(Error::new(ErrorKind::Constraint, "not null")))
                }
                _ => None,
            });
        },
        ..Lie::NONE
    },
    Lie {
        name: "ignores more than conflicts",
        line: "a rule of the table refuses what its schema allows",
        write_report: |write, report| {
            if matches!(&write.change, Change::Insert { on_conflict: OnConflict::Ignore, .. }) {
                change_outcomes(report, |outcome| {
                    outcome.error().map(|_| Outcome::Applied(Effect::Unchanged))
                });
            }
        },
        ..Lie::NONE
    },
];
