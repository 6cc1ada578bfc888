//! Values at the edges of every type, and tables to hold them.

use sora_core::{Column, Date, Decimal, Schema, SchemaBuilder, Timestamp, Type, Value};

use crate::store::Cells;

/// The types of columns, `json` last because it has no order.
pub(crate) const TYPES: [Type; 10] = [
    Type::Bool,
    Type::I64,
    Type::F64,
    DECIMAL,
    Type::Text,
    Type::Bytes,
    Type::Timestamp,
    Type::Date,
    Type::Uuid,
    Type::Json,
];

/// A decimal of 28 digits, 4 of them behind the point.
pub(crate) const DECIMAL: Type = Type::Decimal { precision: 28, scale: 4 };

/// The position of the key in the tables of this module.
pub(crate) const ID: u16 = 0;
/// The position of the column beside the key.
pub(crate) const X: u16 = 1;

/// Returns a table `t` of a key `id` and a column `x`, to be built.
pub(crate) fn table_of(x: Column) -> SchemaBuilder {
    Schema::builder("t").column(Column::new("id", Type::I64)).column(x).key(["id"])
}

/// Returns a nullable column `x`.
pub(crate) fn x(column_type: Type) -> Column {
    Column::new("x", column_type).nullable()
}

/// Returns a row for each value, numbered from 1.
pub(crate) fn numbered(values: impl IntoIterator<Item = Value>) -> Vec<Cells> {
    (1..).zip(values).map(|(id, value)| vec![Value::I64(id), value]).collect()
}

/// Returns distinct values of a type, smallest first where it has an order.
pub(crate) fn edges(column_type: Type) -> Vec<Value> {
    match column_type {
        Type::Bool => vec![Value::Bool(false), Value::Bool(true)],
        Type::I64 => integers(),
        Type::F64 => floats(),
        Type::Decimal { .. } => decimals(),
        Type::Text => texts().into_iter().map(|text| Value::Text(text.into())).collect(),
        Type::Bytes => bytes(),
        Type::Timestamp => timestamps(),
        Type::Date => dates(),
        Type::Uuid => uuids(),
        _ => ["\"\"", "0", "[1,2]", "null", "{\"a\":{\"b\":\"'\"}}", "{}"]
            .map(|text| Value::Json(text.into()))
            .into(),
    }
}

fn integers() -> Vec<Value> {
    const EXACT: i64 = 1 << 53;
    [
        i64::MIN,
        i64::MIN + 1,
        -EXACT - 1,
        -2,
        -1,
        0,
        1,
        2,
        10,
        i64::from(i32::MAX) + 1,
        EXACT,
        EXACT + 1,
        i64::MAX - 1,
        i64::MAX,
    ]
    .map(Value::I64)
    .into()
}

fn floats() -> Vec<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    const LEAST: f64 = 5e-324;
    [
        f64::NEG_INFINITY,
        f64::MIN,
        -EXACT,
        -1.5,
        -LEAST,
        0.0,
        LEAST,
        f64::MIN_POSITIVE,
        0.1,
        0.3,
        0.1 + 0.2,
        1.0,
        2.5,
        EXACT,
        9_223_372_036_854_775_808.0,
        1e300,
        f64::MAX,
        f64::INFINITY,
    ]
    .map(Value::F64)
    .into()
}

fn decimals() -> Vec<Value> {
    [
        "-999999999999999999999999.9999",
        "-10.0000",
        "-9.9999",
        "-0.0001",
        "0.0000",
        "0.0001",
        "1.5000",
        "2.0000",
        "10.0000",
        "9223372036854775808.0000",
        "999999999999999999999999.9998",
        "999999999999999999999999.9999",
    ]
    .into_iter()
    .filter_map(|text| text.parse().ok().map(Value::Decimal))
    .collect()
}

fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "\n",
        "\u{1}",
        "%",
        "'",
        "''",
        "'; DROP TABLE t; --",
        "\"",
        "10",
        "2",
        "A",
        "AB",
        "NULL",
        "Z",
        "\\",
        "\\%",
        "_",
        "a",
        "a ",
        "a%b",
        "aB",
        "a_b",
        "ab",
        "abc",
        "b",
        "e\u{301}",
        "x'00'",
        "\u{e9}",
        "\u{c9}",
        "\u{131}",
        "ß",
        "東",
        "東京",
        "[a]",
        "a*b?",
        // At the ends of what a character can be, where the end of a prefix is found.
        "\u{d7ff}",
        "\u{e000}",
        "\u{ff5e}",
        "\u{ffff}",
        "a\u{10ffff}",
        "😀",
        "😀a",
        "\u{10ffff}",
    ]
    .map(String::from)
    .into();
    texts.push("long ".repeat(200));
    texts.sort();
    texts
}

fn bytes() -> Vec<Value> {
    let mut list: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        vec![0, 0],
        vec![0, 255],
        vec![1],
        b"'".into(),
        b"a".into(),
        b"ab".into(),
        vec![127],
        vec![128],
        vec![255],
        vec![255, 0],
    ];
    list.push(vec![7; 5_000]);
    list.sort();
    list.into_iter().map(|bytes| Value::Bytes(bytes.into())).collect()
}

fn timestamps() -> Vec<Value> {
    let year = 365 * 86_400_000_000;
    let micros = [-31 * year, -1, 0, 1, 999_999, 1_000_000, 54 * year + 1, 54 * year + 10];
    let between = micros.into_iter().filter_map(Timestamp::from_micros);
    let all = [Timestamp::MIN].into_iter().chain(between).chain([Timestamp::MAX]);
    all.map(Value::Timestamp).collect()
}

fn dates() -> Vec<Value> {
    let days = [-25_000, -1, 0, 1, 10, 19_782];
    let between = days.into_iter().filter_map(Date::from_days);
    [Date::MIN].into_iter().chain(between).chain([Date::MAX]).map(Value::Date).collect()
}

fn uuids() -> Vec<Value> {
    let mut last = [0; 16];
    last[15] = 1;
    let mut signed = [0; 16];
    signed[0] = 128;
    let text = *b"0123456789abcdef";
    [[0; 16], last, text, [127; 16], signed, [255; 16]].map(Value::Uuid).into()
}

/// Returns literals of other types that a column can be compared with, which become exact bounds.
pub(crate) fn foreign(column_type: Type) -> Vec<Value> {
    let text = |text: &str| Value::Text(text.into());
    let decimal = |text: &str| text.parse::<Decimal>().map_or(Value::Null, Value::Decimal);
    match column_type {
        Type::I64 => vec![
            Value::F64(-1.5),
            Value::F64(2.0),
            Value::F64(1e19),
            Value::F64(f64::NEG_INFINITY),
            decimal("1.5"),
            decimal("-2"),
        ],
        Type::F64 => vec![
            Value::I64((1 << 53) + 1),
            Value::I64(i64::MAX),
            Value::I64(1),
            Value::F64(-0.0),
            decimal("0.3"),
        ],
        Type::Decimal { .. } => vec![Value::I64(2), text("1.50005"), text("-0.00005"), text("1.5")],
        Type::Timestamp => {
            vec![text("2023-12-18"), Value::Date(Date::MIN), text("1970-01-01T01:00+01:00")]
        }
        Type::Date => vec![text("1970-01-01T00:00:00.000001Z"), Value::Timestamp(Timestamp::MAX)],
        Type::Uuid => vec![text("30313233-3435-3637-3839-616263646566")],
        _ => Vec::new(),
    }
}
