//! The defaults of columns, as the catalogue gives their text.

use sora_core::{Assigned, Type, Value};
use sora_sql::is_now;

use crate::row::convert;
use rusqlite::types::ValueRef;

/// Returns who assigns a column with this default.
pub(crate) fn assigned(default: Option<&str>, column_type: Type) -> Assigned {
    let Some(text) = default.map(str::trim) else { return Assigned::Caller };
    if column_type == Type::Timestamp && is_now(text) {
        return Assigned::Now;
    }
    match constant(text, column_type) {
        // No default is a null.
        Some(Value::Null) => Assigned::Caller,
        Some(value) => Assigned::Default(value),
        None => Assigned::Store(text.into()),
    }
}

/// Reads a literal as a value of a type; `None` if it is another expression, or of another type.
fn constant(text: &str, column_type: Type) -> Option<Value> {
    let bare = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    let bytes = bare.as_bytes();
    let owned_text;
    let owned_bytes;
    let value = match bytes.first()? {
        b'\'' => {
            owned_text = quoted(bare)?;
            ValueRef::Text(owned_text.as_bytes())
        }
        b'x' | b'X' if bytes.get(1) == Some(&b'\'') => {
            owned_bytes = hex(&quoted(&bare[1..])?)?;
            ValueRef::Blob(&owned_bytes)
        }
        b'0'..=b'9' | b'-' | b'+' | b'.' => number(bare, column_type)?,
        _ if bare.eq_ignore_ascii_case("NULL") => ValueRef::Null,
        _ if bare.eq_ignore_ascii_case("TRUE") => ValueRef::Integer(1),
        _ if bare.eq_ignore_ascii_case("FALSE") => ValueRef::Integer(0),
        _ => return None,
    };
    convert(column_type, value).ok().map(sora_core::Cell::to_value)
}

fn number(text: &str, column_type: Type) -> Option<ValueRef<'static>> {
    let digits = text.trim_start_matches(['-', '+']);
    if column_type != Type::F64 {
        return text.parse().ok().map(ValueRef::Integer);
    }
    // `9e999` is SQL's infinity, and Rust's.
    digits.starts_with(|char: char| char.is_ascii_digit() || char == '.').then_some(())?;
    text.parse().ok().map(ValueRef::Real)
}

/// Returns what stands between single quotes, its doubled ones single.
fn quoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let single = inner.replace("''", "");
    (!single.contains('\'')).then(|| inner.replace("''", "'"))
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digit =
        |at: usize| digits.get(at..=at).and_then(|digit| u8::from_str_radix(digit, 16).ok());
    let pairs = (0..digits.len() / 2).map(|at| Some(digit(2 * at)? << 4 | digit(2 * at + 1)?));
    pairs.collect::<Option<Vec<u8>>>().filter(|_| digits.len().is_multiple_of(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_read_and_expressions_left() {
        let check = |text: &str, column_type: Type, expected: Option<Value>| {
            let expected = match expected {
                Some(value) => Assigned::Default(value),
                None => Assigned::Store(text.into()),
            };
            assert_eq!(assigned(Some(text), column_type), expected, "{text}");
        };
        check("5", Type::I64, Some(Value::I64(5)));
        check("-5", Type::I64, Some(Value::I64(-5)));
        check("(-5)", Type::I64, Some(Value::I64(-5)));
        check("2.5", Type::F64, Some(Value::F64(2.5)));
        check("9e999", Type::F64, Some(Value::F64(f64::INFINITY)));
        check("'it''s'", Type::Text, Some(Value::Text("it's".into())));
        check("''", Type::Text, Some(Value::Text("".into())));
        check("'a' || 'b'", Type::Text, None);
        check("X'00fF'", Type::Bytes, Some(Value::Bytes([0, 255].into())));
        check("TRUE", Type::Bool, Some(Value::Bool(true)));
        check("0", Type::Bool, Some(Value::Bool(false)));
        check(
            "'1.50'",
            Type::Decimal { precision: 4, scale: 2 },
            Some(Value::Decimal("1.50".parse().expect("a decimal"))),
        );
        check("CURRENT_TIMESTAMP", Type::Text, None);
        check("'abc'", Type::I64, None);
        assert_eq!(assigned(None, Type::I64), Assigned::Caller);
        assert_eq!(assigned(Some("NULL"), Type::I64), Assigned::Caller);
        assert_eq!(assigned(Some(sora_sql::Sqlite::NOW), Type::Timestamp), Assigned::Now);
    }
}
