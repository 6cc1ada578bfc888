//! Random filters beside Sora's own evaluation of them.

use std::sync::Arc;

use sora_core::plan::{Plan, Support};
use sora_core::{
    Binding, Column, Comparison, Date, Decimal, Fallback, FilterLimits, Pattern, Predicate, Query,
    Schema, Timestamp, Truth, Type, Value,
};

use crate::support::{Store, bind, fill, lines, read, rows_of, support};

const FILTERS: usize = 3_000;

/// xorshift64* (<https://vigna.di.unimi.it/ftp/papers/xorshift.pdf>): the same filters on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).expect("48 bits") % end
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

fn schema() -> Schema {
    Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("b", Type::Bool).nullable())
        .column(Column::new("i", Type::I64).nullable())
        .column(Column::new("f", Type::F64).nullable())
        .column(Column::new("d", Type::Decimal { precision: 20, scale: 3 }).nullable())
        .column(Column::new("s", Type::Text).nullable())
        .column(Column::new("x", Type::Bytes).nullable())
        .column(Column::new("at", Type::Timestamp).nullable())
        .column(Column::new("day", Type::Date).nullable())
        .column(Column::new("u", Type::Uuid).nullable())
        .key(["id"])
        .index(["s"])
        .index(["i"])
        .build()
        .expect("a schema")
}

/// The values of each column from which rows and literals are drawn.
fn values() -> Vec<Vec<Value>> {
    let texts = [
        "",
        "a",
        "A",
        "b",
        "ab",
        "aB",
        "a%",
        "a_b",
        "a\\b",
        "[a]",
        "a*b?",
        "é",
        "É",
        "e\u{301}",
        "東",
        "\u{d7ff}",
        "\u{e000}",
        "\u{ffff}",
        "\u{10ffff}",
        "a\u{10ffff}",
        "'",
        "\"",
        "1",
        "-1",
    ];
    let decimals =
        ["0", "-0.001", "0.001", "9", "10", "-10", "-9", "12345678901234567.891", "1.5", "1.500"];
    let decimal = |text: &&str| Value::Decimal(text.parse::<Decimal>().expect("a decimal"));
    let integers = [0, 1, -1, 2, 9, 10, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1];
    let floats = [0.0, 1.0, -1.0, 0.1, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324, 9.1e15];
    let moments = [Timestamp::MIN, Timestamp::MAX, Date::MAX.midnight()];
    let moment = |micros| Timestamp::from_micros(micros).expect("in range");
    vec![
        Vec::new(),
        vec![Value::Bool(false), Value::Bool(true)],
        integers.into_iter().map(Value::I64).collect(),
        floats.into_iter().map(Value::F64).collect(),
        decimals.iter().map(decimal).collect(),
        texts.into_iter().map(|text| Value::Text(text.into())).collect(),
        [&b""[..], b"\0", b"\xff", b"a", b"ab"].iter().map(|x| Value::Bytes((*x).into())).collect(),
        moments.into_iter().chain([-1, 0, 1].map(moment)).map(Value::Timestamp).collect(),
        [Date::MIN, Date::MAX, moment(-1).date(), moment(0).date()].map(Value::Date).to_vec(),
        [[0; 16], [255; 16], *b"0123456789abcdef"].map(Value::Uuid).to_vec(),
    ]
}

fn leaf(random: &mut Random, values: &[Vec<Value>]) -> Predicate {
    let at = 1 + random.below(values.len() - 1);
    let column = u16::try_from(at).expect("few");
    let value = random.pick(&values[at]);
    match random.below(9) {
        0 => Predicate::IsNull(column),
        1 => Predicate::Bool(1),
        2 => Predicate::Constant(random.pick(&[Truth::True, Truth::False, Truth::Unknown])),
        3 => {
            let len = random.below(12);
            let list = (0..len).map(|_| random.pick(&values[at])).collect();
            Predicate::In { column, values: list, null: random.below(4) == 0 }
        }
        4 | 5 => {
            // A text of the table with wildcards in it and around it.
            let mut text = String::new();
            if let Value::Text(found) = random.pick(&values[5]) {
                let part = |char: char| match random.below(6) {
                    0 => "%".into(),
                    1 => "_".into(),
                    2 => format!("%{char}"),
                    _ => char.to_string(),
                };
                text = found.chars().map(part).collect();
            }
            if random.below(2) == 0 {
                text.push('%');
            }
            let pattern = Pattern::parse(&text, None).expect("a pattern");
            Predicate::Like { column: 5, pattern, fold: random.below(2) == 0 }
        }
        _ => {
            let comparison = random.pick(&[
                Comparison::Equal,
                Comparison::NotEqual,
                Comparison::Less,
                Comparison::LessOrEqual,
                Comparison::Greater,
                Comparison::GreaterOrEqual,
            ]);
            Predicate::Compare { column, comparison, value }
        }
    }
}

fn predicate(random: &mut Random, values: &[Vec<Value>], depth: usize) -> Predicate {
    if depth == 0 {
        return leaf(random, values);
    }
    let parts = |random: &mut Random| {
        (0..random.below(4)).map(|_| predicate(random, values, depth - 1)).collect()
    };
    match random.below(6) {
        0 => Predicate::And(parts(random)),
        1 => Predicate::Or(parts(random)),
        2 => Predicate::Not(Box::new(predicate(random, values, depth - 1))),
        3 => Predicate::Is {
            operand: Box::new(predicate(random, values, depth - 1)),
            truth: random.below(2) == 0,
        },
        _ => leaf(random, values),
    }
}

async fn filled(store: &Store, random: &mut Random, values: &[Vec<Value>]) -> Vec<Vec<Value>> {
    let binding = bind(&store.sqlite, schema()).await;
    let row = |id: i64| {
        let cells = values[1..].iter().map(|values| match random.below(5) {
            0 => Value::Null,
            _ => random.pick(values),
        });
        let mut row = vec![Value::I64(id)];
        row.extend(cells);
        // Decimals are stored with the digits of their column.
        if let Value::Decimal(decimal) = row[4] {
            row[4] = Value::Decimal(decimal.rescale(3).expect("fits"));
        }
        row
    };
    let rows: Vec<Vec<Value>> = (1..=60).map(row).collect();
    let borrowed: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    fill(&store.sqlite, &binding, &borrowed).await;
    rows
}

#[tokio::test]
async fn random_filters_keep_what_sora_keeps() {
    let store = Store::new().await;
    let mut random = Random(0x5eed);
    let values = values();
    let rows = filled(&store, &mut random, &values).await;
    let binding = bind(&store.sqlite, schema()).await;
    for number in 0..FILTERS {
        let filter = predicate(&mut random, &values, number % 5);
        check(&store, &binding, &rows, filter).await;
    }
}

async fn check(store: &Store, binding: &Arc<Binding>, rows: &[Vec<Value>], filter: Predicate) {
    let bound = filter.bind(binding.schema(), FilterLimits::default()).expect("bound");
    let shown = bound.display(binding.schema()).to_string();
    assert_eq!(support(&store.sqlite, binding, bound.clone()), Support::Exact, "{shown}");
    let keeps = |row: &&Vec<Value>| bound.evaluate(*row).expect("a truth").is_true();
    let kept: Vec<&[Value]> = rows.iter().filter(keeps).map(Vec::as_slice).collect();
    let expected = if kept.is_empty() { Vec::new() } else { lines(&rows_of(&kept)) };
    let mut query = Query::new(bound);
    query.fallback = Fallback::Reject;
    let plan = Plan::new(&store.sqlite, binding, &query, true).expect("planned");
    assert_eq!(read(&store.sqlite, &plan.read).await.expect("read"), expected, "{shown}");
}

#[tokio::test]
async fn a_hostile_pattern_ends() {
    let store = Store::new().await;
    let binding = bind(&store.sqlite, schema()).await;
    let mut row = vec![Value::Null; 10];
    (row[0], row[5]) = (Value::I64(1), Value::Text("a".repeat(20_000).into()));
    fill(&store.sqlite, &binding, &[&row]).await;
    for fold in [false, true] {
        let pattern = Pattern::parse(&("%a".repeat(2_000) + "b"), None).expect("a pattern");
        let like = Predicate::Like { column: 5, pattern, fold };
        check(&store, &binding, std::slice::from_ref(&row), like).await;
    }
}
