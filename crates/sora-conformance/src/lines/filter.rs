//! Filters: what a store claims to do exactly must give what evaluation in memory gives.

use std::collections::BTreeSet;
use std::sync::Arc;

use sora_core::plan::Support;
use sora_core::{Column, Comparison, FilterLimits, Pattern, Predicate, Schema, Truth, Type, Value};

use crate::data::{TYPES, X, edges, foreign, numbered, table_of, x};
use crate::report::{Verdict, check, failed, same, skipped};
use crate::store::{Cells, Fixture, Store};

const COMPARISONS: [Comparison; 6] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::Less,
    Comparison::LessOrEqual,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
];

/// Every operator with every edge of a type, beside nulls.
pub(crate) async fn exact(store: &Store, column_type: Type) -> Verdict {
    let fixture = store.table(table_of(x(column_type)).build()?).await?;
    let rows = rows_of(column_type);
    fixture.fill(&rows).await?;
    expect_exact(&fixture, &rows, conditions(column_type)).await
}

/// `LIKE` and `ILIKE`.
pub(crate) async fn patterns(store: &Store) -> Verdict {
    let fixture = store.table(table_of(x(Type::Text)).build()?).await?;
    let rows = rows_of(Type::Text);
    fixture.fill(&rows).await?;
    let like = |pattern, fold| Predicate::Like { column: X, pattern, fold };
    let mut predicates = Vec::new();
    for pattern in [
        "",
        "%",
        "_",
        "__",
        "%%",
        "a%",
        "A%",
        "%b",
        "%a%",
        "a_b",
        "a\\_b",
        "_b",
        "%_",
        "\\",
        "\\%",
        "'%",
        "\"",
        "*",
        "?",
        "[a]",
        "a*",
        "é",
        "É",
        "_́",
        "東_",
        "%京",
        "😀%",
        "_a",
        "n_ll",
        "%'%",
        "%DROP%",
        "ß",
        "SS",
        "İ",
        "i%",
        "\u{d7ff}%",
        "\u{e000}%",
        "\u{10ffff}%",
        "a\u{10ffff}%",
        "\u{ffff}",
        "%a%a%a%b",
    ] {
        let pattern = Pattern::parse(pattern, None)?;
        predicates.push(like(pattern.clone(), false));
        predicates.push(like(pattern.clone(), true));
        predicates.push(Predicate::Not(Box::new(like(pattern, false))));
    }
    for text in ["%", "_", "\\", "a%b", "a_", "'", "*", "?", "[", "]", "^", "long long"] {
        for pattern in
            [Pattern::starts_with(text)?, Pattern::ends_with(text)?, Pattern::contains(text)?]
        {
            predicates.push(like(pattern.clone(), false));
            predicates.push(like(pattern, true));
        }
    }
    expect_exact(&fixture, &rows, predicates).await
}

/// `AND`, `OR`, `NOT`, `IS TRUE`, lists and constants beside nulls. Literals are compared for
/// equality alone: what `<` means is the business of the lines on types.
pub(crate) async fn combinations(store: &Store) -> Verdict {
    let schema = Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("flag", Type::Bool).nullable())
        .column(Column::new("n", Type::I64).nullable())
        .column(Column::new("s", Type::Text).nullable())
        .key(["id"])
        .build()?;
    let fixture = store.table(schema).await?;
    let flags = [Value::Null, Value::Bool(false), Value::Bool(true)];
    let numbers = [Value::Null, Value::I64(1), Value::I64(2)];
    let texts = [Value::Null, Value::Text("a".into())];
    let mut rows = Vec::new();
    for flag in &flags {
        for number in &numbers {
            for text in &texts {
                let id = Value::I64(rows.len().try_into().unwrap_or(0));
                rows.push(vec![id, flag.clone(), number.clone(), text.clone()]);
            }
        }
    }
    fixture.fill(&rows).await?;
    expect_exact(&fixture, &rows, combined()).await
}

/// What is claimed inexact may keep too much, never too little.
pub(crate) async fn inexact(store: &Store) -> Verdict {
    let mut asked = 0;
    for (number, column_type) in TYPES.into_iter().enumerate() {
        let schema = Schema::builder(format!("t{number}"))
            .column(Column::new("id", Type::I64))
            .column(x(column_type))
            .key(["id"])
            .build()?;
        let fixture = store.table(schema).await?;
        let rows = rows_of(column_type);
        fixture.fill(&rows).await?;
        for predicate in conditions(column_type) {
            let asking = Asking::new(&fixture, predicate)?;
            if asking.terms.iter().any(|(_, support)| *support == Support::Inexact) {
                asked += 1;
                asking.expect(&fixture, &rows).await?;
            }
        }
    }
    if asked == 0 { skipped("it claims no filter inexact") } else { Ok(()) }
}

async fn expect_exact(
    fixture: &Fixture<'_>,
    rows: &[Cells],
    predicates: Vec<Predicate>,
) -> Verdict {
    let all = predicates.len();
    let mut exact = 0;
    for predicate in predicates {
        let asking = Asking::new(fixture, predicate)?;
        if asking.terms.iter().all(|(_, support)| *support == Support::Exact) {
            exact += 1;
            asking.expect(fixture, rows).await?;
        }
    }
    if exact == 0 {
        return skipped("it claims none of these filters exact");
    }
    if exact < all {
        fixture.store.note(format!("{exact} of {all} filters are claimed exact"));
    }
    Ok(())
}

/// A filter, and what the store claims of its terms.
struct Asking {
    terms: Vec<(Predicate, Support)>,
}

impl Asking {
    fn new(fixture: &Fixture<'_>, predicate: Predicate) -> Result<Self, sora_core::Error> {
        let bound = predicate.bind(fixture.schema(), FilterLimits::default())?;
        let ask = fixture.negotiate(bound.into_terms(), Vec::new());
        let terms =
            ask.terms().iter().map(|term| (term.predicate().clone(), term.support())).collect();
        Ok(Self { terms })
    }

    /// Runs what is claimed: no row that an exact term rejects, every row that all terms keep.
    async fn expect(&self, fixture: &Fixture<'_>, rows: &[Cells]) -> Verdict {
        let mut read = fixture.scan();
        read.filter = self
            .terms
            .iter()
            .filter(|(_, support)| *support > Support::Unsupported)
            .map(|(term, _)| term.clone())
            .collect();
        let text = || -> Vec<String> {
            let shown = |(term, support): &(Predicate, Support)| {
                format!("{} ({support:?})", term.display(fixture.schema()))
            };
            self.terms.iter().map(shown).collect()
        };
        let found = match fixture.read(&read).await {
            Ok((found, _)) => found,
            Err(error) => return failed(format!("{}: {error}", text().join(" AND "))),
        };
        let ids: Vec<i64> = found.iter().filter_map(id).collect();
        let distinct: BTreeSet<i64> = ids.iter().copied().collect();
        same("rows that came twice", &(ids.len() - distinct.len()), &0)?;
        for row in rows {
            let keeps = |least: Support| -> Result<bool, sora_core::Error> {
                let mut terms = self.terms.iter().filter(|(_, support)| *support >= least);
                terms.try_fold(true, |kept, (term, _)| Ok(kept && term.evaluate(row)?.is_true()))
            };
            let is_found = id(row).is_some_and(|id| distinct.contains(&id));
            let (must, may) = (keeps(Support::Inexact)?, keeps(Support::Exact)?);
            let wrong = match is_found {
                true if !may => "was kept",
                false if must => "was left out",
                _ => continue,
            };
            return failed(format!("{}: the row {row:?} {wrong}", text().join(" AND ")));
        }
        check(distinct.len() <= rows.len(), || "rows came that were never stored".into())
    }
}

fn id(row: &Cells) -> Option<i64> {
    match row.first() {
        Some(Value::I64(id)) => Some(*id),
        _ => None,
    }
}

fn rows_of(column_type: Type) -> Vec<Cells> {
    let edges = edges(column_type);
    // Each value twice, and null between them.
    let values = edges.iter().chain([&Value::Null]).chain(&edges).chain([&Value::Null]);
    numbered(values.cloned())
}

/// Returns conditions on the column `x` with every edge and operator.
fn conditions(column_type: Type) -> Vec<Predicate> {
    let is_null = || Predicate::IsNull(X);
    let mut all = vec![is_null(), not(is_null())];
    if column_type == Type::Bool {
        all.extend([Predicate::Bool(X), not(Predicate::Bool(X))]);
    }
    if column_type == Type::Json {
        return all;
    }
    let edges = edges(column_type);
    for value in edges.iter().cloned().chain(foreign(column_type)) {
        for comparison in COMPARISONS {
            let compare = Predicate::Compare { column: X, comparison, value: value.clone() };
            all.push(not(compare.clone()));
            all.push(compare);
        }
    }
    let list = |values: &[Value], null| Predicate::In { column: X, values: values.into(), null };
    for values in [&edges[..0], &edges[..1], &edges[edges.len() - 2..], &edges] {
        for null in [false, true] {
            all.push(list(values, null));
            all.push(not(list(values, null)));
        }
    }
    for pair in edges.windows(2) {
        let bound = |comparison, value: &Value| Predicate::Compare {
            column: X,
            comparison,
            value: value.clone(),
        };
        let (low, high) = (&pair[0], &pair[1]);
        let between = Predicate::And(vec![
            bound(Comparison::GreaterOrEqual, low),
            bound(Comparison::LessOrEqual, high),
        ]);
        all.push(not(between.clone()));
        all.push(between);
    }
    all
}

/// Returns every small formula over three conditions that can be unknown.
fn combined() -> Vec<Predicate> {
    let equal = |column, value| Predicate::Compare { column, comparison: Comparison::Equal, value };
    let leaves = [
        Predicate::Bool(1),
        equal(2, Value::I64(1)),
        equal(3, Value::Text("a".into())),
        Predicate::IsNull(2),
        Predicate::In { column: 2, values: Arc::from([Value::I64(1)]), null: true },
        Predicate::In { column: 2, values: Arc::from([]), null: false },
        Predicate::In { column: 2, values: Arc::from([]), null: true },
        Predicate::Constant(Truth::Unknown),
        Predicate::Constant(Truth::False),
        Predicate::Constant(Truth::True),
    ];
    let mut all = Vec::new();
    for left in &leaves {
        let is = |truth| Predicate::Is { operand: Box::new(left.clone()), truth };
        all.extend([left.clone(), not(left.clone()), is(true), is(false), not(is(true))]);
        for right in &leaves {
            let pair = || vec![left.clone(), not(right.clone())];
            let (and, or) = (Predicate::And(pair()), Predicate::Or(pair()));
            for joined in [and, or] {
                all.push(not(joined.clone()));
                all.push(not(Predicate::Is { operand: Box::new(joined.clone()), truth: false }));
                all.push(Predicate::Or(vec![
                    Predicate::And(vec![joined.clone(), leaves[0].clone()]),
                    leaves[1].clone(),
                ]));
                all.push(joined);
            }
        }
    }
    let long: Vec<Predicate> = (0..300).map(|number| equal(2, Value::I64(number + 2))).collect();
    all.push(Predicate::Or(long.clone()));
    all.push(Predicate::And(long.into_iter().map(not).collect()));
    all
}

fn not(predicate: Predicate) -> Predicate {
    Predicate::Not(Box::new(predicate))
}
