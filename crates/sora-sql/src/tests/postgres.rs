//! Reads and tables as PostgreSQL's SQL.

use super::*;

/// The table of the other tests, its text in one of three collations.
fn table(collation: Option<&str>, is_deterministic: bool) -> Arc<Binding> {
    let schema = schema();
    let mut live = LiveTable::from(&schema);
    for column in live.columns.iter_mut().filter(|column| column.column_type == Type::Text) {
        column.collation = collation.map(Into::into);
        column.is_deterministic = is_deterministic;
    }
    Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"))
}

fn check_all(binding: &Arc<Binding>, filters: &[&str], expected: &Expect) {
    let mut shown = String::new();
    for text in filters {
        let mut read = Read::new(binding.clone(), Arc::from([ID]));
        read.filter = filter(binding, text);
        let text = show_read_in::<Postgres>(&read);
        let start = text.find(" WHERE ").map_or(0, |at| at + " WHERE ".len());
        shown += &text[start..];
    }
    expected.assert_eq(&shown);
}

#[test]
fn parameters_are_typed_and_lists_are_arrays() {
    check_all(
        &table(None, true),
        &[
            "size = 5 AND NOT active",
            "size IN (1)",
            "size IN (1, 2, NULL)",
            "name NOT IN ('a', 'b', 'c')",
            "price >= 1.5",
            "NULL OR active IS TRUE",
        ],
        &expect![[r#"
            "size" = $1::int8 AND NOT ("active" = TRUE)
            5
            "size" = $1::int8
            1
            ("size" = ANY($1::int8[]) OR NULL)
            [2 values]
            NOT ("name" = ANY($1::text[]))
            [3 values]
            "price" >= $1::numeric
            1.50
            (NULL OR ("active" = TRUE) IS TRUE)

        "#]],
    );
}

const TEXTS: &[&str] = &[
    "code = 'a' AND code <> 'b' AND code > 'c'",
    "code IN ('a', 'b')",
    "code LIKE 'abc'",
    "code LIKE 'abc%'",
    "code LIKE 'a_c%'",
    "code LIKE '%\\'",
    "code LIKE '\u{10ffff}%'",
    "code ILIKE 'a\\%_'",
];

#[test]
fn text_in_byte_order_is_compared_bare() {
    check_all(
        &table(None, true),
        TEXTS,
        &expect![[r#"
        "code" = $1::text AND "code" <> $2::text AND "code" > $3::text
        'a' · 'b' · 'c'
        "code" = ANY($1::text[])
        [2 values]
        "code" = $1::text
        'abc'
        ("code" >= $1::text AND "code" < $2::text)
        'abc' · 'abd'
        ("code" >= $1::text AND "code" < $2::text AND "code" LIKE $3::text)
        'a' · 'b' · 'a_c%'
        "code" LIKE $1::text
        '%\\'
        ("code" >= $1::text)
        '􏿿'
        "code" COLLATE "C" ILIKE $1::text
        'a\\%_'
    "#]],
    );
}

#[test]
fn linguistic_text_is_equal_bare_and_ordered_by_force() {
    check_all(
        &table(Some("en-US-x-icu"), true),
        TEXTS,
        &expect![[r#"
        "code" = $1::text AND "code" <> $2::text AND "code" COLLATE "C" > $3::text
        'a' · 'b' · 'c'
        "code" = ANY($1::text[])
        [2 values]
        "code" = $1::text
        'abc'
        ("code" ~>=~ $1::text AND "code" ~<~ $2::text)
        'abc' · 'abd'
        ("code" ~>=~ $1::text AND "code" ~<~ $2::text AND "code" LIKE $3::text)
        'a' · 'b' · 'a_c%'
        "code" LIKE $1::text
        '%\\'
        ("code" ~>=~ $1::text)
        '􏿿'
        "code" COLLATE "C" ILIKE $1::text
        'a\\%_'
    "#]],
    );
}

#[test]
fn text_that_is_equal_beyond_its_bytes_is_compared_twice() {
    check_all(
        &table(Some("ignore_case"), false),
        TEXTS,
        &expect![[r#"
        ("code" = $1::text AND "code" COLLATE "C" = $2::text) AND "code" COLLATE "C" <> $3::text AND "code" COLLATE "C" > $4::text
        'a' · 'a' · 'b' · 'c'
        ("code" = ANY($1::text[]) AND "code" COLLATE "C" = ANY($2::text[]))
        [2 values] · [2 values]
        ("code" = $1::text AND "code" COLLATE "C" = $2::text)
        'abc' · 'abc'
        ("code" COLLATE "C" >= $1::text AND "code" COLLATE "C" < $2::text)
        'abc' · 'abd'
        ("code" COLLATE "C" >= $1::text AND "code" COLLATE "C" < $2::text AND "code" COLLATE "C" LIKE $3::text)
        'a' · 'b' · 'a_c%'
        "code" COLLATE "C" LIKE $1::text
        '%\\'
        ("code" COLLATE "C" >= $1::text)
        '􏿿'
        "code" COLLATE "C" ILIKE $1::text
        'a\\%_'
    "#]],
    );
}

#[test]
fn nulls_are_placed_where_there_can_be_some() {
    let mut read = Read::new(table(Some("en-US-x-icu"), true), Arc::from([ID, 1]));
    let mut shown = String::new();
    for (by, after) in [
        (&[(1, false), (ID, false)], [Value::Text("a".into()), Value::I64(1)]),
        (&[(1, true), (ID, true)], [Value::Text("a".into()), Value::I64(1)]),
        (&[(1, false), (ID, false)], [Value::Null, Value::I64(1)]),
        (&[(5, true), (ID, false)], [Value::I64(1), Value::I64(1)]),
    ] {
        read.sort = sort(by);
        read.after = Some(Arc::from(after));
        read.limit = Some(3);
        shown += &show_read_in::<Postgres>(&read);
    }
    read.after = None;
    read.offset = 7;
    shown += &show_read_in::<Postgres>(&read);
    read.limit = None;
    shown += &show_read_in::<Postgres>(&read);
    read.output = Output::Count;
    shown += &show_read_in::<Postgres>(&read);
    expect![[r#"
        SELECT "id", "name" FROM "ci""ties" WHERE ("name" COLLATE "C", "id") > ($1::text, $2::int8) ORDER BY "name" COLLATE "C" NULLS FIRST, "id" LIMIT 3
        'a' · 1
        SELECT "id", "name" FROM "ci""ties" WHERE ("name" COLLATE "C", "id") < ($1::text, $2::int8) ORDER BY "name" COLLATE "C" DESC NULLS LAST, "id" DESC LIMIT 3
        'a' · 1
        SELECT "id", "name" FROM "ci""ties" WHERE "name" IS NULL ORDER BY "name" COLLATE "C" DESC NULLS LAST, "id" DESC LIMIT $1::int8
        3
        SELECT "id", "name" FROM "ci""ties" WHERE "name" IS NULL AND "id" > $1::int8 ORDER BY "name" COLLATE "C" NULLS FIRST, "id" LIMIT 3
        1
        SELECT "id", "name" FROM "ci""ties" WHERE "name" IS NOT NULL ORDER BY "name" COLLATE "C" NULLS FIRST, "id" LIMIT $1::int8
        3
        SELECT "id", "name" FROM "ci""ties" WHERE "size" <= $1::int8 AND ("size" < $2::int8 OR ("size" = $3::int8 AND ("id" > $4::int8))) ORDER BY "size" DESC, "id" LIMIT 3
        1 · 1 · 1 · 1
        SELECT "id", "name" FROM "ci""ties" ORDER BY "size" DESC, "id" LIMIT 3 OFFSET $1::int8
        7
        SELECT "id", "name" FROM "ci""ties" ORDER BY "size" DESC, "id" OFFSET $1::int8
        7
        SELECT count(*) FROM (SELECT 1 FROM "ci""ties" OFFSET $1::int8) AS "_sora_rows"
        7
    "#]].assert_eq(&shown);
}

#[test]
fn keys_are_found_by_value_array_or_join() {
    let mut shown = String::new();
    let mut read = Read::new(table(None, true), Arc::from([ID]));
    for count in 0..4 {
        let ids: Vec<[Value; 1]> = (0..count).map(|id| [Value::I64(id)]).collect();
        let ids: Vec<&[Value]> = ids.iter().map(|id| &id[..]).collect();
        read.access = Access::Keys(keys(&ids));
        shown += &show_read_in::<Postgres>(&read);
    }
    let schema = Schema::builder("t")
        .column(Column::new("code", Type::Text))
        .column(Column::new("uuid", Type::Uuid))
        .key(["code", "uuid"])
        .build()
        .expect("a schema");
    let mut read = Read::new(bind(schema, "code"), Arc::from([0]));
    for count in 1..3 {
        let rows = vec![[Value::Text("a".into()), Value::Uuid([7; 16])]; count];
        let rows: Vec<&[Value]> = rows.iter().map(|row| &row[..]).collect();
        read.access = Access::Keys(keys(&rows));
        shown += &show_read_in::<Postgres>(&read);
    }
    expect![[r#"
        SELECT "id" FROM "ci""ties" WHERE (FALSE)

        SELECT "id" FROM "ci""ties" WHERE ("id" = $1::int8)
        0
        SELECT "id" FROM "ci""ties" WHERE ("id" = ANY((SELECT $1::int8[])::int8[]))
        [2 values]
        SELECT "id" FROM "ci""ties" WHERE ("id" = ANY((SELECT $1::int8[])::int8[]))
        [3 values]
        SELECT "code" FROM "t" WHERE (("code" = $1::text AND "code" COLLATE "C" = $2::text) AND "uuid" = $3::uuid)
        'a' · 'a' · '07070707-0707-0707-0707-070707070707'
        SELECT "code" FROM (SELECT DISTINCT * FROM unnest((SELECT $1::text[]), (SELECT $2::uuid[])) AS "_sora_key"("_sora_key_0", "_sora_key_1")) AS "_sora_keys" CROSS JOIN "t" WHERE (("code" = "_sora_key_0" AND "code" COLLATE "C" = "_sora_key_0") AND "uuid" = "_sora_key_1")
        [2 values] · [2 values]
    "#]].assert_eq(&shown);
}

#[test]
fn what_the_store_alone_knows_is_read_and_written_as_text() {
    let schema = Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("mood", Type::Text))
        .column(Column::new("at", Type::Timestamp))
        .key(["id"])
        .build()
        .expect("a schema");
    let mut live = LiveTable::from(&schema);
    live.columns[1].column_type = Type::Unknown;
    live.columns[1].declared = "character(3)".into();
    live.columns[1].readable_as = Box::from([Type::Text]);
    live.columns[2].declared = "timestamp without time zone".into();
    let binding = Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"));
    let mut read = Read::new(binding, Arc::from([1]));
    read.filter = filter(&read.binding, "at > '2024-02-29'");
    expect![[r#"
        SELECT "mood"::text, "id" FROM "t" WHERE "at" > $1::timestamp
        '2024-02-29T00:00:00.000000Z'
    "#]]
    .assert_eq(&show_read_in::<Postgres>(&read));
}

#[test]
fn casts_have_no_length() {
    let schema = Schema::builder("t").column(Column::new("x", Type::Unknown)).build();
    let live = LiveTable::from(&schema.expect("a schema"));
    for (declared, expected) in [
        ("mood", "mood"),
        ("character(5)", "bpchar"),
        ("bit(5)", "varbit"),
        ("numeric(40,5)", "numeric"),
        ("character varying(3)[]", "character varying[]"),
        ("time(3) without time zone", "time without time zone"),
        ("\"My (type)\"", "\"My (type)\""),
    ] {
        let column = sora_core::LiveColumn { declared: declared.into(), ..live.column(0).clone() };
        assert_eq!(crate::postgres::column::cast(&column).as_deref(), Some(expected));
    }
}

#[test]
fn indexes_that_byte_order_costs_are_named() {
    let schema = Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("name", Type::Text))
        .key(["id"])
        .index(["name"])
        .build()
        .expect("a schema");
    let mut live = LiveTable::from(&schema);
    live.columns[1].collation = Some("en-US-x-icu".into());
    let binding = Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"));
    let mut read = Read::new(binding, Arc::from([ID]));
    assert!(crate::lost_indexes::<Postgres>(&read).is_empty());
    read.sort = sort(&[(1, false)]);
    expect![[r#"the index "t_name_idx" is in the order of the collation en-US-x-icu: it serves equality on "name", but no order"#]].assert_eq(&crate::lost_indexes::<Postgres>(&read).join("\n"));
}

#[test]
fn tables_have_the_types_of_their_values() {
    let text = |text: &str| Assigned::Default(Value::Text(text.into()));
    let schema = Schema::builder("all")
        .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
        .column(Column::new("flag", Type::Bool).assigned(Assigned::Default(Value::Bool(true))))
        .column(Column::new("byte", Type::I64).range(0, 255).nullable())
        .column(Column::new("short", Type::I64).range(-32_768, 32_767))
        .column(Column::new("int", Type::I64).range(i32::MIN.into(), i32::MAX.into()))
        .column(Column::new("word", Type::I64).range(0, u32::MAX.into()))
        .column(Column::new("uuid", Type::Uuid).assigned(Assigned::UuidV7))
        .column(Column::new("day", Type::Date).nullable())
        .column(Column::new("at", Type::Timestamp).assigned(Assigned::Now))
        .column(Column::new("price", Type::Decimal { precision: 3, scale: 1 }).nullable())
        .column(Column::new("float", Type::F64))
        .column(Column::new("bytes", Type::Bytes))
        .column(Column::new("json", Type::Json))
        .column(Column::new("it's", Type::Text).assigned(text("'\\")))
        .key(["id"])
        .index(["day", "flag"])
        .unique(["uuid"])
        .build()
        .expect("a schema");
    let table = crate::create_table::<Postgres>(&schema).expect("a table").replace(", \"", ",\n\"");
    expect![[r#"
        CREATE TABLE IF NOT EXISTS "all" ("id" bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        "flag" boolean NOT NULL DEFAULT true,
        "byte" smallint CHECK ("byte" BETWEEN 0 AND 255),
        "short" smallint NOT NULL,
        "int" integer NOT NULL,
        "word" bigint NOT NULL CHECK ("word" BETWEEN 0 AND 4294967295),
        "uuid" uuid NOT NULL,
        "day" date,
        "at" timestamp with time zone NOT NULL DEFAULT now(),
        "price" numeric(3,1),
        "float" double precision NOT NULL,
        "bytes" bytea NOT NULL,
        "json" jsonb NOT NULL,
        "it's" text COLLATE "C" NOT NULL DEFAULT E'''\\'::text)"#]].assert_eq(&table);
    let index = |at: usize| crate::create_index::<Postgres>(&schema, &schema.indexes()[at]);
    expect![[r#"CREATE INDEX "all_day_flag_idx" ON "all" ("day" NULLS FIRST, "flag", "id")"#]]
        .assert_eq(&index(0));
    expect![[r#"CREATE UNIQUE INDEX "all_uuid_key" ON "all" ("uuid")"#]].assert_eq(&index(1));
    let add = |column: u16| {
        crate::add_column::<Postgres>("all", schema.column(column)).expect("a column")
    };
    expect![[
        r#"ALTER TABLE "all" ADD COLUMN "at" timestamp with time zone NOT NULL DEFAULT now()"#
    ]]
    .assert_eq(&add(8).unwrap_or_default());
    assert_eq!(add(3), None);
    let found = Column::new("x", Type::I64).assigned(Assigned::Store("f()".into()));
    let schema = Schema::builder("t").column(found).build().expect("a schema");
    let error = crate::create_table::<Postgres>(&schema).expect_err("refused");
    assert!(error.to_string().contains("an expression that Sora found"), "{error}");
}

#[test]
fn defaults_are_literals_of_their_type() {
    let mut shown = String::new();
    for (value, column_type) in [
        (Value::Bool(false), Type::Bool),
        (Value::I64(-5), Type::I64),
        (Value::F64(f64::NEG_INFINITY), Type::F64),
        (Value::F64(2.5), Type::F64),
        (
            Value::Decimal("1.5".parse().expect("a decimal")),
            Type::Decimal { precision: 4, scale: 2 },
        ),
        (Value::Bytes([0, 255].into()), Type::Bytes),
        (Value::Uuid([7; 16]), Type::Uuid),
        (Value::Json("{\"a\":\"\\n\"}".into()), Type::Json),
        (Value::Date("2024-02-29".parse().expect("a date")), Type::Date),
        (Value::Timestamp("2024-02-29".parse().expect("a timestamp")), Type::Timestamp),
    ] {
        shown += &crate::default_literal::<Postgres>(&value, column_type);
        shown.push('\n');
    }
    expect![[r#"
        false
        '-5'::bigint
        '-Infinity'::float8
        '2.5'::float8
        '1.50'::numeric
        E'\\x00ff'::bytea
        '07070707-0707-0707-0707-070707070707'::uuid
        E'{"a":"\\n"}'::jsonb
        '2024-02-29'::date
        '2024-02-29T00:00:00.000000Z'::timestamptz
    "#]]
    .assert_eq(&shown);
}

#[test]
fn rows_are_locked_by_the_tables_name() {
    let mut read = Read::new(table(None, true), Arc::from([ID, 1]));
    read.for_update = true;
    let mut shapes = Vec::new();
    let mut shown = String::new();
    let mut show = |read: &Read| {
        let mut shape = Vec::new();
        read_shape::<Postgres>(read, portions(read)[0], &mut shape);
        shapes.push(shape);
        shown += &show_read_in::<Postgres>(read);
    };
    read.access = Access::Keys(keys(&[&[Value::I64(1)]]));
    show(&read);
    read.for_update = false;
    show(&read);
    read.access = Access::Scan;
    read.sort = sort(&[(ID, false)]);
    read.limit = Some(2);
    show(&read);
    read.for_update = true;
    show(&read);
    // What has no rows of its own has none to lock.
    read.output = Output::Count;
    show(&read);
    expect![[r#"
        SELECT "id", "name" FROM "ci""ties" WHERE ("id" = $1::int8) FOR UPDATE OF "ci""ties"
        1
        SELECT "id", "name" FROM "ci""ties" WHERE ("id" = $1::int8)
        1
        SELECT "id", "name" FROM "ci""ties" ORDER BY "id" LIMIT 2

        SELECT "id", "name" FROM "ci""ties" ORDER BY "id" LIMIT 2 FOR UPDATE OF "ci""ties"

        SELECT count(*) FROM (SELECT 1 FROM "ci""ties" LIMIT 2) AS "_sora_rows"

    "#]]
    .assert_eq(&shown);
    assert_ne!(shapes[0], shapes[1]);
    assert_ne!(shapes[2], shapes[3]);
    // SQLite's sessions keep all writers out.
    assert!(!show_read(&read).contains("UPDATE"));
}

#[test]
fn the_first_of_each_value_are_found_value_by_value_by_an_index() {
    let schema = schema();
    let mut live = LiveTable::from(&schema);
    live.indexes = [LiveIndex {
        name: "by_code".into(),
        columns: [2, 1].into(),
        descending: [false, false].into(),
        unique: false,
        is_complete: true,
    }]
    .into();
    live.columns[2].collation = Some("en-US-x-icu".into());
    let binding = Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"));
    let mut read = Read::new(binding, Arc::from([ID, 1]));
    read.filter = filter(&read.binding, "size > 5 AND code IN ('a', 'b') AND size < 9");
    read.sort = sort(&[(1, true), (ID, true)]);
    read.limit_each = Some(sora_core::read::LimitEach { column: 2, rows: 3 });
    expect![[r#"
        SELECT "id", "name" FROM (SELECT DISTINCT * FROM unnest($1::text[])) AS "_sora_each"("_sora_value") CROSS JOIN LATERAL (SELECT "id" AS "id", "name" AS "name" FROM "ci""ties" WHERE "code" = "_sora_value" AND "size" > $2::int8 AND "size" < $3::int8 ORDER BY "name" DESC NULLS LAST, "id" DESC LIMIT $4::int8) AS "_sora_rows"
        [2 values] · 5 · 9 · 3
    "#]].assert_eq(&show_read_in::<Postgres>(&read));
    let window = |read: &Read| show_read_in::<Postgres>(read).contains("row_number");
    assert!(!window(&read));
    read.filter = filter(&read.binding, "code = 'a' OR code = 'b'");
    assert!(window(&read), "no list");
    read.filter = filter(&read.binding, "price IN (1, 2)");
    read.limit_each = Some(sora_core::read::LimitEach { column: 4, rows: 3 });
    assert!(window(&read), "no index");
}

#[test]
fn the_first_of_each_value_are_numbered_in_a_window() {
    let mut read = Read::new(table(Some("en-US-x-icu"), true), Arc::from([ID, 1]));
    read.filter = filter(&read.binding, "code IN ('a', 'b')");
    read.sort = sort(&[(1, true), (ID, true)]);
    read.limit_each = Some(sora_core::read::LimitEach { column: 2, rows: 3 });
    expect![[r#"
        SELECT "id", "name" FROM (SELECT "id" AS "id", "name" AS "name", row_number() OVER (PARTITION BY "code" ORDER BY "name" COLLATE "C" DESC NULLS LAST, "id" DESC) AS "_sora_number" FROM "ci""ties" WHERE "code" = ANY($1::text[])) AS "_sora_rows" WHERE "_sora_number" <= $2::int8 ORDER BY "_sora_number"
        [2 values] · 3
    "#]].assert_eq(&show_read_in::<Postgres>(&read));
}
