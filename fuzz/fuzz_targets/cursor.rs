//! Any text is a cursor or refused with a message, a cursor displays as the one text that it is read
//! from, and any query takes it or refuses it.

#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use sora_core::{Column, Cursor, Predicate, Schema, Sort, Type, Value};

/// A table with a column of every type that can be sorted by, and one that is never null.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let columns = [
        ("a", Type::Bool),
        ("b", Type::Bytes),
        ("d", Type::Date),
        ("f", Type::F64),
        ("n", Type::Decimal { precision: 6, scale: 2 }),
        ("s", Type::Text),
        ("t", Type::Timestamp),
        ("u", Type::Uuid),
    ];
    columns
        .map(|(name, column_type)| Column::new(name, column_type).nullable())
        .into_iter()
        .fold(Schema::builder("t"), |builder, column| builder.column(column))
        .column(Column::new("id", Type::I64))
        .key(["id"])
        .build()
        .expect("a schema")
});

/// A sort by each column and the key, one by all, and none.
static SORTS: LazyLock<Vec<Vec<Sort>>> = LazyLock::new(|| {
    let by = |column| Sort { column, descending: column % 2 == 1 };
    let mut sorts: Vec<Vec<Sort>> = (0..8).map(|column| vec![by(column), by(8)]).collect();
    sorts.push((0..9).map(by).collect());
    sorts.push(Vec::new());
    sorts
});

/// What a token of the table starts with, for each sort.
static HEADS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let head = |sort: &Vec<Sort>| {
        let token = Cursor::new(&SCHEMA, &Predicate::ALL, sort, Vec::new()).to_string();
        let mut bytes = URL_SAFE_NO_PAD.decode(token).expect("a token is base64url");
        // The number of values is the input's.
        bytes.truncate(bytes.len() - 2);
        bytes
    };
    SORTS.iter().map(head).collect()
});

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        check(text);
    }
    // The bytes inside a token of any table.
    check(&URL_SAFE_NO_PAD.encode(data));
    // The values inside a token of this table and one of its sorts.
    if let Some((first, values)) = data.split_first() {
        let head = &HEADS[usize::from(*first) % HEADS.len()];
        check(&URL_SAFE_NO_PAD.encode([head, values].concat()));
    }
});

fn check(token: &str) {
    let cursor = match token.parse::<Cursor>() {
        Ok(cursor) => cursor,
        Err(error) => {
            let message = error.to_string();
            assert!(message.starts_with("the cursor cannot be used: "), "{message:?}");
            return;
        }
    };
    assert_eq!(cursor.to_string(), token, "one text for each token");
    for sort in &*SORTS {
        // Null is no value of the key, so no cursor starts behind it.
        let Ok(values) = cursor.values(&SCHEMA, &Predicate::ALL, sort) else { continue };
        assert_eq!(values.len(), sort.len());
        assert!(sort.iter().zip(values).all(|(by, value)| by.column != 8 || *value != Value::Null));
        let again = Cursor::new(&SCHEMA, &Predicate::ALL, sort, values.to_vec());
        assert_eq!(again.to_string(), token, "made anew");
    }
}
