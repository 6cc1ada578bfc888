//! Filters.

use sora_core::plan::Support;
use sora_core::read::Read;
use sora_core::{Comparison, Predicate, Schema, Type, Value};

use crate::provider::Lie;

macro_rules! loose {
    ($name:literal, $line:literal, $type:pat) => {
        Lie {
            name: $name,
            line: $line,
            read: |read| loosen(read, |column_type| matches!(column_type, $type)),
            ..Lie::NONE
        }
    };
}

pub(crate) const LIES: &[Lie] = &[
    loose!("a false exact on bool", "exact filters on bool keep what memory keeps", Type::Bool),
    loose!("a false exact on i64", "exact filters on i64 keep what memory keeps", Type::I64),
    loose!("a false exact on f64", "exact filters on f64 keep what memory keeps", Type::F64),
    loose!(
        "a false exact on decimal",
        "exact filters on decimal keep what memory keeps",
        Type::Decimal { .. }
    ),
    loose!("a false exact on text", "exact filters on text keep what memory keeps", Type::Text),
    loose!("a false exact on bytes", "exact filters on bytes keep what memory keeps", Type::Bytes),
    loose!(
        "a false exact on timestamp",
        "exact filters on timestamp keep what memory keeps",
        Type::Timestamp
    ),
    loose!("a false exact on date", "exact filters on date keep what memory keeps", Type::Date),
    loose!("a false exact on uuid", "exact filters on uuid keep what memory keeps", Type::Uuid),
    Lie {
        name: "JSON null is null",
        line: "exact filters on json keep what memory keeps",
        rows: |read, rows| {
            // As if `IS NOT NULL` left them out.
            let is_not_null = |term: &Predicate| match term {
                Predicate::Not(operand) => matches!(**operand, Predicate::IsNull(_)),
                _ => false,
            };
            if read.filter.iter().any(is_not_null) {
                rows.retain(|row| !row.contains(&Value::Json("null".into())));
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "NOT of unknown is true",
        line: "exact combinations follow three-valued logic",
        read: |read| {
            rewrite(read, &|_, predicate| match predicate {
                Predicate::Not(operand) => {
                    let is_true = Predicate::Is { operand, truth: true };
                    Predicate::Not(Box::new(is_true))
                }
                other => other,
            });
        },
        ..Lie::NONE
    },
    Lie {
        name: "an empty list is unknown beside null",
        line: "exact combinations follow three-valued logic",
        read: |read| {
            rewrite(read, &|_, predicate| match predicate {
                Predicate::In { column, values, null: false } if values.is_empty() => {
                    let value = Value::I64(i64::MIN);
                    Predicate::Compare { column, comparison: Comparison::Less, value }
                }
                other => other,
            });
        },
        ..Lie::NONE
    },
    Lie {
        name: "LIKE ignores case",
        line: "exact patterns keep what memory keeps",
        read: |read| fold_case(read, true),
        ..Lie::NONE
    },
    Lie {
        name: "ILIKE does not ignore case",
        line: "exact patterns keep what memory keeps",
        read: |read| fold_case(read, false),
        ..Lie::NONE
    },
    Lie {
        name: "an inexact filter leaves a row out",
        line: "inexact filters leave out no row that belongs",
        negotiate: |ask| ask.terms_mut().iter_mut().for_each(|term| term.set(Support::Inexact)),
        rows: |read, rows| {
            if !read.filter.is_empty() {
                rows.pop();
            }
        },
        ..Lie::NONE
    },
];

/// Rewrites the leaves of the filter of a read.
fn rewrite(read: &mut Read, leaf: &dyn Fn(&Schema, Predicate) -> Predicate) {
    fn walk(
        schema: &Schema,
        predicate: Predicate,
        leaf: &dyn Fn(&Schema, Predicate) -> Predicate,
    ) -> Predicate {
        let all = |parts: Vec<Predicate>| {
            parts.into_iter().map(|part| walk(schema, part, leaf)).collect()
        };
        match predicate {
            Predicate::And(parts) => Predicate::And(all(parts)),
            Predicate::Or(parts) => Predicate::Or(all(parts)),
            Predicate::Not(part) => {
                leaf(schema, Predicate::Not(Box::new(walk(schema, *part, leaf))))
            }
            Predicate::Is { operand, truth } => {
                Predicate::Is { operand: Box::new(walk(schema, *operand, leaf)), truth }
            }
            other => leaf(schema, other),
        }
    }
    let schema = read.binding.schema().clone();
    read.filter = read.filter.iter().map(|term| walk(&schema, term.clone(), leaf)).collect();
}

/// `<` becomes `<=` on columns of a type.
fn loosen(read: &mut Read, is_meant: fn(Type) -> bool) {
    rewrite(read, &|schema, predicate| match predicate {
        Predicate::Compare { column, comparison: Comparison::Less, value }
            if is_meant(schema.column(column).column_type) =>
        {
            Predicate::Compare { column, comparison: Comparison::LessOrEqual, value }
        }
        other => other,
    });
}

fn fold_case(read: &mut Read, folds: bool) {
    rewrite(read, &|_, predicate| match predicate {
        Predicate::Like { column, pattern, .. } => Predicate::Like { column, pattern, fold: folds },
        other => other,
    });
}
