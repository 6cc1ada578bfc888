//! Values of `:name` in a filter, as `--param name=value` gives them.

use std::str::FromStr;

use sora::{Decimal, Error, ErrorKind, Result, Value};

/// A name and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameter {
    /// The name, without the colon.
    pub(crate) name: Box<str>,
    /// The value.
    pub(crate) value: Value,
}

impl FromStr for Parameter {
    type Err = Error;

    /// Reads `name=value`: a number as JSON writes it, `true`, `false`, `null`, or a text, which
    /// stands in single quotes if it looks like one of them.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = || {
            let message = format!("{text:?} is not a name and its value, such as city=Paris");
            Error::new(ErrorKind::InvalidInput, message)
        };
        let (name, value) = text.split_once('=').ok_or_else(invalid)?;
        if name.is_empty() {
            return Err(invalid());
        }
        Ok(Self { name: name.into(), value: value_of(value) })
    }
}

fn value_of(text: &str) -> Value {
    if let Some(quoted) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        return Value::Text(quoted.replace("''", "'").into());
    }
    match text {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        "null" => return Value::Null,
        _ => {}
    }
    if !is_number(text) {
        return Value::Text(text.into());
    }
    if let Ok(value) = text.parse() {
        return Value::I64(value);
    }
    // A decimal is exact beside every numeric column; beside a float it is the nearest float.
    match (text.parse::<Decimal>(), text.parse::<f64>()) {
        (Ok(value), _) => Value::Decimal(value),
        (_, Ok(value)) => Value::F64(value),
        _ => Value::Text(text.into()),
    }
}

/// Whether a text is a number as JSON writes it: `00501` is not one.
fn is_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok() && text.trim() == text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_literals_or_text() {
        for (text, expected) in [
            ("a=5", "5"),
            ("a=-2.50", "-2.50"),
            ("a=1e3", "1000.0"),
            ("a=00501", "'00501'"),
            ("a='5'", "'5'"),
            ("a='it''s'", "'it''s'"),
            ("a=true", "TRUE"),
            ("a=null", "NULL"),
            ("a=", "''"),
            ("a=b=c", "'b=c'"),
            ("a=New York", "'New York'"),
        ] {
            let parameter: Parameter = text.parse().expect(text);
            assert_eq!((&*parameter.name, &*format!("{:?}", parameter.value)), ("a", expected));
        }
        for text in ["a", "=5", ""] {
            assert!(text.parse::<Parameter>().is_err(), "{text}");
        }
    }
}
