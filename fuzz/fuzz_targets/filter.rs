//! Any text is read as a filter or refused with a message, and what a filter displays is read as
//! that filter.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sora_core::text::{Parameters, parse};
use sora_core::{Column, FilterLimits, Schema, Type, Value};

/// A table with a column of every type and names that need quotes.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let columns = [
        ("a", Type::Bool),
        ("b", Type::Bytes),
        ("d", Type::Date),
        ("f", Type::F64),
        ("i", Type::I64),
        ("j", Type::Json),
        ("n", Type::Decimal { precision: 6, scale: 2 }),
        ("w", Type::Decimal { precision: 28, scale: 28 }),
        ("s", Type::Text),
        ("t", Type::Timestamp),
        ("u", Type::Uuid),
        ("o", Type::Unknown),
        ("or", Type::I64),
        ("é \"x\"", Type::Text),
    ];
    columns
        .map(|(name, column_type)| Column::new(name, column_type).nullable())
        .into_iter()
        .fold(Schema::builder("t"), |builder, column| builder.column(column))
        .build()
        .expect("a schema")
});

fuzz_target!(|text: &str| {
    check(text, &Parameters::none());
    if text.contains('?') {
        check(text, &Parameters::from([Value::I64(5)]));
        check(text, &Parameters::from([Value::Text("%_\\'".into()), Value::F64(-0.5)]));
    }
    if text.contains(":p") {
        check(text, &Parameters::from([("p", Value::Null)]));
    }
});

fn check(text: &str, parameters: &Parameters) {
    let limits = FilterLimits::default();
    match parse(text, &SCHEMA, parameters, limits) {
        Ok(predicate) => {
            let shown = predicate.display(&SCHEMA).to_string();
            // What is displayed can be longer than what was read: 1e15 is 1000000000000000.0.
            let mut unbounded = limits;
            unbounded.bytes_max = usize::MAX;
            match parse(&shown, &SCHEMA, &Parameters::none(), unbounded) {
                Ok(again) => assert_eq!(again, predicate, "displayed as {shown}"),
                Err(error) => panic!("displayed as {shown}, which is refused: {error}"),
            }
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty());
            assert!(!message.contains(|c: char| c.is_control() && c != '\n'), "{message:?}");
        }
    }
}
