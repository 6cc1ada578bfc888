use sora::{Date, Timestamp, Value};

use super::*;

fn headings() -> Vec<Heading> {
    let decimal = Type::Decimal { precision: 10, scale: 2 };
    [
        ("id", Type::I64),
        ("na\"me", Type::Text),
        ("x", Type::F64),
        ("price", decimal),
        ("at", Type::Timestamp),
        ("doc", Type::Json),
        ("raw", Type::Bytes),
    ]
    .map(|(name, column_type)| Heading::new(name, column_type))
    .into()
}

fn rows() -> [Vec<Value>; 3] {
    [
        vec![
            Value::I64(i64::MAX),
            Value::Text("a,\"b\"\n".into()),
            Value::F64(-1.0),
            Value::Decimal("12.50".parse().expect("a decimal")),
            Value::Timestamp(Timestamp::MIN),
            Value::Json("{\"k\":[1.50]}".into()),
            Value::Bytes([0, 255].into()),
        ],
        vec![
            Value::I64(0),
            Value::Text("".into()),
            Value::F64(f64::NEG_INFINITY),
            Value::Null,
            Value::Null,
            Value::Json("null".into()),
            Value::Bytes([].into()),
        ],
        vec![
            Value::I64(-5),
            Value::Text("NULL".into()),
            Value::F64(1e300),
            Value::Null,
            Value::Null,
            Value::Json("not\njson".into()),
            Value::Null,
        ],
    ]
}

fn write(format: RowFormat, null: &str, look: Look) -> (String, Vec<Box<str>>) {
    let mut out = Vec::new();
    let mut writer = RowWriter::new(&mut out, format, headings(), null, look);
    for row in &rows() {
        writer.row(row).expect("written");
    }
    assert_eq!(writer.rows(), 3);
    let left_out = writer.finish().expect("finished");
    (String::from_utf8(out).expect("UTF-8"), left_out)
}

fn check(format: RowFormat, null: &str, expected: &[&str]) {
    let (found, _) = write(format, null, Look::default());
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
    assert!(found.ends_with('\n'));
}

#[test]
fn csv_keeps_null_and_empty_text_apart() {
    let max = "9223372036854775807,\"a,\"\"b\"\"";
    let first = "\",-1.0,12.50,0001-01-01T00:00:00.000000Z,\"{\"\"k\"\":[1.50]}\",AP8=";
    check(
        RowFormat::Csv,
        "",
        &[
            "id,\"na\"\"me\",x,price,at,doc,raw",
            max,
            first,
            "0,\"\",-Infinity,,,null,\"\"",
            "-5,NULL,1e300,,,\"not",
            "json\",",
        ],
    );
    // What reads like the null that was chosen is quoted, numbers too.
    let (found, _) = write(RowFormat::Csv, "-5", Look::default());
    assert!(found.contains("\n\"-5\",NULL,1e300,-5,-5,"), "{found}");
}

#[test]
fn json_is_one_document_and_ndjson_one_a_line() {
    let first = r#"{"id":9223372036854775807,"na\"me":"a,\"b\"\n","x":-1.0,"price":"12.50","at":"0001-01-01T00:00:00.000000Z","doc":{"k":[1.50]},"raw":"AP8="}"#;
    let second =
        r#"{"id":0,"na\"me":"","x":"-Infinity","price":null,"at":null,"doc":null,"raw":""}"#;
    let third = r#"{"id":-5,"na\"me":"NULL","x":1e300,"price":null,"at":null,"doc":"not\njson","raw":null}"#;
    check(RowFormat::Ndjson, "", &[first, second, third]);
    let array = [&format!("{first},"), &format!("{second},"), third];
    check(RowFormat::Json, "", &["[", array[0], array[1], array[2], "]"]);
    let mut out = Vec::new();
    let look = Look::default();
    let writer = RowWriter::new(&mut out, RowFormat::Json, headings(), "", look);
    writer.finish().expect("finished");
    assert_eq!(out, b"[]\n");
}

#[test]
fn tables_align_and_show_null() {
    check(
        RowFormat::Table,
        "",
        &[
            "                 id  na\"me            x  price  at                           doc           raw",
            "───────────────────  ───────  ─────────  ─────  ───────────────────────────  ────────────  ────",
            "9223372036854775807  a,\"b\"\\n       -1.0  12.50  0001-01-01T00:00:00.000000Z  {\"k\":[1.50]}  AP8=",
            "                  0  \"\"       -Infinity   NULL  NULL                         null",
            "                 -5  \"NULL\"       1e300   NULL  NULL                         not\\njson     NULL",
        ],
    );
}

#[test]
fn tables_fit_the_terminal() {
    let look = Look { width: Some(60), is_styled: true };
    let (found, left_out) = write(RowFormat::Table, "", look);
    let null = "\u{1b}[2mNULL\u{1b}[0m";
    assert_eq!(
        found.lines().collect::<Vec<_>>(),
        [
            "                 id  na\"me            x  price  at",
            "───────────────────  ───────  ─────────  ─────  ────────────",
            "9223372036854775807  a,\"b\"\\n       -1.0  12.50  0001-01-01T…",
            &format!("                  0  \"\"       -Infinity   {null}  {null}"),
            &format!("                 -5  \"NULL\"       1e300   {null}  {null}"),
        ]
    );
    assert_eq!(left_out, ["doc", "raw"].map(Box::<str>::from));
}

#[test]
fn a_terminal_obeys_nothing() {
    assert_eq!(one_line("a\u{1b}[2Jb\u{202e}\t"), "a\\u{1b}[2Jb\\u{202e}\\t");
    assert_eq!(one_line("é 東京"), "é 東京");
}

#[test]
fn dates_are_iso() {
    let mut text = String::new();
    text::push(sora::Cell::Date(Date::MAX), &mut text);
    text::push(sora::Cell::Uuid([255; 16]), &mut text);
    assert_eq!(text, "9999-12-31ffffffff-ffff-ffff-ffff-ffffffffffff");
}
