//! Smaller questions that are still answered wrongly.

use sora::Table;
use sora_core::{Aggregation, Measure, Predicate, Schema};

use super::generate::{Question, Walk};
use super::{Differential, compare};
use crate::store::Cells;

/// Takes parts of a question away as long as its answer stays wrong.
pub(super) async fn shrink(table: &Table, rows: &[Cells], mut question: Question) -> Question {
    /// Each step removes a part, so there are few; this is for one that does not.
    const STEPS_MAX: usize = 500;
    let mut steps = 0;
    'smaller: loop {
        for candidate in smaller(table.schema(), &question) {
            steps += 1;
            if steps > STEPS_MAX {
                return question;
            }
            let mut ignored = Differential::new(0);
            if compare(&mut ignored, table, rows, &candidate).await.is_err() {
                question = candidate;
                continue 'smaller;
            }
        }
        return question;
    }
}

/// Returns questions that are smaller by one part.
fn smaller(schema: &Schema, question: &Question) -> Vec<Question> {
    let mut all = Vec::new();
    let columns: Vec<u16> = schema.visible().collect();
    if question.columns != columns {
        // More to read, but it says which rows are wrong.
        all.push(Question { columns, ..question.clone() });
    }
    if question.walk != Walk::All {
        all.push(Question { walk: Walk::All, ..question.clone() });
    }
    if let Walk::Page { offset, limit } = question.walk
        && offset > 0
    {
        all.push(Question { walk: Walk::Page { offset: 0, limit }, ..question.clone() });
    }
    if question.walk == Walk::Aggregate {
        let Aggregation { group, measures, .. } = &question.aggregation;
        let mut with = |group: Vec<u16>, measures: Vec<Measure>| {
            let groups_max = question.aggregation.groups_max;
            let aggregation = Aggregation { groups_max, ..Aggregation::new(group, measures) };
            all.push(Question { aggregation, ..question.clone() });
        };
        for at in 0..group.len() {
            with(without(group, at), measures.to_vec());
        }
        for at in 0..measures.len() {
            if measures.len() > 1 {
                with(group.to_vec(), without(measures, at));
            }
        }
    }
    for at in 0..question.sort.len() {
        let mut sort = question.sort.clone();
        sort.remove(at);
        all.push(Question { sort, ..question.clone() });
    }
    for filter in smaller_predicates(&question.filter) {
        all.push(Question { filter, ..question.clone() });
    }
    all
}

fn without<T: Clone>(list: &[T], at: usize) -> Vec<T> {
    let mut list = list.to_vec();
    list.remove(at);
    list
}

fn smaller_predicates(predicate: &Predicate) -> Vec<Predicate> {
    match predicate {
        Predicate::And(parts) => smaller_lists(parts, Predicate::And),
        Predicate::Or(parts) => smaller_lists(parts, Predicate::Or),
        Predicate::Not(operand) => {
            let inner = smaller_predicates(operand).into_iter();
            let mut all = vec![(**operand).clone()];
            all.extend(inner.map(|operand| Predicate::Not(Box::new(operand))));
            all
        }
        Predicate::Is { operand, truth } => {
            let inner = smaller_predicates(operand).into_iter();
            let mut all = vec![(**operand).clone()];
            all.extend(
                inner.map(|operand| Predicate::Is { operand: Box::new(operand), truth: *truth }),
            );
            all
        }
        Predicate::In { column, values, null } => {
            let without = |at: usize| {
                let kept = values.iter().enumerate().filter(|(other, _)| *other != at);
                let values = kept.map(|(_, value)| value.clone()).collect();
                Predicate::In { column: *column, values, null: *null }
            };
            (0..values.len()).map(without).collect()
        }
        Predicate::Constant(_) => Vec::new(),
        _ => vec![Predicate::ALL],
    }
}

fn smaller_lists(parts: &[Predicate], join: fn(Vec<Predicate>) -> Predicate) -> Vec<Predicate> {
    let mut all: Vec<Predicate> = parts.to_vec();
    for at in 0..parts.len() {
        let mut rest = parts.to_vec();
        rest.remove(at);
        all.push(join(rest));
        for smaller in smaller_predicates(&parts[at]) {
            let mut changed = parts.to_vec();
            changed[at] = smaller;
            all.push(join(changed));
        }
    }
    all
}
