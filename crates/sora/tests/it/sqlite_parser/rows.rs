//! The table that is filtered: a column of each type that SQLite has too, and values at the edges.

use sora::{Column, Schema, Type, Value};

/// What a column is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Bool,
    Bytes,
    Float,
    Integer,
    Text,
}

/// The columns in the table's order, each with the ways to write its name.
pub(super) const COLUMNS: [(Kind, &[&str]); 9] = [
    (Kind::Integer, &["id", "ID", "\"id\"", "\"Id\""]),
    (Kind::Integer, &["i", "I", "\"i\"", "(i)"]),
    // A name that is a word of the language, and never null.
    (Kind::Integer, &["\"or\"", "\"OR\"", "(\"or\")"]),
    (Kind::Float, &["f", "F", "\"f\"", "((f))"]),
    (Kind::Float, &["größe", "GRößE", "\"größe\"", "( größe )"]),
    (Kind::Text, &["s", "S", "\"S\"", "(s)"]),
    (Kind::Text, &["\"we \"\"ird\"", "\"WE \"\"IRD\""]),
    (Kind::Bool, &["active", "Active", "\"active\"", "(active)"]),
    (Kind::Bytes, &["b", "B", "\"b\""]),
];

/// 2^53: the first integer whose successor is no float.
pub(super) const EXACT: i64 = 1 << 53;

pub(super) const INTEGERS: [i64; 18] = [
    i64::MIN,
    i64::MIN + 1,
    -EXACT - 1,
    -EXACT,
    -12,
    -2,
    -1,
    0,
    1,
    2,
    3,
    5,
    10,
    EXACT - 1,
    EXACT,
    EXACT + 1,
    i64::MAX - 1,
    i64::MAX,
];

pub(super) const FLOATS: [f64; 27] = [
    f64::NEG_INFINITY,
    f64::MIN,
    -9_223_372_036_854_775_808.0,
    -9_007_199_254_740_992.0,
    -12.0,
    -2.5,
    -1.5,
    -0.25,
    -5e-324,
    0.0,
    5e-324,
    f64::MIN_POSITIVE,
    0.1,
    0.3,
    0.1 + 0.2,
    0.5,
    1.0,
    2.0,
    2.5,
    5.0,
    1e15,
    9_007_199_254_740_992.0,
    9_007_199_254_740_994.0,
    9_223_372_036_854_775_808.0,
    1e300,
    f64::MAX,
    f64::INFINITY,
];

pub(super) const TEXTS: [&str; 48] = [
    "",
    " ",
    "a",
    "A",
    "ab",
    "aB",
    "Ab",
    "AB",
    "abc",
    "abcabc",
    "b",
    "aab",
    "a b",
    " ab",
    "ab ",
    "%",
    "_",
    "a%b",
    "a_b",
    "100%",
    "%%",
    "__",
    "it's",
    "''",
    "\"q\"",
    "\\",
    "a\\b",
    "!",
    "a!b",
    "*",
    "a*b",
    "?",
    "[a]",
    "[",
    "^",
    "NULL",
    "TRUE",
    "5",
    "5.0",
    "é",
    "É",
    "e\u{301}",
    "naïve",
    "東京",
    "a😀b",
    "a\nb\t\r",
    "\u{7f}\u{80}\u{7ff}",
    "\u{d7ff}\u{fffd}\u{10ffff}",
];

pub(super) const BYTES: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"\x7f", b"\x80", b"a", b"\xff\xff"];

pub(super) fn schema() -> Schema {
    Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("i", Type::I64).nullable())
        .column(Column::new("or", Type::I64))
        .column(Column::new("f", Type::F64).nullable())
        .column(Column::new("größe", Type::F64).nullable())
        .column(Column::new("s", Type::Text).nullable())
        .column(Column::new("we \"ird", Type::Text))
        .column(Column::new("active", Type::Bool).nullable())
        .column(Column::new("b", Type::Bytes).nullable())
        .key(["id"])
        .build()
        .expect("a schema")
}

/// Returns as many rows as meet every value of every column.
pub(super) fn rows() -> Vec<Vec<Value>> {
    (0..64).map(row).collect()
}

/// The strides are prime to the lengths of their lists, so that columns are not in step.
fn row(number: usize) -> Vec<Value> {
    let null = |every: usize, value: Value| match number % every {
        1 => Value::Null,
        _ => value,
    };
    let at = |stride: usize, len: usize| number * stride % len;
    let text = |stride: usize| Value::Text(TEXTS[at(stride, TEXTS.len())].into());
    let id = match number {
        0 => i64::MIN,
        1 => -1,
        2 => 0,
        63 => i64::MAX,
        number => i64::try_from(number).expect("small"),
    };
    vec![
        Value::I64(id),
        null(7, Value::I64(INTEGERS[at(5, INTEGERS.len())])),
        Value::I64(INTEGERS[at(7, INTEGERS.len())]),
        null(9, Value::F64(FLOATS[at(2, FLOATS.len())])),
        null(4, Value::F64(FLOATS[at(5, FLOATS.len())])),
        null(11, text(1)),
        text(5),
        null(3, Value::Bool(number.is_multiple_of(2))),
        null(6, Value::Bytes(BYTES[at(3, BYTES.len())].into())),
    ]
}
