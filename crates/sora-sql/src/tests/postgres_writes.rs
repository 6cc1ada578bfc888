//! Writes as PostgreSQL's SQL.

use super::*;
use crate::{Detail, ToldBy, bulk_form, bulk_shape, change_rows, rows_exist};

/// A table in byte order.
fn plain() -> Arc<Binding> {
    let schema = schema();
    let live = LiveTable::from(&schema);
    Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"))
}

fn show_one(write: &Write, row: &[Value]) -> String {
    let rows = keys(&[row]);
    let text = render::<Postgres>(|out| change::<Postgres, _>(write, rows.row(0), out));
    let mut values = Values::default();
    change::<Postgres, _>(write, rows.row(0), &mut values);
    let mut shown = show(&text, &values);
    if !matches!(write.change, Change::Insert { .. }) {
        let row = rows.row(0).expect("a row");
        let text = render::<Postgres>(|out| exists::<Postgres, _>(write, row, out));
        let mut values = Values::default();
        exists::<Postgres, _>(write, row, &mut values);
        shown += &show(&text, &values);
    }
    shown
}

fn show_many(write: &Write, detail: Detail) -> String {
    let Some(form) = bulk_form(write, detail) else { return "row by row\n".into() };
    let rows = 0..2;
    let text = render::<Postgres>(|out| change_rows(write, &rows, detail, out));
    let mut values = Values::default();
    change_rows(write, &rows, detail, &mut values);
    let told_by = form.told_by.map_or("nothing".into(), |told_by| format!("{told_by:?}"));
    let mut shown = format!("{}told by {told_by}\n", show(&text, &values));
    if !matches!(write.change, Change::Insert { .. }) {
        let text = render::<Postgres>(|out| rows_exist(write, &rows, out));
        let mut values = Values::default();
        rows_exist(write, &rows, &mut values);
        shown += &show(&text, &values);
    }
    shown
}

fn insert(columns: &[u16], on_conflict: OnConflict, returning: Option<&[u16]>) -> Write {
    let row = vec![Value::I64(1); columns.len()];
    let rows = keys(&[&row, &row]);
    let change = Change::Insert { rows, columns: columns.into(), on_conflict };
    let mut write = Write::new(plain(), change);
    write.returning = returning.map(Into::into);
    write
}

const ROW: [Value; 4] = [Value::I64(1), Value::Null, Value::Bool(true), Value::I64(1)];

#[test]
fn one_row_is_inserted_by_its_values() {
    let mut shown = String::new();
    for (on_conflict, returning) in [
        (OnConflict::Fail, Some(&[ID, 6][..])),
        (OnConflict::Ignore, None),
        (OnConflict::Update(Arc::from([ID])), None),
        (OnConflict::Update(Arc::from([2u16])), Some(&[6])),
    ] {
        shown += &show_one(&insert(&[ID, 1, 3, 6], on_conflict, returning), &ROW);
    }
    expect![[r#"
        INSERT INTO "ci""ties" ("id", "name", "active", "version") VALUES ($1::int8, $2::text, $3::bool, $4::int8) RETURNING "id", "version"
        1 · NULL · TRUE · 1
        INSERT INTO "ci""ties" ("id", "name", "active", "version") VALUES ($1::int8, $2::text, $3::bool, $4::int8) ON CONFLICT DO NOTHING
        1 · NULL · TRUE · 1
        INSERT INTO "ci""ties" ("id", "name", "active", "version") VALUES ($1::int8, $2::text, $3::bool, $4::int8) ON CONFLICT ("id") DO UPDATE SET "name" = excluded."name", "active" = excluded."active", "version" = "ci""ties"."version" + 1
        1 · NULL · TRUE · 1
        INSERT INTO "ci""ties" ("id", "name", "active", "version") VALUES ($1::int8, $2::text, $3::bool, $4::int8) ON CONFLICT ("code") DO UPDATE SET "name" = excluded."name", "active" = excluded."active", "version" = "ci""ties"."version" + 1 RETURNING "version", (xmax = 0)
        1 · NULL · TRUE · 1
    "#]].assert_eq(&shown);
}

#[test]
fn many_rows_are_inserted_from_arrays() {
    let mut shown = String::new();
    let update = |column: u16| OnConflict::Update(Arc::from([column]));
    for (columns, on_conflict, returning, detail) in [
        (&[ID, 1, 3, 6][..], OnConflict::Fail, None, Detail::Count),
        (&[ID, 1, 3, 6], OnConflict::Fail, None, Detail::Each),
        (&[1, 3], OnConflict::Fail, None, Detail::Each),
        (&[1, 3], OnConflict::Fail, Some(&[6, ID][..]), Detail::Count),
        (&[ID, 1], OnConflict::Ignore, Some(&[6]), Detail::Each),
        (&[1, 3], OnConflict::Ignore, None, Detail::Each),
        (&[ID, 1, 6], update(ID), None, Detail::Count),
        (&[ID, 1, 6], update(ID), Some(&[6, ID]), Detail::Each),
        (&[1, 2], update(2), None, Detail::Each),
    ] {
        shown += &show_many(&insert(columns, on_conflict, returning), detail);
    }
    expect![[r#"
        INSERT INTO "ci""ties" ("id", "name", "active", "version") SELECT unnest((SELECT $1::int8[])), unnest((SELECT $2::text[])), unnest((SELECT $3::bool[])), unnest((SELECT $4::int8[]))
        [2 values] · [2 values] · [2 values] · [2 values]
        told by nothing
        INSERT INTO "ci""ties" ("id", "name", "active", "version") SELECT unnest((SELECT $1::int8[])), unnest((SELECT $2::text[])), unnest((SELECT $3::bool[])), unnest((SELECT $4::int8[])) RETURNING "id"
        [2 values] · [2 values] · [2 values] · [2 values]
        told by Columns([0])
        INSERT INTO "ci""ties" ("name", "active") SELECT "_sora_value_0", "_sora_value_1" FROM unnest((SELECT $1::text[]), (SELECT $2::bool[])) WITH ORDINALITY AS "_sora_rows"("_sora_value_0", "_sora_value_1", "_sora_row") ORDER BY "_sora_row" RETURNING "name"
        [2 values] · [2 values]
        told by Order
        INSERT INTO "ci""ties" ("name", "active") SELECT "_sora_value_0", "_sora_value_1" FROM unnest((SELECT $1::text[]), (SELECT $2::bool[])) WITH ORDINALITY AS "_sora_rows"("_sora_value_0", "_sora_value_1", "_sora_row") ORDER BY "_sora_row" RETURNING "version", "id"
        [2 values] · [2 values]
        told by Order
        INSERT INTO "ci""ties" ("id", "name") SELECT unnest((SELECT $1::int8[])), unnest((SELECT $2::text[])) ON CONFLICT DO NOTHING RETURNING "version", "id"
        [2 values] · [2 values]
        told by Columns([1])
        row by row
        INSERT INTO "ci""ties" ("id", "name", "version") SELECT unnest((SELECT $1::int8[])), unnest((SELECT $2::text[])), unnest((SELECT $3::int8[])) ON CONFLICT ("id") DO UPDATE SET "name" = excluded."name", "version" = "ci""ties"."version" + 1
        [2 values] · [2 values] · [2 values]
        told by nothing
        INSERT INTO "ci""ties" ("id", "name", "version") SELECT unnest((SELECT $1::int8[])), unnest((SELECT $2::text[])), unnest((SELECT $3::int8[])) ON CONFLICT ("id") DO UPDATE SET "name" = excluded."name", "version" = "ci""ties"."version" + 1 RETURNING "version", "id", (xmax = 0)
        [2 values] · [2 values] · [2 values]
        told by Columns([1])
        INSERT INTO "ci""ties" ("name", "code") SELECT unnest((SELECT $1::text[])), unnest((SELECT $2::text[])) ON CONFLICT ("code") DO UPDATE SET "name" = excluded."name", "version" = "ci""ties"."version" + 1 RETURNING "code", (xmax = 0)
        [2 values] · [2 values]
        told by Columns([0])
    "#]].assert_eq(&shown);
}

#[test]
fn partitions_do_not_tell_whether_a_row_is_new() {
    let mut live = LiveTable::from(&schema());
    live.is_partitioned = true;
    let binding = Binding::new(Arc::new(schema()), Arc::new(live)).expect("bound");
    let mut write = insert(&[ID, 1], OnConflict::Update(Arc::from([ID])), None);
    write.binding = Arc::new(binding);
    expect![[r#"
        INSERT INTO "ci""ties" ("id", "name") VALUES ($1::int8, $2::text) ON CONFLICT ("id") DO UPDATE SET "name" = excluded."name", "version" = "ci""ties"."version" + 1
        1 · NULL
        INSERT INTO "ci""ties" ("id", "name") SELECT unnest((SELECT $1::int8[])), unnest((SELECT $2::text[])) ON CONFLICT ("id") DO UPDATE SET "name" = excluded."name", "version" = "ci""ties"."version" + 1 RETURNING "id"
        [2 values] · [2 values]
        told by Columns([0])
    "#]].assert_eq(&(show_one(&write, &ROW[..2]) + &show_many(&write, Detail::Each)));
}

fn changes(binding: &Arc<Binding>) -> Vec<Write> {
    let row = [Value::Text("n".into()), Value::I64(1), Value::I64(4)];
    let rows = keys(&[&row, &row]);
    let mut writes: Vec<Write> = [false, true]
        .into_iter()
        .map(|check_version| {
            let columns = Arc::from([1, ID, 6]);
            let change = Change::Update { rows: rows.clone(), columns, check_version };
            Write::new(binding.clone(), change)
        })
        .collect();
    let key = [Value::I64(1)];
    let target =
        Target { keys: Some(keys(&[&key, &key])), filter: filter(binding, "size > 1 OR active") };
    let assign = |column, add, value| Assignment { column, add, value };
    let assignments: Arc<[Assignment]> = Arc::from([
        assign(1, false, Value::Null),
        assign(4, true, Value::Decimal("0.50".parse().expect("a decimal"))),
        assign(5, true, Value::I64(2)),
    ]);
    let change = Change::Patch { target: target.clone(), assignments, version: Some(3) };
    writes.push(Write::new(binding.clone(), change));
    writes.push(Write::new(binding.clone(), Change::Delete { target, version: None }));
    for write in &mut writes {
        write.returning = Some(Arc::from([ID, 1]));
    }
    writes
}

#[test]
fn rows_are_changed_by_key() {
    let row = [Value::Text("n".into()), Value::I64(1), Value::I64(4)];
    let mut shown = String::new();
    for write in changes(&plain()) {
        let is_update = matches!(write.change, Change::Update { .. });
        shown += &show_one(&write, if is_update { &row } else { &row[1..2] });
        shown += &show_many(&write, Detail::Each);
    }
    expect![[r#"
        UPDATE "ci""ties" SET "name" = $1::text, "version" = "ci""ties"."version" + 1 WHERE "id" = $2::int8 RETURNING "id", "name"
        'n' · 1
        SELECT 1 FROM "ci""ties" WHERE "id" = $1::int8
        1
        UPDATE "ci""ties" SET "name" = "_sora_value_0", "version" = "ci""ties"."version" + 1 FROM unnest((SELECT $1::text[]), (SELECT $2::int8[])) WITH ORDINALITY AS "_sora_rows"("_sora_value_0", "_sora_value_1", "_sora_row") WHERE "id" = "_sora_value_1" RETURNING "id", "name", "_sora_row"
        [2 values] · [2 values]
        told by Number
        SELECT "_sora_row" FROM "ci""ties" CROSS JOIN unnest((SELECT $1::int8[])) WITH ORDINALITY AS "_sora_rows"("_sora_key_0", "_sora_row") WHERE "id" = "_sora_key_0"
        [2 values]
        UPDATE "ci""ties" SET "name" = $1::text, "version" = "ci""ties"."version" + 1 WHERE "id" = $2::int8 AND "version" = $3::int8 RETURNING "id", "name"
        'n' · 1 · 4
        SELECT 1 FROM "ci""ties" WHERE "id" = $1::int8
        1
        UPDATE "ci""ties" SET "name" = "_sora_value_0", "version" = "ci""ties"."version" + 1 FROM unnest((SELECT $1::text[]), (SELECT $2::int8[]), (SELECT $3::int8[])) WITH ORDINALITY AS "_sora_rows"("_sora_value_0", "_sora_value_1", "_sora_value_2", "_sora_row") WHERE "id" = "_sora_value_1" AND "version" = "_sora_value_2" RETURNING "id", "name", "_sora_row"
        [2 values] · [2 values] · [2 values]
        told by Number
        SELECT "_sora_row" FROM "ci""ties" CROSS JOIN unnest((SELECT $1::int8[])) WITH ORDINALITY AS "_sora_rows"("_sora_key_0", "_sora_row") WHERE "id" = "_sora_key_0"
        [2 values]
        UPDATE "ci""ties" SET "name" = $1::text, "price" = ("price" + $2::numeric), "size" = ("size" + $3::int8), "version" = "ci""ties"."version" + 1 WHERE "id" = $4::int8 AND ("size" > $5::int8 OR "active" = TRUE) AND "version" = $6::int8 RETURNING "id", "name"
        NULL · 0.50 · 2 · 1 · 1 · 3
        SELECT 1 FROM "ci""ties" WHERE "id" = $1::int8 AND ("size" > $2::int8 OR "active" = TRUE)
        1 · 1
        UPDATE "ci""ties" SET "name" = $1::text, "price" = ("price" + $2::numeric), "size" = ("size" + $3::int8), "version" = "ci""ties"."version" + 1 FROM unnest((SELECT $4::int8[])) WITH ORDINALITY AS "_sora_rows"("_sora_key_0", "_sora_row") WHERE "id" = "_sora_key_0" AND ("size" > $5::int8 OR "active" = TRUE) AND "version" = $6::int8 RETURNING "id", "name", "_sora_row"
        NULL · 0.50 · 2 · [2 values] · 1 · 3
        told by Number
        SELECT "_sora_row" FROM "ci""ties" CROSS JOIN unnest((SELECT $1::int8[])) WITH ORDINALITY AS "_sora_rows"("_sora_key_0", "_sora_row") WHERE "id" = "_sora_key_0" AND ("size" > $2::int8 OR "active" = TRUE)
        [2 values] · 1
        DELETE FROM "ci""ties" WHERE "id" = $1::int8 AND ("size" > $2::int8 OR "active" = TRUE) RETURNING "id", "name"
        1 · 1
        SELECT 1 FROM "ci""ties" WHERE "id" = $1::int8 AND ("size" > $2::int8 OR "active" = TRUE)
        1 · 1
        DELETE FROM "ci""ties" USING unnest((SELECT $1::int8[])) WITH ORDINALITY AS "_sora_rows"("_sora_key_0", "_sora_row") WHERE "id" = "_sora_key_0" AND ("size" > $2::int8 OR "active" = TRUE) RETURNING "_sora_row"
        [2 values] · 1
        told by Number
        SELECT "_sora_row" FROM "ci""ties" CROSS JOIN unnest((SELECT $1::int8[])) WITH ORDINALITY AS "_sora_rows"("_sora_key_0", "_sora_row") WHERE "id" = "_sora_key_0" AND ("size" > $2::int8 OR "active" = TRUE)
        [2 values] · 1
    "#]].assert_eq(&shown);
    let by_filter =
        Change::Delete { target: Target::filter(filter(&plain(), "size > 1")), version: None };
    assert!(bulk_form(&Write::new(plain(), by_filter), Detail::Each).is_none());
}

#[test]
fn keys_of_several_columns_are_tied_one_by_one() {
    let schema = Schema::builder("t")
        .column(Column::new("code", Type::Text))
        .column(Column::new("day", Type::Date))
        .column(Column::new("x", Type::F64).nullable())
        .key(["day", "code"])
        .build()
        .expect("a schema");
    let binding = bind(schema, "code");
    let key = [Value::Date("2024-02-29".parse().expect("a date")), Value::Text("a".into())];
    let target = Target::keys(keys(&[&key, &key]));
    let change = Change::Delete { target, version: None };
    let shown = show_many(&Write::new(binding.clone(), change), Detail::Each);
    expect![[r#"
        DELETE FROM "t" USING unnest((SELECT $1::date[]), (SELECT $2::text[])) WITH ORDINALITY AS "_sora_rows"("_sora_key_0", "_sora_key_1", "_sora_row") WHERE "day" = "_sora_key_0" AND ("code" = "_sora_key_1" AND "code" COLLATE "C" = "_sora_key_1") RETURNING "_sora_row"
        [2 values] · [2 values]
        told by Number
        SELECT "_sora_row" FROM "t" CROSS JOIN unnest((SELECT $1::date[]), (SELECT $2::text[])) WITH ORDINALITY AS "_sora_rows"("_sora_key_0", "_sora_key_1", "_sora_row") WHERE "day" = "_sora_key_0" AND ("code" = "_sora_key_1" AND "code" COLLATE "C" = "_sora_key_1")
        [2 values] · [2 values]
    "#]].assert_eq(&shown);
    let row = [Value::Text("a".into()), Value::F64(1.0), key[0].clone()];
    let columns = Arc::from([0, 2, 1]);
    let change = Change::Update { rows: keys(&[&row, &row]), columns, check_version: true };
    let shown = show_many(&Write::new(binding, change), Detail::Each);
    expect![[r#"
        UPDATE "t" SET "x" = "_sora_value_1" FROM unnest((SELECT $1::text[]), (SELECT $2::float8[]), (SELECT $3::date[])) WITH ORDINALITY AS "_sora_rows"("_sora_value_0", "_sora_value_1", "_sora_value_2", "_sora_row") WHERE "day" = "_sora_value_2" AND ("code" = "_sora_value_0" AND "code" COLLATE "C" = "_sora_value_0") RETURNING "_sora_row"
        [2 values] · [2 values] · [2 values]
        told by Number
        SELECT "_sora_row" FROM "t" CROSS JOIN unnest((SELECT $1::date[]), (SELECT $2::text[])) WITH ORDINALITY AS "_sora_rows"("_sora_key_0", "_sora_key_1", "_sora_row") WHERE "day" = "_sora_key_0" AND ("code" = "_sora_key_1" AND "code" COLLATE "C" = "_sora_key_1")
        [2 values] · [2 values]
    "#]].assert_eq(&shown);
}

#[test]
fn sums_that_leave_the_schema_overflow() {
    let decimal = Type::Decimal { precision: 4, scale: 2 };
    let schema = Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("narrow", Type::I64).range(0, 255))
        .column(Column::new("price", decimal).nullable())
        .column(Column::new("float", Type::F64))
        .key(["id"])
        .build()
        .expect("a schema");
    let mut live = LiveTable::from(&schema);
    live.columns[1].range = Some((-32_768, 32_767));
    live.columns[2].column_type = Type::Decimal { precision: 10, scale: 2 };
    let binding = Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"));
    let assign = |column, value| Assignment { column, add: true, value };
    let assignments = Arc::from([
        assign(1, Value::I64(1)),
        assign(2, Value::Decimal("0.50".parse().expect("a decimal"))),
        assign(3, Value::F64(0.5)),
    ]);
    let target = Target::keys(keys(&[&[Value::I64(1)]]));
    let write = Write::new(binding, Change::Patch { target, assignments, version: None });
    expect![[r#"
        UPDATE "t" SET "narrow" = CASE WHEN ("narrow" + $1::int8) BETWEEN 0 AND 255 THEN ("narrow" + $2::int8) ELSE 9223372036854775807 + CASE WHEN "narrow" IS NULL THEN NULL ELSE 1 END END, "price" = CASE WHEN abs("price" + $3::numeric) < 100 THEN ("price" + $4::numeric) ELSE 9223372036854775807 + CASE WHEN "price" IS NULL THEN NULL ELSE 1 END END, "float" = CASE WHEN ("float" + $5::float8) < 'NaN' THEN ("float" + $6::float8) ELSE 9223372036854775807 + CASE WHEN "float" IS NULL THEN NULL ELSE 1 END END WHERE "id" = $7::int8
        1 · 1 · 0.50 · 0.50 · 0.5 · 0.5 · 1
        SELECT 1 FROM "t" WHERE "id" = $1::int8
        1
    "#]].assert_eq(&show_one(&write, &[Value::I64(1)]));
}

#[test]
fn one_shape_has_one_text_of_many_rows() {
    let binding = plain();
    let mut writes = changes(&binding);
    for (columns, on_conflict) in [
        (&[ID, 1][..], OnConflict::Fail),
        (&[1, 3], OnConflict::Fail),
        (&[ID, 1], OnConflict::Ignore),
        (&[ID, 1], OnConflict::Update(Arc::from([ID]))),
    ] {
        for returning in [None, Some(&[ID][..])] {
            let mut write = insert(columns, on_conflict.clone(), returning);
            write.binding = binding.clone();
            writes.push(write);
        }
    }
    let mut texts = std::collections::HashMap::new();
    for write in &writes {
        for detail in [None, Some(Detail::Count), Some(Detail::Each)] {
            let mut shape = Vec::new();
            bulk_shape(write, detail, &mut shape);
            let text = render::<Postgres>(|out| match detail {
                Some(detail) => change_rows(write, &(0..2), detail, out),
                None => rows_exist(write, &(0..2), out),
            });
            assert_eq!(texts.entry(shape).or_insert_with(|| text.clone()), &text);
        }
    }
    assert_eq!(texts.len(), 3 * writes.len());
    let told_by = bulk_form(&writes[0], Detail::Count).and_then(|form| form.told_by);
    assert_eq!(told_by, Some(ToldBy::Number));
}
