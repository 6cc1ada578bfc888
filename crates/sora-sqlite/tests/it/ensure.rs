//! Tables that are made to fit a schema.

use expect_test::expect;
use sora_core::{Assigned, Column, ErrorKind, Schema, Type, Value};

use crate::support::{Store, bind, ensure, fill, live, text as value};

fn cities() -> Schema {
    Schema::builder("cities")
        .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
        .column(Column::new("name", Type::Text).assigned(Assigned::Default(value("?"))))
        .column(Column::new("founded", Type::Date).nullable())
        .column(Column::new("level", Type::I64).range(0, 9))
        .key(["id"])
        .index(["founded"])
        .unique(["name"])
        .build()
        .expect("a schema")
}

#[tokio::test]
async fn a_table_that_is_made_is_found_as_it_was_meant() {
    let store = Store::new().await;
    let report = ensure(&store.sqlite, &cities()).await.expect("ensured");
    assert_eq!((report.created.len(), report.differs.len()), (3, 0));
    let found = live(&store.sqlite, "cities").await.to_schema().expect("a schema");
    assert_eq!(found, cities());
    let again = ensure(&store.sqlite, &cities()).await.expect("ensured");
    assert_eq!(again, sora_core::provider::SchemaReport::default());
    // A missing index is made again.
    store.sql("DROP INDEX cities_founded_idx");
    let report = ensure(&store.sqlite, &cities()).await.expect("ensured");
    assert_eq!(report.created, ["CREATE INDEX \"cities_founded_idx\" ON \"cities\" (\"founded\")"]);
}

#[tokio::test]
async fn what_differs_is_reported_and_left() {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE cities (name TEXT NOT NULL, founded INTEGER, extra TEXT NOT NULL, \
         unused TEXT, UNIQUE (extra)); CREATE UNIQUE INDEX found ON cities (founded); \
         INSERT INTO cities VALUES ('a', 1, 'x', NULL)",
    );
    let before = store.rows("SELECT sql FROM sqlite_schema WHERE name = 'cities'");
    let report = ensure(&store.sqlite, &cities()).await.expect("ensured");
    let differs: Vec<String> = report
        .differs
        .iter()
        .map(|differs| {
            format!("{}\n    {}", differs.what, differs.remedy.as_deref().unwrap_or("-"))
        })
        .collect();
    expect![[r#"
        the column "id" is missing, and rows that are there would have no value for it: give it a constant default or make it nullable
            -
        the default of the column "name" is none in the store, and '?' in the schema
            -
        the column "founded" is i64 ("INTEGER" in SQLite), not date
            -
        the column "level" is missing, and rows that are there would have no value for it: give it a constant default or make it nullable
            -
        the table has a column "extra" that is never null and has no default: rows cannot be inserted without it
            -
        the key is (rowid) in the store, and (id) in the schema
            -
        the store has a unique index "found" on (founded)
            DROP INDEX "found"
        the store has a unique index "sqlite_autoindex_cities_1" on (extra)
            -"#]].assert_eq(&differs.join("\n"));
    assert_eq!(store.rows("SELECT sql FROM sqlite_schema WHERE name = 'cities'"), before);
}

#[tokio::test]
async fn a_remedy_mends_what_it_is_offered_for() {
    let store = Store::new().await;
    store.sql("CREATE TABLE strict (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT");
    let wider = Schema::builder("strict")
        .column(Column::new("id", Type::I64))
        .column(Column::new("name", Type::Text))
        .column(Column::new("day", Type::Date).nullable())
        .column(Column::new("level", Type::I64).assigned(Assigned::Default(Value::I64(1))))
        .key(["id"])
        .build()
        .expect("a schema");
    let report = ensure(&store.sqlite, &wider).await.expect("ensured");
    assert_eq!(report.differs.len(), 2);
    for differs in &report.differs {
        store.sql(differs.remedy.as_deref().expect("a remedy"));
    }
    let report = ensure(&store.sqlite, &wider).await.expect("ensured");
    assert_eq!(report.differs, []);
    assert_eq!(live(&store.sqlite, "strict").await.columns[2].column_type, Type::Date);
}

#[tokio::test]
async fn equal_rows_are_in_the_way_of_a_unique_index() {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE cities (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL) STRICT",
    );
    store.sql("INSERT INTO cities (name) VALUES ('a'), ('a')");
    let schema = Schema::builder("cities")
        .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
        .column(Column::new("name", Type::Text))
        .key(["id"])
        .index(["name", "id"])
        .unique(["name"])
        .build()
        .expect("a schema");
    let error = ensure(&store.sqlite, &schema).await.expect_err("refused");
    assert_eq!((error.kind(), error.constraint()), (ErrorKind::Conflict, Some("cities_name_key")));
    assert!(error.to_string().contains("rows that are there have the same (name)"), "{error}");
    // Nothing of it was done.
    assert_eq!(store.rows("SELECT count(*) FROM sqlite_schema WHERE type = 'index'"), ["0"]);
    // A name that is taken elsewhere is told.
    store.sql("UPDATE cities SET name = id; CREATE TABLE cities_name_key (a TEXT)");
    let report = ensure(&store.sqlite, &schema).await.expect("ensured");
    assert!(report.differs[0].what.contains("its name is taken by"), "{report:?}");
}

#[tokio::test]
async fn what_is_remembered_is_believed_only_while_it_fits() {
    let store = Store::new().await;
    let schema = Schema::builder("days")
        .column(Column::new("id", Type::I64))
        .column(Column::new("day", Type::Date))
        .key(["id"])
        .build()
        .expect("a schema");
    let binding = bind(&store.sqlite, schema).await;
    fill(&store.sqlite, &binding, &[&[Value::I64(1), Value::Date(sora_core::Date::MIN)]]).await;
    let day = async || live(&store.sqlite, "days").await.columns[1].column_type;
    assert_eq!(day().await, Type::Date);
    store.sql("DROP TABLE days; CREATE TABLE days (id INTEGER PRIMARY KEY, day TEXT)");
    assert_eq!(day().await, Type::Text);
    store.sql("DROP TABLE days; CREATE TABLE days (id INTEGER PRIMARY KEY, day BLOB) STRICT");
    assert_eq!(day().await, Type::Bytes);
}

#[tokio::test]
async fn checks_keep_out_what_is_not_of_the_type() {
    let store = Store::new().await;
    let schema = Schema::builder("checked")
        .column(Column::new("flag", Type::Bool).nullable())
        .column(Column::new("day", Type::Date).nullable())
        .column(Column::new("at", Type::Timestamp).nullable())
        .column(Column::new("price", Type::Decimal { precision: 4, scale: 2 }).nullable())
        .column(Column::new("part", Type::Decimal { precision: 2, scale: 2 }).nullable())
        .column(Column::new("whole", Type::Decimal { precision: 3, scale: 0 }).nullable())
        .column(Column::new("uuid", Type::Uuid).nullable())
        .build()
        .expect("a schema");
    bind(&store.sqlite, schema).await;
    let db = rusqlite::Connection::open(store.path()).expect("opened");
    let try_insert = |column: &str, literal: &str| {
        db.execute_batch(&format!("INSERT INTO checked ({column}) VALUES ({literal})")).is_ok()
    };
    for (column, good, bad) in [
        ("flag", &["0", "1", "NULL"][..], &["2", "'x'"][..]),
        ("day", &["'2024-02-29'", "'0001-01-01'"], &["'2023-02-29'", "'2024-2-9'", "'now'", "''"]),
        (
            "at",
            &["'2024-02-29T23:59:59.999999Z'", "'0001-01-01T00:00:00.000000Z'"],
            &[
                "'2024-02-29T24:00:00.000000Z'",
                "'2024-02-30T00:00:00.000000Z'",
                "'2024-02-29 00:00:00.000000Z'",
                "'2024-02-29T00:00:00Z'",
                "'2024-02-29T00:60:00.000000Z'",
            ],
        ),
        (
            "price",
            &["'0.00'", "'-0.01'", "'99.99'", "'-99.99'"],
            &[
                "'-0.00'", "'1.5'", "'01.50'", "'.50'", "'100.00'", "'1.500'", "'1,50'",
                "'--1.50'", "'1.-50'", "''", "'1..50'", "'+1.50'",
            ],
        ),
        ("part", &["'0.99'", "'-0.50'"], &["'1.00'", "'.50'"]),
        ("whole", &["'0'", "'-999'"], &["'1000'", "'-0'", "'1.0'", "'007'"]),
        ("uuid", &["randomblob(16)"], &["randomblob(15)", "''"]),
    ] {
        for literal in good {
            assert!(try_insert(column, literal), "{column} {literal}");
        }
        for literal in bad {
            assert!(!try_insert(column, literal), "{column} {literal}");
        }
    }
}
