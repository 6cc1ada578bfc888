//! What SQLite does as Sora would.

use sora_core::plan::{Negotiation, Support};
use sora_core::read::LimitEach;
use sora_core::{AggregateFunction, Aggregation, Binding, Measure, Predicate};

/// More columns of a sort would be more values than a statement takes.
const SORT_COLUMNS_MAX: usize = 64;

/// Raises what the rendered SQL decides.
pub(crate) fn negotiate(ask: &mut Negotiation) {
    let binding = ask.binding().clone();
    for term in ask.terms_mut() {
        let support = support(&binding, term.predicate());
        term.set(support);
    }
    // What is not of its column's type fails its read wherever it is sorted to.
    let sorts = |column: u16| {
        let column_type = binding.schema().column(column).column_type;
        !binding.is_converted(column) && column_type.is_sortable()
    };
    let sort = ask.sort();
    if sort.len() <= SORT_COLUMNS_MAX && sort.iter().all(|sort| sorts(sort.column)) {
        ask.set_sort(Support::Exact);
    }
    let shares = |each: LimitEach| compared(&binding, each.column) == Support::Exact;
    if ask.limit_each().is_some_and(shares) {
        ask.set_limit_each(Support::Exact);
    }
    let aggregates = |aggregation: &Aggregation| {
        let measured = |measure: &Measure| match (measure.function, measure.column) {
            // Null is null in every type.
            (AggregateFunction::Count, _) | (_, None) => true,
            (_, Some(column)) => compared(&binding, column) == Support::Exact,
        };
        let grouped = |column: &u16| compared(&binding, *column) == Support::Exact;
        aggregation.group.iter().all(grouped) && aggregation.measures.iter().all(measured)
    };
    if ask.aggregation().is_some_and(|aggregation| aggregates(aggregation)) {
        ask.set_aggregation(Support::Exact);
    }
}

fn support(binding: &Binding, predicate: &Predicate) -> Support {
    let all = |parts: &[Predicate]| {
        parts.iter().map(|part| support(binding, part)).min().unwrap_or(Support::Exact)
    };
    match predicate {
        // Null is null in every type.
        Predicate::Constant(_) | Predicate::IsNull(_) => Support::Exact,
        Predicate::Bool(column)
        | Predicate::Compare { column, .. }
        | Predicate::In { column, .. }
        | Predicate::Like { column, .. } => compared(binding, *column),
        Predicate::Is { operand, .. } | Predicate::Not(operand) => support(binding, operand),
        Predicate::And(parts) | Predicate::Or(parts) => all(parts),
        _ => Support::Unsupported,
    }
}

fn compared(binding: &Binding, column: u16) -> Support {
    let column_type = binding.schema().column(column).column_type;
    if binding.is_converted(column) || !column_type.is_comparable() {
        return Support::Unsupported;
    }
    // A cell of another storage class compares in SQLite's way, but fails the read in Sora's.
    if binding.live_column(column).is_enforced { Support::Exact } else { Support::Inexact }
}
