//! Every type of column.

use rust_decimal::Decimal as RustDecimal;
use sora_core::json::Json;
use sora_core::{
    Cell, Column, ColumnType as _, Date, Decimal, Entity, ErrorKind, Schema, Timestamp, Type,
};
use sora_macros::{ColumnType, Entity};
use uuid::Uuid;

use crate::{Id, Kind, Percent, cells, text};

#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(crate = "sora_core")]
struct Everything {
    #[sora(key)]
    id: i64,
    flag: bool,
    tiny: i8,
    small: i16,
    medium: i32,
    byte: u8,
    word: u16,
    long: u32,
    real: f32,
    double: f64,
    text: String,
    boxed: Box<str>,
    bytes: Vec<u8>,
    blob: Box<[u8]>,
    #[sora(decimal(10, 2))]
    price: Decimal,
    #[sora(decimal(28, 28))]
    rust_price: RustDecimal,
    moment: Timestamp,
    jiff_moment: jiff::Timestamp,
    day: Date,
    jiff_day: jiff::civil::Date,
    uuid: Uuid,
    wrapped: Json<Vec<u8>>,
    maybe_flag: Option<bool>,
    maybe_tiny: Option<i8>,
    maybe_text: Option<String>,
    #[sora(decimal(4, 0))]
    maybe_price: Option<Decimal>,
    maybe_day: Option<jiff::civil::Date>,
    maybe_uuid: Option<Uuid>,
}

#[derive(ColumnType)]
#[sora(crate = "sora_core", rename_all = "SCREAMING_SNAKE_CASE")]
enum Loud {
    VeryLoud,
}

fn everything() -> Everything {
    Everything {
        id: i64::MIN,
        flag: true,
        tiny: -128,
        small: -1,
        medium: i32::MAX,
        byte: 255,
        word: 65_535,
        long: u32::MAX,
        real: 0.1,
        double: -1e300,
        text: "Zoë".into(),
        boxed: "".into(),
        bytes: vec![0, 255],
        blob: [1].into(),
        price: "-0.10".parse().expect("a decimal"),
        rust_price: RustDecimal::new(1, 28),
        moment: Timestamp::MAX,
        jiff_moment: jiff::Timestamp::from_microsecond(-1).expect("in range"),
        day: Date::MIN,
        jiff_day: jiff::civil::Date::new(2024, 2, 29).expect("a date"),
        uuid: Uuid::max(),
        wrapped: Json(vec![1, 2]),
        maybe_flag: Some(false),
        maybe_tiny: Some(0),
        maybe_text: Some(String::new()),
        maybe_price: Some(Decimal::from(7)),
        maybe_day: Some(jiff::civil::Date::new(1, 1, 1).expect("a date")),
        maybe_uuid: Some(Uuid::nil()),
    }
}

#[test]
fn a_schema_has_the_types_of_the_fields() {
    let decimal = |precision, scale| Type::Decimal { precision, scale };
    let narrow = |name: &str, min: i64, max: i64| Column::new(name, Type::I64).range(min, max);
    let expected = Schema::builder("everything")
        .column(Column::new("id", Type::I64))
        .column(Column::new("flag", Type::Bool))
        .column(narrow("tiny", -128, 127))
        .column(narrow("small", -32_768, 32_767))
        .column(narrow("medium", i32::MIN.into(), i32::MAX.into()))
        .column(narrow("byte", 0, 255))
        .column(narrow("word", 0, 65_535))
        .column(narrow("long", 0, u32::MAX.into()))
        .column(Column::new("real", Type::F64))
        .column(Column::new("double", Type::F64))
        .column(Column::new("text", Type::Text))
        .column(Column::new("boxed", Type::Text))
        .column(Column::new("bytes", Type::Bytes))
        .column(Column::new("blob", Type::Bytes))
        .column(Column::new("price", decimal(10, 2)))
        .column(Column::new("rust_price", decimal(28, 28)))
        .column(Column::new("moment", Type::Timestamp))
        .column(Column::new("jiff_moment", Type::Timestamp))
        .column(Column::new("day", Type::Date))
        .column(Column::new("jiff_day", Type::Date))
        .column(Column::new("uuid", Type::Uuid))
        .column(Column::new("wrapped", Type::Json))
        .column(Column::new("maybe_flag", Type::Bool).nullable())
        .column(narrow("maybe_tiny", -128, 127).nullable())
        .column(Column::new("maybe_text", Type::Text).nullable())
        .column(Column::new("maybe_price", decimal(4, 0)).nullable())
        .column(Column::new("maybe_day", Type::Date).nullable())
        .column(Column::new("maybe_uuid", Type::Uuid).nullable())
        .key(["id"])
        .build()
        .expect("a schema");
    assert_eq!(**Everything::schema().expect("a schema"), expected);
}

#[test]
fn rows_come_back_as_they_were() {
    let empty = Everything {
        maybe_flag: None,
        maybe_tiny: None,
        maybe_text: None,
        maybe_price: None,
        maybe_day: None,
        maybe_uuid: None,
        ..everything()
    };
    for row in [everything(), empty] {
        let written = cells(|out| Entity::encode(&row, out));
        assert_eq!(written.len(), 28);
        assert_eq!(Everything::decode(&written).expect("decodes"), row);
    }
}

#[test]
fn a_value_that_no_store_holds_is_an_error_with_its_column() {
    let year_0 = jiff::civil::Date::new(0, 1, 1).expect("a date");
    let row = Everything { jiff_day: year_0, ..everything() };
    let error = Entity::encode(&row, &mut Vec::new()).expect_err("no year 0");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().ends_with("(column: jiff_day)"), "{error}");
}

#[test]
fn enums_and_newtypes_are_columns() {
    let kinds = [Kind::Draft, Kind::InReview, Kind::Published, Kind::r#Gone];
    let texts = ["draft", "in_review", "live!", "gone"];
    for (kind, expected) in kinds.into_iter().zip(texts) {
        assert_eq!(cells(|out| kind.encode(out)), [text(expected)]);
        assert_eq!(Kind::decode(Cell::Text(expected)).expect("decodes"), kind);
    }
    let error = Kind::decode(Cell::I64(1)).expect_err("no text");
    assert_eq!(error.to_string(), "expected Kind, found the i64 1");
    assert_eq!((Percent::TYPE, Percent::RANGE), (Type::I64, Some((0, 255))));
    assert!(Percent::decode(Cell::I64(256)).is_err());
    let nullable = [Id::<Option<String>>::NULLABLE, Id::<String>::NULLABLE, Kind::NULLABLE];
    assert_eq!(nullable, [true, false, false]);
    assert_eq!(cells(|out| Loud::VeryLoud.encode(out)), [text("VERY_LOUD")]);
}
