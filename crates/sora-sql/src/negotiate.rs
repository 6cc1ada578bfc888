//! What a store that speaks SQL does as Sora would.

use sora_core::plan::{Negotiation, Support};
use sora_core::read::LimitEach;
use sora_core::{AggregateFunction, Aggregation, Binding, Measure, Predicate};

/// More columns of a sort would be more values than a statement takes.
const SORT_COLUMNS_MAX: usize = 64;

/// Raises what the rendered SQL decides, for a store that compares the values of a column as well as
/// `compared` says.
pub fn negotiate(ask: &mut Negotiation, compared: impl Fn(&Binding, u16) -> Support) {
    let binding = ask.binding().clone();
    let compared = |column: u16| compared(&binding, column);
    for term in ask.terms_mut() {
        let support = support(&compared, term.predicate());
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
    let shares = |each: LimitEach| compared(each.column) == Support::Exact;
    if ask.limit_each().is_some_and(shares) {
        ask.set_limit_each(Support::Exact);
    }
    if ask.aggregation().is_some_and(|aggregation| aggregates(&compared, aggregation)) {
        ask.set_aggregation(Support::Exact);
    }
}

fn aggregates(compared: &impl Fn(u16) -> Support, aggregation: &Aggregation) -> bool {
    let measured = |measure: &Measure| match (measure.function, measure.column) {
        // Null is null in every type.
        (AggregateFunction::Count, _) | (_, None) => true,
        (_, Some(column)) => compared(column) == Support::Exact,
    };
    let grouped = |column: &u16| compared(*column) == Support::Exact;
    aggregation.group.iter().all(grouped) && aggregation.measures.iter().all(measured)
}

fn support(compared: &impl Fn(u16) -> Support, predicate: &Predicate) -> Support {
    match predicate {
        // Null is null in every type.
        Predicate::Constant(_) | Predicate::IsNull(_) => Support::Exact,
        Predicate::Bool(column)
        | Predicate::Compare { column, .. }
        | Predicate::In { column, .. }
        | Predicate::Like { column, .. } => compared(*column),
        Predicate::Is { operand, .. } | Predicate::Not(operand) => support(compared, operand),
        Predicate::And(parts) | Predicate::Or(parts) => {
            let parts = parts.iter().map(|part| support(compared, part));
            parts.min().unwrap_or(Support::Exact)
        }
        _ => Support::Unsupported,
    }
}
