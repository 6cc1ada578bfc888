//! The defaults of columns, as the catalogue gives their text.

use sora_core::{Assigned, Date, Decimal, Timestamp, Type, Value};

/// Returns who assigns a column with this default.
///
/// `declared` is the type of the column in the server's words.
pub(super) fn assigned(default: Option<&str>, column_type: Type, declared: &str) -> Assigned {
    let Some(text) = default else { return Assigned::Caller };
    let is_counted = text.starts_with("nextval('") && text.ends_with("'::regclass)");
    if column_type == Type::I64 && is_counted {
        return Assigned::Identity;
    }
    if column_type == Type::Timestamp && matches!(text, "now()" | "CURRENT_TIMESTAMP") {
        return Assigned::Now;
    }
    match constant(text, column_type, declared) {
        // No default is a null.
        Some(Value::Null) => Assigned::Caller,
        Some(value) => Assigned::Default(value),
        None => Assigned::Store(text.into()),
    }
}

/// Reads a literal as a value of a type; `None` if it is another expression, or of another type.
fn constant(text: &str, column_type: Type, declared: &str) -> Option<Value> {
    let (literal, casts) = without_casts(text)?;
    if literal.eq_ignore_ascii_case("NULL") {
        return Some(Value::Null);
    }
    // From one type of times to another it is a matter of the session's time zone.
    if column_type == Type::Timestamp && *casts != [declared] {
        return None;
    }
    if literal.starts_with('\'') {
        return value(&quoted(literal)?, column_type);
    }
    let is_bare = matches!(column_type, Type::Bool | Type::Decimal { .. } | Type::F64 | Type::I64);
    if is_bare { value(literal, column_type) } else { None }
}

/// The types that leave the value of a literal as it is, or fail to be read as the column's own.
const CASTS: [&str; 15] = [
    "bigint",
    "boolean",
    "bytea",
    "character varying",
    "date",
    "double precision",
    "integer",
    "json",
    "jsonb",
    "numeric",
    "smallint",
    "text",
    "timestamp with time zone",
    "timestamp without time zone",
    "uuid",
];

/// Takes off the casts behind a literal, by which the server says its type, the outermost first.
fn without_casts(text: &str) -> Option<(&str, Vec<&str>)> {
    let bare = |text| inside(text).unwrap_or(text);
    let mut text = text;
    let mut casts = Vec::new();
    while !text.ends_with('\'')
        && let Some((inner, cast)) = text.rsplit_once("::")
    {
        if !CASTS.contains(&cast) {
            return None;
        }
        casts.push(cast);
        text = bare(inner);
    }
    Some((bare(text), casts))
}

/// Returns what stands between parentheses.
fn inside(text: &str) -> Option<&str> {
    text.strip_prefix('(')?.strip_suffix(')')
}

/// Returns what stands between single quotes, its doubled ones single.
fn quoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let single = inner.replace("''", "");
    (!single.contains('\'')).then(|| inner.replace("''", "'"))
}

fn value(text: &str, column_type: Type) -> Option<Value> {
    Some(match column_type {
        Type::Bool => Value::Bool(match text {
            "true" | "t" => true,
            "false" | "f" => false,
            _ => return None,
        }),
        Type::I64 => Value::I64(text.parse().ok()?),
        Type::F64 => Value::F64(float(text)?),
        Type::Decimal { precision, scale } => {
            let value: Decimal = text.parse().ok()?;
            let value = value.rescale(scale)?;
            Value::Decimal((value.precision() <= precision).then_some(value)?)
        }
        Type::Text => Value::Text(text.into()),
        Type::Bytes => Value::Bytes(hex(text.strip_prefix("\\x")?)?.into()),
        // Only what the server writes in the form of ISO is read.
        Type::Timestamp => Value::Timestamp(text.parse::<Timestamp>().ok()?),
        Type::Date => Value::Date(text.parse::<Date>().ok()?),
        Type::Uuid => {
            let bytes = hex(&text.replace('-', ""))?;
            Value::Uuid(bytes.try_into().ok()?)
        }
        Type::Json => Value::Json(sora_core::json::canonical(text).ok()?.into()),
        _ => return None,
    })
}

fn float(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let is_named = text.contains(['n', 'N']);
    // Rust reads what is too large as infinity; the server refuses it.
    (!value.is_nan() && (value.is_finite() || is_named)).then_some(value)
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
        let zoned = "timestamp with time zone";
        let check = |text: &str, column_type: Type, expected: Option<Value>| {
            let expected = match expected {
                Some(value) => Assigned::Default(value),
                None => Assigned::Store(text.into()),
            };
            assert_eq!(assigned(Some(text), column_type, zoned), expected, "{text}");
        };
        let decimal = Type::Decimal { precision: 4, scale: 2 };
        let text = |text: &str| Some(Value::Text(text.into()));
        check("5", Type::I64, Some(Value::I64(5)));
        check("'-5'::integer", Type::I64, Some(Value::I64(-5)));
        check("(5)::bigint", Type::I64, Some(Value::I64(5)));
        check("('-5'::integer)::smallint", Type::I64, Some(Value::I64(-5)));
        check("1.5", Type::F64, Some(Value::F64(1.5)));
        check("'Infinity'::double precision", Type::F64, Some(Value::F64(f64::INFINITY)));
        check("'NaN'::double precision", Type::F64, None);
        check("'1e999'::numeric", Type::F64, None);
        check("'it''s'::text", Type::Text, text("it's"));
        check("'a::text'::text", Type::Text, text("a::text"));
        check("''::character varying", Type::Text, text(""));
        check("'abc'::character varying(2)", Type::Text, None);
        check("'a'::text || 'b'::text", Type::Text, None);
        check("('a'::text || 'b'::text)", Type::Text, None);
        check("lower('A'::text)", Type::Text, None);
        check("'a'::app.\"my type\"", Type::Text, None);
        check("true", Type::Bool, Some(Value::Bool(true)));
        check("1.5", decimal, Some(Value::Decimal("1.50".parse().expect("a decimal"))));
        check("1.555", decimal, None);
        check("100", decimal, None);
        check("'\\x00ff'::bytea", Type::Bytes, Some(Value::Bytes([0, 255].into())));
        check(
            "'2024-02-29'::date",
            Type::Date,
            Some(Value::Date("2024-02-29".parse().expect("a date"))),
        );
        check(
            "'2024-02-29 14:30:00+02'::timestamp with time zone",
            Type::Timestamp,
            Some(Value::Timestamp("2024-02-29T12:30:00Z".parse().expect("a time"))),
        );
        check("'Thu Feb 29 2024'::timestamp without time zone", Type::Timestamp, None);
        check("'2024-02-29 14:30:00'::timestamp without time zone", Type::Timestamp, None);
        check("('2024-02-29'::date)::timestamp with time zone", Type::Timestamp, None);
        check("CURRENT_USER", Type::Text, None);
        check("('a'::app.t)::text", Type::Text, None);
        check("CURRENT_DATE", Type::Date, None);
        check("gen_random_uuid()", Type::Uuid, None);
        check(
            "'{\"b\": [1, 2], \"a\": 0}'::jsonb",
            Type::Json,
            Some(Value::Json("{\"a\":0,\"b\":[1,2]}".into())),
        );
        check("'x'::mood", Type::Unknown, None);
    }

    #[test]
    fn what_counts_or_tells_the_time_is_known() {
        for (text, column_type, expected) in [
            ("nextval('app.\"T_id_seq\"'::regclass)", Type::I64, Assigned::Identity),
            ("now()", Type::Timestamp, Assigned::Now),
            ("CURRENT_TIMESTAMP", Type::Timestamp, Assigned::Now),
            ("NULL::character varying", Type::Text, Assigned::Caller),
            ("(nextval('s'::regclass) * 2)", Type::I64, {
                Assigned::Store("(nextval('s'::regclass) * 2)".into())
            }),
        ] {
            assert_eq!(assigned(Some(text), column_type, ""), expected, "{text}");
        }
        assert_eq!(assigned(None, Type::I64, ""), Assigned::Caller);
    }
}
