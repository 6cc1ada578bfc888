//! Tables and indexes as SQL.

use super::*;

#[test]
fn tables_check_what_strict_does_not() {
    let schema = Schema::builder("all")
        .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
        .column(Column::new("flag", Type::Bool).assigned(Assigned::Default(Value::Bool(true))))
        .column(Column::new("byte", Type::I64).range(0, 255).nullable())
        .column(Column::new("uuid", Type::Uuid).assigned(Assigned::UuidV7))
        .column(Column::new("day", Type::Date).nullable())
        .column(Column::new("at", Type::Timestamp).assigned(Assigned::Now))
        .column(Column::new("price", Type::Decimal { precision: 3, scale: 1 }).nullable())
        .column(
            Column::new("it's", Type::Text).assigned(Assigned::Default(Value::Text("'".into()))),
        )
        .key(["id"])
        .index(["day"])
        .unique(["uuid"])
        .build()
        .expect("a schema");
    let table = crate::create_table::<Sqlite>(&schema).expect("a table").replace(", \"", ",\n\"");
    expect![[r#"
        CREATE TABLE IF NOT EXISTS "all" ("id" INTEGER PRIMARY KEY AUTOINCREMENT,
        "flag" INTEGER NOT NULL DEFAULT 1 CHECK ("flag" IN (0, 1)),
        "byte" INTEGER CHECK ("byte" BETWEEN 0 AND 255),
        "uuid" BLOB NOT NULL CHECK (length("uuid") = 16),
        "day" TEXT CHECK ("day" IS date("day")),
        "at" TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') CHECK ("at" GLOB '????-??-??T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z' AND substr("at", 1, 19) IS strftime('%Y-%m-%dT%H:%M:%S', substr("at", 1, 19))),
        "price" TEXT CHECK ("price" NOT GLOB '*[^-.0-9]*' AND "price" NOT GLOB '?*-*' AND "price" GLOB '*[0-9].[0-9]' AND ltrim("price", '-') NOT GLOB '0[0-9]*' AND ltrim("price", '-') NOT GLOB '.*' AND "price" <> '-0.0' AND "price" NOT GLOB '*.*.*' AND length(ltrim("price", '-')) <= 4),
        "it's" TEXT NOT NULL DEFAULT '''') STRICT"#]].assert_eq(&table);
    let index = |at: usize| crate::create_index::<Sqlite>(&schema, &schema.indexes()[at]);
    expect![[r#"CREATE INDEX "all_day_idx" ON "all" ("day")"#]].assert_eq(&index(0));
    expect![[r#"CREATE UNIQUE INDEX "all_uuid_key" ON "all" ("uuid")"#]].assert_eq(&index(1));
    let add =
        |column: u16| crate::add_column::<Sqlite>("all", schema.column(column)).expect("a column");
    assert_eq!(
        add(4).as_deref().map(|text| text.starts_with("ALTER TABLE \"all\" ADD")),
        Some(true)
    );
    assert_eq!(add(3), None);
    assert_eq!(add(5), None);
}

#[test]
fn an_index_ends_in_the_key_unless_it_does_anyway() {
    let schema = Schema::builder("t")
        .column(Column::new("a", Type::Text))
        .column(Column::new("b", Type::Text))
        .column(Column::new("c", Type::Text))
        .key(["a", "b"])
        .index(["c"])
        .index(["b", "c"])
        .unique(["c", "b"])
        .build()
        .expect("a schema");
    let indexes: Vec<String> = schema
        .indexes()
        .iter()
        .map(|index| crate::create_index::<Sqlite>(&schema, index))
        .collect();
    expect![[r#"
        CREATE INDEX "t_c_idx" ON "t" ("c", "a", "b")
        CREATE INDEX "t_b_c_idx" ON "t" ("b", "c", "a")
        CREATE UNIQUE INDEX "t_c_b_key" ON "t" ("c", "b")"#]]
    .assert_eq(&indexes.join("\n"));
    let table = crate::create_table::<Sqlite>(&schema).expect("a table");
    expect![[r#"CREATE TABLE IF NOT EXISTS "t" ("a" TEXT NOT NULL, "b" TEXT NOT NULL, "c" TEXT NOT NULL, PRIMARY KEY ("a", "b")) STRICT"#]].assert_eq(&table);
    let counted = Schema::builder("t")
        .column(Column::new("a", Type::Text))
        .column(Column::new("n", Type::I64).assigned(Assigned::Identity))
        .key(["a"])
        .build()
        .expect("a schema");
    let error = crate::create_table::<Sqlite>(&counted).expect_err("refused");
    assert!(error.to_string().contains("counts up"), "{error}");
}
