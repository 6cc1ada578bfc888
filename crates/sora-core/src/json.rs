//! JSON columns: canonical text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::value::RawValue;

use crate::column::unexpected;
use crate::{Cell, CellSink, ColumnType, Error, ErrorKind, Result, Type};

/// A value that is stored as JSON. `#[sora(json)]` stores a field so without the wrapper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned> ColumnType for Json<T> {
    type Base = Self;
    const TYPE: Type = Type::Json;

    fn encode(&self, out: &mut dyn CellSink) -> Result<()> {
        encode(&self.0, out)
    }

    fn decode(cell: Cell<'_>) -> Result<Self> {
        decode(cell).map(Self)
    }
}

/// Writes a value as one cell of JSON.
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut dyn CellSink) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|error| {
        Error::new(ErrorKind::InvalidInput, "the value cannot be written as JSON")
            .with_source(error)
    })?;
    out.cell(Cell::Json(&canonical(&text)?))
}

/// Reads a value from a cell of JSON.
pub fn decode<T: DeserializeOwned>(cell: Cell<'_>) -> Result<T> {
    let Cell::Json(text) = cell else { return Err(unexpected(cell, "json")) };
    serde_json::from_str(text).map_err(|error| {
        let message = "the JSON of the column does not fit the type of the field";
        Error::new(ErrorKind::Data, message).with_source(error)
    })
}

/// Returns JSON text without white space, with the keys of objects in byte order, the last of equal
/// keys, and numbers as they were written.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if it is not JSON, holds U+0000, or is nested more than 127 deep.
pub fn canonical(text: &str) -> Result<String> {
    let invalid = |error: serde_json::Error| {
        Error::new(ErrorKind::InvalidInput, format!("not JSON: {error}")).with_source(error)
    };
    // One pass over the whole checks the syntax and bounds the depth, so that the walk below cannot
    // overflow the stack.
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(invalid)?;
    let raw: &RawValue = serde_json::from_str(text).map_err(invalid)?;
    let mut out = String::with_capacity(text.len());
    write(raw, &mut out, 0).map_err(invalid)?;
    Ok(out)
}

fn write(raw: &RawValue, out: &mut String, depth: usize) -> serde_json::Result<()> {
    // Read at each level anew, the parser's own limit counts from here.
    if depth > 127 {
        return Err(serde_json::Error::custom("nested more than 127 deep"));
    }
    let text = raw.get().trim_ascii();
    match text.as_bytes().first() {
        Some(b'{') => {
            let map: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            out.push('{');
            for (index, (key, value)) in map.iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                // Writing to a String cannot fail.
                let _ = write!(out, "{comma}{}:", text_literal(key)?);
                write(value, out, depth + 1)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            let list: Vec<&RawValue> = serde_json::from_str(text)?;
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(value, out, depth + 1)?;
            }
            out.push(']');
        }
        Some(b'"') => *out += &text_literal(&serde_json::from_str::<String>(text)?)?,
        _ => *out += text,
    }
    Ok(())
}

fn text_literal(text: &str) -> serde_json::Result<String> {
    if text.contains('\0') {
        return Err(serde_json::Error::custom("U+0000 is not allowed"));
    }
    serde_json::to_string(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_for_equal_documents() {
        let check = |text: &str, expected: &str| {
            assert_eq!(canonical(text).expect("JSON"), expected);
        };
        check(" { \"b\" : [ 1 , 2.50 ] , \"a\" : null } ", r#"{"a":null,"b":[1,2.50]}"#);
        check(r#"{"a":1,"a":2}"#, r#"{"a":2}"#);
        check(r#""\u00e9\/""#, "\"é/\"");
        check(r#""\\u0000""#, r#""\\u0000""#);
        check("123456789012345678901234567890", "123456789012345678901234567890");
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in ["", "{", "[1,]", "nul", "1 2", r#""\u0000""#] {
            assert!(canonical(text).is_err(), "{text}");
        }
        assert!(canonical(&("[".repeat(5_000) + &"]".repeat(5_000))).is_err());
    }
}
