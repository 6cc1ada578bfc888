//! What SQLite holds of each type, as other programs see it.

use std::sync::Arc;

use rusqlite::Connection;
use sora::{Column, ErrorKind, Schema, Sora, Type, Value};

use super::{fails, write};

fn schema() -> Schema {
    Schema::builder("everything")
        .column(Column::new("id", Type::I64))
        .column(Column::new("flag", Type::Bool))
        .column(Column::new("tiny", Type::I64).range(-128, 127))
        .column(Column::new("float", Type::F64))
        .column(Column::new("price", Type::Decimal { precision: 6, scale: 2 }))
        .column(Column::new("text", Type::Text))
        .column(Column::new("bytes", Type::Bytes))
        .column(Column::new("at", Type::Timestamp))
        .column(Column::new("day", Type::Date))
        .column(Column::new("uuid", Type::Uuid))
        .column(Column::new("json", Type::Json).nullable())
        .key(["id"])
        .build()
        .expect("a schema")
}

#[tokio::test]
async fn sqlite_holds_every_type_in_one_form() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("values.db");
    let address = format!("sqlite:{}", path.to_str().expect("a path in UTF-8"));
    let store = Sora::open(&address).await.expect("the store opens");
    store.ensure(&Arc::new(schema())).await.expect("the table is made");
    let table = store.table("everything").await.expect("the table opens");
    let row = [
        Value::I64(1),
        Value::Bool(true),
        Value::I64(-128),
        Value::F64(-0.0),
        Value::Decimal("-1.5".parse().expect("a decimal")),
        Value::Text("5".into()),
        Value::Bytes(b"5".as_slice().into()),
        Value::Timestamp("2024-02-29 12:30+01:00".parse().expect("a timestamp")),
        Value::Date("0001-01-01".parse().expect("a date")),
        Value::Uuid([0xAB; 16]),
        Value::Json("null".into()),
    ];
    write(&table, &row).await.expect("written");

    let sqlite = Connection::open(&path).expect("opened");
    let cell = |column: &str| {
        let form = format!(
            "typeof({column}) || ' ' || iif({column} IS CAST({column} AS BLOB), hex({column}), {column})"
        );
        let select = format!("SELECT {form} FROM everything");
        let cell: String = sqlite.query_row(&select, [], |row| row.get(0)).expect(column);
        cell
    };
    let columns = schema();
    let held: Vec<String> = columns.columns().iter().map(|column| cell(&column.name)).collect();
    assert_eq!(
        held,
        [
            "integer 1",
            "integer 1",
            "integer -128",
            "real 0.0",
            "text -1.50",
            "text 5",
            "blob 35",
            "text 2024-02-29T11:30:00.000000Z",
            "text 0001-01-01",
            "blob ABABABABABABABABABABABABABABABAB",
            "text null",
        ]
    );

    // The table keeps out what is not of its types, and orders nothing by a collation of Sora's.
    let made: String = sqlite
        .query_row("SELECT sql FROM sqlite_schema WHERE name = 'everything'", [], |row| row.get(0))
        .expect("the statement");
    assert!(made.ends_with(" STRICT") && !made.contains("COLLATE"), "{made}");
    for wrong in ["tiny = 128", "flag = 2", "price = '1.5'", "float = 'x'", "day = '2023-02-29'"] {
        let update = format!("UPDATE everything SET {wrong}");
        assert!(sqlite.execute(&update, []).is_err(), "{wrong}");
    }

    // The types that SQLite lacks are remembered.
    let again = Sora::open(&address).await.expect("the store opens again");
    let again = again.table("everything").await.expect("the table opens");
    assert_eq!(again.schema().columns()[1..], columns.columns()[1..]);
    assert_eq!(again.schema().key(), columns.key());
    fails(write(&again, &row).await, ErrorKind::Conflict, "");
}
