use proptest::prelude::*;
use sora_core::Value;
use sora_sql::ParameterType;

use super::*;
use crate::parameter::{encode, wire_type};

/// Decodes bytes of a type of the server.
fn decode(wire: &WireType, bytes: &[u8], expected: Type) -> Result<Value, String> {
    let raw = Raw::from_sql(wire, bytes).expect("any bytes");
    raw.decode(expected).map(Cell::to_value)
}

const DECIMAL: Type = Type::Decimal { precision: 28, scale: 6 };

fn cells() -> impl Strategy<Value = (Value, ParameterType, Type)> {
    let day = Date::MIN.days()..=Date::MAX.days();
    let micros = Timestamp::MIN.micros()..=Timestamp::MAX.micros();
    let timestamp = |micros| Value::Timestamp(Timestamp::from_micros(micros).expect("in range"));
    let decimal = -(10i128.pow(28) - 1)..10i128.pow(28);
    prop_oneof![
        any::<bool>().prop_map(|value| (Value::Bool(value), ParameterType::Bool, Type::Bool)),
        any::<i64>().prop_map(|value| (Value::I64(value), ParameterType::Int8, Type::I64)),
        any::<f64>()
            .prop_map(|value| { (Value::F64(value + 0.0), ParameterType::Float8, Type::F64) }),
        decimal.prop_map(|mantissa| {
            let value = Decimal::new(mantissa, 6).expect("96 bits");
            (Value::Decimal(value), ParameterType::Numeric, DECIMAL)
        }),
        "\\PC{0,20}".prop_map(|text| (Value::Text(text.into()), ParameterType::Text, Type::Text)),
        any::<Vec<u8>>()
            .prop_map(|bytes| { (Value::Bytes(bytes.into()), ParameterType::Bytea, Type::Bytes) }),
        day.prop_map(|day| {
            let day = Date::from_days(day).expect("in range");
            (Value::Date(day), ParameterType::Date, Type::Date)
        }),
        micros.clone().prop_map(move |micros| {
            (timestamp(micros), ParameterType::Timestamptz, Type::Timestamp)
        }),
        micros.prop_map(move |micros| {
            (timestamp(micros), ParameterType::Timestamp, Type::Timestamp)
        }),
        any::<[u8; 16]>().prop_map(|uuid| (Value::Uuid(uuid), ParameterType::Uuid, Type::Uuid)),
        Just((Value::Json("{\"a\":1}".into()), ParameterType::Jsonb, Type::Json)),
        Just((Value::Json("[1,2.50]".into()), ParameterType::Json, Type::Json)),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded((value, parameter, expected) in cells()) {
        let mut bytes = Vec::new();
        prop_assert!(encode(value.cell(), parameter, &mut bytes).expect("encoded"));
        let decoded = decode(&wire_type(parameter, false), &bytes, expected).expect("decoded");
        prop_assert_eq!(decoded.cell(), value.cell());
    }

    #[test]
    fn values_of_columns_that_only_the_store_knows_go_as_text(
        (value, _, expected) in cells()
    ) {
        let mut bytes = Vec::new();
        prop_assert!(encode(value.cell(), ParameterType::Text, &mut bytes).expect("encoded"));
        let read = matches!(
            expected,
            Type::Text | Type::Decimal { .. } | Type::Date | Type::Timestamp | Type::Uuid
        );
        if read {
            let decoded = decode(&WireType::TEXT, &bytes, expected).expect("decoded");
            prop_assert_eq!(decoded.cell(), value.cell());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, (_, parameter, expected) in cells()) {
        let _ = decode(&wire_type(parameter, false), &bytes, expected);
    }
}

#[test]
fn narrower_types_are_widened() {
    for (wire, bytes, expected, value) in [
        (WireType::INT2, &(-5i16).to_be_bytes()[..], Type::I64, Value::I64(-5)),
        (WireType::INT4, &7i32.to_be_bytes(), Type::I64, Value::I64(7)),
        (WireType::OID, &u32::MAX.to_be_bytes(), Type::I64, Value::I64(u32::MAX.into())),
        (WireType::FLOAT4, &0.1f32.to_be_bytes(), Type::F64, Value::F64(0.1f32.into())),
        (WireType::FLOAT8, &f64::NAN.to_be_bytes(), Type::F64, Value::F64(f64::NAN)),
        (WireType::VARCHAR, b"a", Type::Text, Value::Text("a".into())),
        (WireType::NAME, b"a", Type::Unknown, Value::Text("a".into())),
    ] {
        let decoded = decode(&wire, bytes, expected).expect("decoded");
        assert_eq!(decoded.cell(), value.cell(), "{wire}");
    }
    assert_eq!(
        Raw::from_sql_null(&WireType::INT8).expect("null").decode(Type::I64),
        Ok(Cell::Null)
    );
}

#[test]
fn what_is_no_value_of_the_column_is_refused() {
    for (wire, bytes, expected, why) in [
        (WireType::TIMESTAMPTZ, &i64::MAX.to_be_bytes()[..], Type::Timestamp, "an infinity"),
        (WireType::TIMESTAMP, &(i64::MIN + 1).to_be_bytes(), Type::Timestamp, "years 1 to 9999"),
        (WireType::DATE, &i32::MIN.to_be_bytes(), Type::Date, "an infinity"),
        (WireType::DATE, &(i32::MAX - 1).to_be_bytes(), Type::Date, "years 1 to 9999"),
        (WireType::TEXT, &[0xFF], Type::Text, "not UTF-8"),
        (WireType::TEXT, b"abc", Type::Uuid, "no UUID"),
        (WireType::TEXT, b"abc", Type::I64, "a value of type text, not i64"),
        (WireType::INT8, &[0; 4], Type::I64, "4 bytes instead of 8"),
        (WireType::JSONB, &[2, b'1'], Type::Json, "in a version"),
        (WireType::POINT, &[0; 16], Type::Unknown, "does not read"),
    ] {
        let error = decode(&wire, bytes, expected).expect_err(why);
        assert!(error.contains(why), "{error}");
    }
    let mut bytes = Vec::new();
    numeric::encode("12.345".parse().expect("a decimal"), &mut bytes);
    let narrow = Type::Decimal { precision: 4, scale: 2 };
    let error = decode(&WireType::NUMERIC, &bytes, narrow).expect_err("too many digits");
    assert!(error.contains("more than 4 digits, 2 of them"), "{error}");
}
