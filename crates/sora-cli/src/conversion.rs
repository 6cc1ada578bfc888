//! From the field of a file to the cell of a column.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sora::{Cell, Date, Decimal, Timestamp, Type, UuidText, json};

use crate::inference::excerpt;
use crate::input::Field;

/// Room for a value that is not the file's own text.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    text: String,
    bytes: Vec<u8>,
}

/// Why a field is not of a column's type. One pointer wide, because almost every field is.
#[derive(Debug)]
pub(crate) struct Refusal(
    #[expect(clippy::box_collection, reason = "one pointer wide")] Box<String>,
);

/// Returns the cell of a type that a field stands for.
///
/// Whether the column takes it, null and ranges included, is checked by the table.
///
/// # Errors
///
/// What is wrong with the field, for the report of the line.
pub(crate) fn cell<'a>(
    field: Field<'a>,
    column_type: Type,
    scratch: &'a mut Scratch,
) -> Result<Cell<'a>, Refusal> {
    let text = match (field, column_type) {
        (Field::Null, _) => return Ok(Cell::Null),
        (Field::Bool(value), Type::Bool) => return Ok(Cell::Bool(value)),
        (_, Type::Json) => return document(field, &mut scratch.text),
        (
            Field::Number(_) | Field::Bool(_),
            Type::Bytes | Type::Timestamp | Type::Date | Type::Uuid,
        )
        | (Field::Number(_), Type::Bool)
        | (Field::Bool(_), Type::I64 | Type::F64 | Type::Decimal { .. })
        | (Field::Nested(_), _) => return Err(refusal(field, column_type)),
        // Numbers and strings are both fine for numbers: a decimal is exported as text.
        (Field::Bare(text) | Field::Text(text) | Field::Number(text), _) => text,
        (Field::Bool(true), _) => "true",
        (Field::Bool(false), _) => "false",
    };
    let found = match column_type {
        Type::Text => Some(Cell::Text(text)),
        Type::Bool => boolean(text).map(Cell::Bool),
        Type::I64 => integer(text).map(Cell::I64),
        Type::F64 => float(text).map(Cell::F64),
        Type::Decimal { .. } => text.parse::<Decimal>().ok().map(Cell::Decimal),
        Type::Timestamp => text.parse::<Timestamp>().ok().map(Cell::Timestamp),
        Type::Date => text.parse::<Date>().ok().map(Cell::Date),
        Type::Uuid => UuidText::parse(text).map(Cell::Uuid),
        Type::Bytes => {
            scratch.bytes.clear();
            match BASE64.decode_vec(text, &mut scratch.bytes) {
                Ok(()) => Some(Cell::Bytes(&scratch.bytes)),
                Err(_) => {
                    return Err(Refusal::new(format!(
                        "{} is not base64",
                        Cell::Text(&excerpt(text))
                    )));
                }
            }
        }
        _ => {
            let reason = "has a type that Sora does not know, so it cannot be written";
            return Err(Refusal::new(reason.into()));
        }
    };
    found.ok_or_else(|| refusal(field, column_type))
}

/// A JSON column takes any value of NDJSON, and the text of a document from CSV.
fn document<'a>(field: Field<'_>, out: &'a mut String) -> Result<Cell<'a>, Refusal> {
    let canonical =
        |text: &str| json::canonical(text).map_err(|error| Refusal::new(error.message().into()));
    *out = match field {
        Field::Null => return Ok(Cell::Null),
        Field::Bare(text) | Field::Number(text) | Field::Nested(text) => canonical(text)?,
        Field::Bool(value) => value.to_string(),
        Field::Text(text) if text.contains('\0') => {
            return Err(Refusal::new("contains U+0000".into()));
        }
        Field::Text(text) => {
            serde_json::to_string(text).map_err(|error| Refusal::new(error.to_string()))?
        }
    };
    Ok(Cell::Json(out))
}

fn boolean(text: &str) -> Option<bool> {
    let is = |names: [&str; 3]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
    match () {
        () if is(["true", "t", "1"]) => Some(true),
        () if is(["false", "f", "0"]) => Some(false),
        () => None,
    }
}

/// Reads a float. What rounds to ∞ is refused; ∞ itself has one spelling.
fn float(text: &str) -> Option<f64> {
    match text {
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => text.parse::<f64>().ok().filter(|value| value.is_finite()),
    }
}

/// Reads an integer; most are so short that they cannot overflow.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !(1..=18).contains(&digits.len()) {
        return text.parse().ok();
    }
    let mut number = 0;
    for digit in digits.bytes() {
        if !digit.is_ascii_digit() {
            return text.parse().ok();
        }
        number = number * 10 + i64::from(digit - b'0');
    }
    Some(if digits.len() < text.len() { -number } else { number })
}

impl Refusal {
    #[cold]
    fn new(reason: String) -> Self {
        Self(Box::new(reason))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cold]
fn refusal(field: Field<'_>, column_type: Type) -> Refusal {
    let found = match field {
        Field::Null => "null".into(),
        Field::Bool(value) => value.to_string(),
        Field::Nested(text) => {
            if text.starts_with('{') {
                "an object".into()
            } else {
                "an array".into()
            }
        }
        Field::Number(text) => format!("the number {}", excerpt(text)),
        Field::Bare(text) | Field::Text(text) => Cell::Text(&excerpt(text)).to_string(),
    };
    Refusal::new(format!("{found} is not {}", with_article(column_type)))
}

fn with_article(column_type: Type) -> String {
    match column_type {
        Type::I64 => "an integer of 64 bits".into(),
        Type::F64 => "a number that a float holds".into(),
        Type::Text | Type::Json => column_type.to_string(),
        Type::Bool => "true or false".into(),
        Type::Uuid => "a UUID".into(),
        Type::Date => "a date, such as 2024-02-29".into(),
        Type::Timestamp => "a timestamp, such as 2024-02-29T12:30:00Z".into(),
        other => format!("a {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(field: Field<'_>, column_type: Type, expected: &str) {
        let mut scratch = Scratch::default();
        let found = match cell(field, column_type, &mut scratch) {
            Ok(cell) => format!("{} {cell}", cell.kind_name()),
            Err(reason) => format!("refused: {reason}"),
        };
        assert_eq!(found, expected, "{field:?} as {column_type}");
    }

    #[test]
    fn fields_become_cells_of_their_columns() {
        let decimal = Type::Decimal { precision: 10, scale: 2 };
        check(Field::Null, Type::I64, "null NULL");
        check(Field::Bare("5"), Type::I64, "i64 5");
        check(Field::Bare("-999999999999999999"), Type::I64, "i64 -999999999999999999");
        check(Field::Bare("-9223372036854775808"), Type::I64, "i64 -9223372036854775808");
        check(Field::Bare("+007"), Type::I64, "i64 7");
        check(Field::Number("5"), Type::Text, "text '5'");
        check(Field::Number("1.50"), Type::Text, "text '1.50'");
        check(Field::Bool(true), Type::Text, "text 'true'");
        check(Field::Bare(""), Type::Text, "text ''");
        check(Field::Bare("T"), Type::Bool, "bool TRUE");
        check(Field::Bare("0"), Type::Bool, "bool FALSE");
        check(Field::Number("5"), Type::F64, "f64 5.0");
        check(Field::Text("-Infinity"), Type::F64, "f64 -9e999");
        check(Field::Text("12.50"), decimal, "decimal 12.50");
        check(Field::Number("12.50"), decimal, "decimal 12.50");
        check(Field::Text("AP8="), Type::Bytes, "bytes X'00ff'");
        check(Field::Text("2024-02-29"), Type::Date, "date '2024-02-29'");
        check(
            Field::Bare("2024-02-29 12:30"),
            Type::Timestamp,
            "timestamp '2024-02-29T12:30:00.000000Z'",
        );
        check(Field::Nested("{ \"b\" : [1] }"), Type::Json, "json '{\"b\":[1]}'");
        check(Field::Text("a\"b"), Type::Json, "json '\"a\\\"b\"'");
        check(Field::Bare("null"), Type::Json, "json 'null'");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_a_reason() {
        check(Field::Bare("-"), Type::I64, "refused: '-' is not an integer of 64 bits");
        check(Field::Bare("x"), Type::I64, "refused: 'x' is not an integer of 64 bits");
        check(
            Field::Number("5.0"),
            Type::I64,
            "refused: the number 5.0 is not an integer of 64 bits",
        );
        check(
            Field::Bare("1e999"),
            Type::F64,
            "refused: '1e999' is not a number that a float holds",
        );
        check(Field::Bare("nan"), Type::F64, "refused: 'nan' is not a number that a float holds");
        check(Field::Number("1"), Type::Bool, "refused: the number 1 is not true or false");
        check(Field::Bool(true), Type::I64, "refused: true is not an integer of 64 bits");
        check(Field::Nested("[1]"), Type::Text, "refused: an array is not text");
        check(
            Field::Bare("{"),
            Type::Json,
            "refused: not JSON: EOF while parsing an object at line 1 column 1",
        );
        check(Field::Text("\0"), Type::Json, "refused: contains U+0000");
        check(Field::Bare("%"), Type::Bytes, "refused: '%' is not base64");
        check(
            Field::Bare("5"),
            Type::Unknown,
            "refused: has a type that Sora does not know, so it cannot be written",
        );
    }
}
