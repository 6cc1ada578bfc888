//! What is read, what is refused and how, and that what is displayed is read as what it was.

use super::{Parameters, parse};
use crate::{
    Column, ErrorKind, FilterLimits, Predicate, Result, Schema, SchemaBuilder, Truth, Type, Value,
};

mod foreign;
mod limits;
mod parameters;
mod refusals;
mod round_trip;

/// A table with a column of every type.
fn schema() -> Schema {
    let columns = [
        ("id", Type::I64),
        ("price", Type::Decimal { precision: 6, scale: 2 }),
        ("score", Type::F64),
        ("active", Type::Bool),
        ("name", Type::Text),
        ("born", Type::Date),
        ("seen", Type::Timestamp),
        ("token", Type::Uuid),
        ("raw", Type::Bytes),
        ("doc", Type::Json),
        ("odd", Type::Unknown),
        ("or", Type::I64),
        ("Full \"Name\"", Type::Text),
        ("größe", Type::I64),
        ("ratio", Type::Decimal { precision: 28, scale: 28 }),
    ];
    let column = |(name, column_type)| Column::new(name, column_type).nullable();
    columns
        .map(column)
        .into_iter()
        .fold(Schema::builder("t"), SchemaBuilder::column)
        .build()
        .expect("a schema")
}

fn read(text: &str, parameters: impl Into<Parameters>) -> Result<Predicate> {
    parse(text, &schema(), &parameters.into(), FilterLimits::default())
}

fn shown(text: &str, parameters: impl Into<Parameters>) -> String {
    match read(text, parameters) {
        Ok(predicate) => predicate.display(&schema()).to_string(),
        Err(error) => error.to_string(),
    }
}

/// Checks that a text reads as another, and that this one reads as itself.
fn check(text: &str, expected: &str) {
    assert_eq!(shown(text, Parameters::none()), expected, "{text}");
    assert_eq!(shown(expected, Parameters::none()), expected, "of {text}");
}

/// Checks the whole message of a text that is refused.
fn check_error(text: &str, expected: &str) {
    let error = read(text, Parameters::none()).expect_err(text);
    assert_eq!((error.to_string().as_str(), error.kind()), (expected, ErrorKind::InvalidInput));
}

/// Checks texts that are refused: the text, the carets under it, the message above it.
fn refuse<const N: usize>(cases: [(&str, &str, &str); N]) {
    for (text, carets, message) in cases {
        check_error(text, &format!("{message}\n  | {text}\n  | {carets}"));
    }
}

#[test]
fn comparisons() {
    check("id = 5", "id = 5");
    check("id<>5", "id <> 5");
    check("id != 5", "id <> 5");
    check("id<-5", "id < -5");
    check("id <= +5", "id <= 5");
    check("ID > 5", "id > 5");
    check(" \n\tid\r\n>=\u{a0}5 ", "id >= 5");
    check("5 < id", "id > 5");
    check("5 >= id", "id <= 5");
    check("5 = id", "id = 5");
    check("id = NULL", "NULL");
    check("null <> id", "NULL");
    check("(id) = ((5))", "id = 5");
}

#[test]
fn names() {
    check("\"id\" = 1", "id = 1");
    check("\"ID\" = 1", "id = 1");
    check("\"or\" = 1 or \"OR\" = 2", "\"or\" = 1 OR \"or\" = 2");
    check("\"Full \"\"Name\"\"\" = 'x'", "\"Full \"\"Name\"\"\" = 'x'");
    check("größe = 1", "\"größe\" = 1");
}

#[test]
fn the_column_decides_how_a_literal_is_read() {
    check("id < 2.5", "id <= 2");
    check("id > -2.5", "id > -3");
    check("id = 1e3", "id = 1000");
    check("id = 2.5", "id < -9223372036854775808");
    check("id <> 2.50000000000000000000000000000000001", "id >= -9223372036854775808");
    check("id < 99999999999999999999999999999999999999999", "id <= 9223372036854775807");
    check("id > -99999999999999999999999999999999999999999", "id >= -9223372036854775808");
    check("id > -9e999", "id >= -9223372036854775808");
    check("id = 9223372036854775808", "id < -9223372036854775808");
    check("score = 5", "score = 5.0");
    check("score = .5", "score = 0.5");
    check("score = -0", "score = 0.0");
    check("score = -0.0", "score = 0.0");
    check("score > 9007199254740993", "score > 9007199254740992.0");
    check("score >= 9007199254740993.0", "score >= 9007199254740992.0");
    check("score = 9007199254740993", "score < -9e999");
    check("score < 99999999999999999999", "score <= 9.999999999999998e19");
    check("score < 100000000000000000000", "score < 1e20");
    check("score < 9e999", "score < 9e999");
    check("score = -9E+999", "score = -9e999");
    check(&format!("score < {}", "9".repeat(400)), "score <= 1.7976931348623157e308");
    check(&format!("score < -{}", "9".repeat(400)), "score <= -9e999");
    check("score = 5e-324", "score = 5e-324");
    check("price = 1.5", "price = 1.50");
    check("price < 1.005", "price <= 1.00");
    check("price > -1.005", "price > -1.01");
    check("price = 15e-1", "price = 1.50");
    check("price < 1e40", "price <= 9999.99");
    check("price > 1e-40", "price > 0.00");
    check("price <= -1e-400", "price <= -0.01");
    check("price = '1.5'", "price = 1.50");
    check("ratio < 1", "ratio <= 0.9999999999999999999999999999");
    check("ratio < 0.12345678901234567890123456785", "ratio <= 0.1234567890123456789012345678");
    check("active = TRUE", "active = TRUE");
    check("name = 'O''Brien\n\"x\"'", "name = 'O''Brien\n\"x\"'");
    check("name = '1'", "name = '1'");
    check("born = '2024-02-29'", "born = '2024-02-29'");
    check("born < '2024-02-29T00:00:01Z'", "born <= '2024-02-29'");
    check("seen < '2024-02-29'", "seen < '2024-02-29T00:00:00.000000Z'");
    check("'2024-02-29 12:30+01' = seen", "seen = '2024-02-29T11:30:00.000000Z'");
    check(
        "token = '0190A6F27C1E7D3A9B1F00FF00FF00FF'",
        "token = '0190a6f2-7c1e-7d3a-9b1f-00ff00ff00ff'",
    );
    check("raw = x'00FF'", "raw = X'00ff'");
    check("raw > X''", "raw > X''");
}

#[test]
fn tests_of_a_column() {
    check("id BETWEEN 1 AND 5 AND active", "id >= 1 AND id <= 5 AND active");
    check("id NOT BETWEEN 1 AND 5", "NOT (id >= 1 AND id <= 5)");
    check("id between NULL and 5", "NULL AND id <= 5");
    check("id IN (3, 1, 2.5, 3, 1.0)", "id IN (1, 3)");
    check("id not in (1)", "id NOT IN (1)");
    check("id IN ()", "id IN ()");
    check("id NOT IN ( )", "id NOT IN ()");
    check("id IN (NULL, 1)", "id IN (1, NULL)");
    check("id IN (NULL)", "id IN (NULL)");
    check("id IN (2.5)", "id < -9223372036854775808");
    check("born IN ('2024-02-29', '2024-02-28')", "born IN ('2024-02-28', '2024-02-29')");
    check("name LIKE 'a%_'", "name LIKE 'a%_'");
    check("name LIKE 'a\\b%%'", "name LIKE 'a\\b%'");
    check("name LIKE '!%!!' ESCAPE '!'", "name LIKE '\\%!' ESCAPE '\\'");
    check("name LIKE 'é%éé' ESCAPE 'é'", "name LIKE '\\%é' ESCAPE '\\'");
    check("name NOT LIKE ''", "name NOT LIKE ''");
    check("name ILIKE 'a'", "name ILIKE 'a'");
    check("NOT name NOT ILIKE 'a'", "NOT name NOT ILIKE 'a'");
    check("name LIKE NULL", "NULL");
    check("name IS NULL", "name IS NULL");
    check("doc IS NOT NULL", "doc IS NOT NULL");
    check("odd is null", "odd IS NULL");
    check("active IS TRUE", "active IS TRUE");
    check("(active) IS NOT FALSE", "active IS NOT FALSE");
    check("(id = 1) IS NOT TRUE", "(id = 1) IS NOT TRUE");
    check("((id = 1) IS TRUE) IS FALSE", "((id = 1) IS TRUE) IS FALSE");
    check("(NULL) IS FALSE", "(NULL) IS FALSE");
    check("(NOT active) IS TRUE", "(NOT active) IS TRUE");
}

#[test]
fn precedence_is_that_of_sql() {
    check("NOT id = 1", "NOT id = 1");
    check("NOT id = 1 AND active", "NOT id = 1 AND active");
    check("NOT (id = 1 AND active)", "NOT (id = 1 AND active)");
    check("active OR active AND NOT active", "active OR (active AND NOT active)");
    check("(active OR active) AND active", "(active OR active) AND active");
    check("active AND (active AND (active))", "active AND active AND active");
    check("active OR (active OR active)", "active OR active OR active");
    check("NOT NOT active", "NOT NOT active");
    check("NOT active IS TRUE", "active IS NOT TRUE");
    check("TRUE AND NOT FALSE OR NULL", "(TRUE AND NOT FALSE) OR NULL");
    check("((((active))))", "active");
    check("id IS NULL OR id IN (1) OR id BETWEEN 1 AND 2 AND active", {
        "id IS NULL OR id IN (1) OR (id >= 1 AND id <= 2 AND active)"
    });
}

#[test]
fn unknown_follows_three_valued_logic() {
    use Truth::{False, True, Unknown};
    // The row is id 5, everything else null.
    let mut row = vec![Value::Null; schema().columns().len()];
    row[0] = Value::I64(5);
    let check = |text: &str, expected: Truth| {
        let predicate = read(text, Parameters::none()).expect(text);
        assert_eq!(predicate.evaluate(&row).expect("a truth"), expected, "{text}");
        let shown = predicate.display(&schema()).to_string();
        let again = read(&shown, Parameters::none()).expect(&shown);
        assert_eq!(again.evaluate(&row).expect("a truth"), expected, "{shown}");
    };
    check("id = 5", True);
    check("id = 5.5", False);
    check("score = 5.5", Unknown);
    check("NOT score = 5.5", Unknown);
    check("score = 5.5 OR id = 5", True);
    check("score = 5.5 AND id = 4", False);
    check("id IN (5, NULL)", True);
    check("id IN (4, NULL)", Unknown);
    check("id NOT IN (4, NULL)", Unknown);
    check("id NOT IN (5, NULL)", False);
    check("id IN ()", False);
    check("score IN ()", False);
    check("score NOT IN ()", True);
    check("score IN (1)", Unknown);
    check("id IN (5.5)", False);
    check("\"or\" IN (5.5)", Unknown);
    check("name LIKE '%'", Unknown);
    check("id BETWEEN NULL AND 4", False);
    check("id BETWEEN NULL AND 5", Unknown);
    check("id NOT BETWEEN 6 AND NULL", True);
    check("score < 99999999999999999999999999999999999999999", Unknown);
    check("id < 99999999999999999999999999999999999999999", True);
    check("active", Unknown);
    check("NOT active", Unknown);
    check("active IS TRUE", False);
    check("active IS NOT TRUE", True);
    check("NOT active IS NOT FALSE", False);
    check("(score = 1) IS FALSE", False);
    check("(score = 1) IS NOT FALSE", True);
    check("(id = 4) IS FALSE", True);
    check("score IS NULL AND id IS NOT NULL", True);
    check("NULL", Unknown);
    check("(NULL) IS NOT TRUE", True);
}
