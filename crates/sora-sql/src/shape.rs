//! What decides the text of a statement, without its values: the key of prepared statements.
//!
//! A shape is exact: two statements with the same shape have the same text. It is much cheaper to
//! write than the text, above all for a read by one key.

use sora_core::read::{Access, Output, Read};
use sora_core::write::{Change, OnConflict, Target, Write};
use sora_core::{Predicate, Truth, Value};

use crate::access::{KeyForm, key_form};
use crate::like::like_form;
use crate::position::Portion;
use crate::select::{is_locked, limit_literal};
use crate::{Detail, Dialect, Postgres};

/// Writes the shape of one portion of a read.
pub fn read_shape<D: Dialect>(read: &Read, portion: Portion, shape: &mut Vec<u8>) {
    shape.extend(read.binding.id().to_le_bytes());
    let keys = match &read.access {
        Access::Keys(keys) => key_form_code(key_form::<D>(keys)),
        _ => u8::MAX,
    };
    let flags = u8::from(read.limit.is_some())
        | u8::from(read.offset > 0) << 1
        | u8::from(read.output == Output::Count) << 2
        | u8::from(read.after.is_some()) << 3
        | u8::from(matches!(read.output, Output::Aggregate(_))) << 4
        | u8::from(read.limit_each.is_some()) << 5
        | u8::from(is_locked::<D>(read)) << 6;
    shape.extend([0, keys, flags, portion as u8]);
    if D::LIMIT_LITERAL_MAX > 0 {
        let literal = limit_literal::<D>(read, portion).unwrap_or(u64::MAX);
        shape.extend(literal.to_le_bytes());
    }
    columns(&read.columns, shape);
    predicates::<D>(&read.filter, shape);
    length(read.sort.len(), shape);
    let after = read.after.as_deref().unwrap_or_default();
    for (index, sort) in read.sort.iter().enumerate() {
        let null = after.get(index).is_some_and(Value::is_null);
        column(sort.column, shape);
        shape.push(u8::from(sort.descending) | u8::from(null) << 1);
    }
    if let Some(each) = read.limit_each {
        column(each.column, shape);
    }
    if let Output::Aggregate(aggregation) = &read.output {
        columns(&aggregation.group, shape);
        for measure in &*aggregation.measures {
            shape.push(measure.function as u8);
            // No table has so many columns.
            column(measure.column.unwrap_or(u16::MAX), shape);
        }
    }
}

/// Writes the shape of a write; `question` tells the look for a row from the change of it.
pub fn write_shape<D: Dialect>(write: &Write, question: bool, shape: &mut Vec<u8>) {
    shape.extend(write.binding.id().to_le_bytes());
    shape.push(1 + u8::from(question));
    change::<D>(write, shape);
}

/// Writes the shape of a statement of many rows of a write; of the look for them without a detail.
pub fn bulk_shape(write: &Write, detail: Option<Detail>, shape: &mut Vec<u8>) {
    shape.extend(write.binding.id().to_le_bytes());
    shape.push(match detail {
        None => 3,
        Some(Detail::Count) => 4,
        Some(Detail::Each) => 5,
    });
    change::<Postgres>(write, shape);
}

fn change<D: Dialect>(write: &Write, shape: &mut Vec<u8>) {
    match &write.returning {
        Some(returning) => columns(returning, shape),
        None => shape.extend([u8::MAX; 2]),
    }
    match &write.change {
        Change::Insert { columns: given, on_conflict, .. } => {
            shape.push(0);
            columns(given, shape);
            match on_conflict {
                OnConflict::Ignore => shape.push(1),
                OnConflict::Update(target) => {
                    shape.push(2);
                    columns(target, shape);
                }
                _ => shape.push(0),
            }
        }
        Change::Update { columns: given, check_version, .. } => {
            shape.extend([1, u8::from(*check_version)]);
            columns(given, shape);
        }
        Change::Patch { target: rows, assignments, version } => {
            shape.extend([2, u8::from(version.is_some())]);
            length(assignments.len(), shape);
            for assignment in assignments.iter() {
                column(assignment.column, shape);
                shape.push(u8::from(assignment.add));
            }
            target::<D>(rows, shape);
        }
        Change::Delete { target: rows, version } => {
            shape.extend([3, u8::from(version.is_some())]);
            target::<D>(rows, shape);
        }
        _ => shape.push(u8::MAX),
    }
}

fn target<D: Dialect>(target: &Target, shape: &mut Vec<u8>) {
    shape.push(u8::from(target.keys.is_some()));
    predicates::<D>(&target.filter, shape);
}

fn key_form_code(form: KeyForm) -> u8 {
    match form {
        KeyForm::Nothing => 0,
        // At most `VALUES_MAX` of the dialect.
        KeyForm::Values(len) => u8::try_from(len).unwrap_or(u8::MAX),
        KeyForm::List => 100,
        KeyForm::Source => 101,
    }
}

fn column(column: u16, shape: &mut Vec<u8>) {
    shape.extend(column.to_le_bytes());
}

fn columns(columns: &[u16], shape: &mut Vec<u8>) {
    length(columns.len(), shape);
    for one in columns {
        column(*one, shape);
    }
}

fn length(len: usize, shape: &mut Vec<u8>) {
    shape.extend(u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

fn predicates<D: Dialect>(predicates: &[Predicate], shape: &mut Vec<u8>) {
    length(predicates.len(), shape);
    for one in predicates {
        predicate::<D>(one, shape);
    }
}

fn predicate<D: Dialect>(one: &Predicate, shape: &mut Vec<u8>) {
    let mut leaf = |kind: u8, at: u16, detail: u8| {
        shape.push(kind);
        column(at, shape);
        shape.push(detail);
    };
    match one {
        Predicate::Constant(truth) => shape.push(match truth {
            Truth::True => 0,
            Truth::False => 1,
            Truth::Unknown => 2,
        }),
        Predicate::Bool(at) => leaf(3, *at, 0),
        Predicate::Compare { column, comparison, .. } => leaf(4, *column, *comparison as u8),
        Predicate::In { column, values, null } => {
            // All lists that are bound as one array have one shape.
            let len = values.len().min(D::VALUES_MAX + 1);
            leaf(5 + u8::from(*null), *column, u8::try_from(len).unwrap_or(u8::MAX));
        }
        Predicate::Like { column, pattern, fold } => {
            leaf(7, *column, like_form(pattern, *fold) as u8);
        }
        Predicate::IsNull(at) => leaf(8, *at, 0),
        Predicate::Is { operand, truth } => {
            shape.push(9 + u8::from(*truth));
            predicate::<D>(operand, shape);
        }
        Predicate::And(parts) => {
            shape.push(11);
            predicates::<D>(parts, shape);
        }
        Predicate::Or(parts) => {
            shape.push(12);
            predicates::<D>(parts, shape);
        }
        Predicate::Not(operand) => {
            shape.push(13);
            predicate::<D>(operand, shape);
        }
        _ => shape.push(u8::MAX),
    }
}
