//! Defaults that the store gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal as RustDecimal;
use sora_core::{Assigned, Date, Decimal, Entity, ErrorKind, Schema, Timestamp, Value};
use sora_macros::Entity;
use uuid::Uuid;

use crate::{Kind, Percent, text};

/// Every kind of default.
#[derive(Debug, Entity)]
#[sora(crate = "sora_core")]
struct Defaults {
    #[sora(key, uuid_v7)]
    id: Uuid,
    #[sora(default = true)]
    yes: bool,
    #[sora(default = -5)]
    integer: i64,
    #[sora(default = 255)]
    byte: Option<u8>,
    #[sora(default = -2.5)]
    float: f64,
    #[sora(default = 2)]
    whole: f64,
    #[sora(default = "O'Brien")]
    text: String,
    #[sora(default = "1.5", decimal(4, 2))]
    price: Decimal,
    #[sora(default = 3, decimal(4, 2))]
    round: RustDecimal,
    #[sora(default = "2024-02-29")]
    day: Date,
    #[sora(default = "2024-02-29T12:00:00Z")]
    moment: Timestamp,
    #[sora(default = "00000000-0000-0000-0000-000000000001")]
    other: Uuid,
    #[sora(json, default = "{ \"b\": 1, \"a\": 2 }")]
    json: BTreeMap<String, u8>,
    #[sora(default = "in_review")]
    kind: Kind,
    #[sora(default = 50)]
    percent: Percent,
}

#[test]
fn defaults_are_values_of_their_columns() {
    let schema = Defaults::schema().expect("a schema");
    let expected = [
        Value::Bool(true),
        Value::I64(-5),
        Value::I64(255),
        Value::F64(-2.5),
        Value::F64(2.0),
        text("O'Brien"),
        Value::Decimal(Decimal::new(150, 2).expect("a decimal")),
        Value::Decimal(Decimal::new(300, 2).expect("a decimal")),
        Value::Date("2024-02-29".parse().expect("a date")),
        Value::Timestamp("2024-02-29T12:00:00Z".parse().expect("a timestamp")),
        Value::Uuid(Uuid::from_u128(1).into_bytes()),
        Value::Json(r#"{"a":2,"b":1}"#.into()),
        text("in_review"),
        Value::I64(50),
    ];
    let found: Vec<_> =
        schema.columns()[1..].iter().map(|column| column.assigned.clone()).collect();
    assert_eq!(found, expected.map(Assigned::Default));
    let Assigned::Default(Value::Decimal(price)) = found[6] else { panic!("a decimal") };
    assert_eq!(price.scale(), 2, "in the form that stores hold");
}

#[test]
fn a_default_that_the_field_cannot_hold_is_an_error_of_the_schema() {
    #[derive(Entity)]
    #[sora(crate = "sora_core")]
    struct NoDay {
        #[sora(key, default = "2024-02-30")]
        day: Date,
    }

    #[derive(Entity)]
    #[sora(crate = "sora_core")]
    struct NoVariant {
        #[sora(key, default = "deleted")]
        kind: Kind,
    }

    #[derive(Entity)]
    #[sora(crate = "sora_core")]
    struct NoRoom {
        #[sora(key)]
        id: i64,
        #[sora(default = "1.005", decimal(4, 2))]
        price: Decimal,
    }

    #[derive(Entity)]
    #[sora(crate = "sora_core")]
    struct NoJson {
        #[sora(key)]
        id: i64,
        #[sora(json, default = "{")]
        json: BTreeMap<String, u8>,
    }

    let check = |schema: sora_core::Result<&'static Arc<Schema>>, table: &str, part: &str| {
        let error = schema.expect_err(table);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(part), "{error}");
        assert!(error.context().any(|context| context == ("table", table)), "{error}");
    };
    check(NoDay::schema(), "no_day", "the default of the column \"day\" is wrong");
    check(NoVariant::schema(), "no_variant", "\"deleted\" is no Kind");
    check(NoRoom::schema(), "no_room", "'1.005' is no value of type decimal(4,2)");
    check(NoJson::schema(), "no_json", "not JSON");
}
