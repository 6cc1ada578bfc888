//! What PostgreSQL does as Sora would.

use sora_core::Binding;
use sora_core::plan::{Negotiation, Support};

/// Raises what the rendered SQL decides.
///
/// Every comparison of a known type is PostgreSQL's own: text by bytes, because the statement says so
/// where the column does not; NaN equal to itself and behind all numbers; UUIDs and bytes bytewise.
/// What a cell can hold and Sora cannot (infinite dates, years beyond 9999) fails the read of its row.
pub(crate) fn negotiate(ask: &mut Negotiation) {
    sora_sql::negotiate(ask, compared);
}

fn compared(binding: &Binding, column: u16) -> Support {
    let column_type = binding.schema().column(column).column_type;
    // A column that is read as another type is compared in its own by the server.
    let is_own = !binding.is_converted(column) && column_type.is_comparable();
    if is_own { Support::Exact } else { Support::Unsupported }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use sora_core::{
        Column, Comparison, LiveColumn, LiveTable, Pattern, Predicate, Schema, Sort, Truth, Type,
        Value,
    };

    /// A text, a JSON, an unknown, and a text that is an enum in the store.
    fn binding() -> Arc<Binding> {
        let schema = Schema::builder("t")
            .column(Column::new("name", Type::Text))
            .column(Column::new("json", Type::Json))
            .column(Column::new("unknown", Type::Unknown))
            .column(Column::new("mood", Type::Text))
            .column(Column::new("flag", Type::Bool))
            .build()
            .expect("a schema");
        let mut live = LiveTable::from(&schema);
        live.columns[0].collation = Some("german".into());
        live.columns[3] = LiveColumn {
            declared: "mood".into(),
            column_type: Type::Unknown,
            readable_as: [Type::Text].into(),
            ..live.columns[3].clone()
        };
        Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"))
    }

    fn asked(predicate: Predicate, sort: &[u16]) -> (Support, Support) {
        let by = |column: &u16| Sort { column: *column, descending: true };
        let sort = sort.iter().map(by).collect();
        let mut ask = Negotiation::new(binding(), vec![predicate], sort);
        negotiate(&mut ask);
        (ask.terms()[0].support(), ask.sort_support())
    }

    #[test]
    fn what_the_server_does_as_sora_is_exact_and_the_rest_is_left() {
        let equals = |column| Predicate::Compare {
            column,
            comparison: Comparison::Equal,
            value: Value::Text("a".into()),
        };
        let (exact, none) = (Support::Exact, Support::Unsupported);
        let unlike = Predicate::Like {
            column: 0,
            pattern: Pattern::parse("a_%", None).expect("a pattern"),
            fold: true,
        };
        for (predicate, expected) in [
            (equals(0), exact),
            (Predicate::Not(Box::new(unlike)), exact),
            (Predicate::Bool(4), exact),
            (Predicate::Constant(Truth::Unknown), exact),
            (equals(1), none),
            (equals(2), none),
            (equals(3), none),
            (Predicate::IsNull(1), exact),
            (Predicate::IsNull(3), exact),
            (Predicate::Or(vec![equals(0), Predicate::IsNull(2)]), exact),
            (Predicate::Or(vec![equals(0), equals(3)]), none),
            (Predicate::Is { operand: Box::new(equals(2)), truth: false }, none),
        ] {
            assert_eq!(asked(predicate.clone(), &[]).0, expected, "{predicate:?}");
        }
        for (sort, expected) in [(&[0, 4][..], exact), (&[0, 1], none), (&[2], none), (&[3], none)]
        {
            assert_eq!(asked(Predicate::ALL, sort).1, expected, "{sort:?}");
        }
    }
}
