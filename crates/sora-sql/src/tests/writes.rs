//! Writes as SQL.

use super::*;

fn show_write(write: &Write, row: &[Value]) -> String {
    let rows = keys(&[row]);
    let row = rows.row(0);
    let text = render::<Sqlite>(|out| change::<Sqlite, _>(write, row, out));
    let mut values = Values::default();
    change::<Sqlite, _>(write, row, &mut values);
    let mut shown = show(&text, &values);
    if let (Some(row), false) = (row, matches!(write.change, Change::Insert { .. })) {
        let text = render::<Sqlite>(|out| exists::<Sqlite, _>(write, row, out));
        let mut values = Values::default();
        exists::<Sqlite, _>(write, row, &mut values);
        shown += &show(&text, &values);
    }
    shown
}

#[test]
fn inserts_and_what_meets_them() {
    let row = [Value::I64(1), Value::Null, Value::Text("c".into()), Value::I64(1)];
    for (on_conflict, expected) in [
        (
            OnConflict::Fail,
            expect![[r#"
            INSERT INTO "ci""ties" ("id", "name", "code", "version") VALUES (?, ?, ?, ?) RETURNING "id", "version"
            1 · NULL · 'c' · 1
        "#]],
        ),
        (
            OnConflict::Ignore,
            expect![[r#"
            INSERT INTO "ci""ties" ("id", "name", "code", "version") VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING "id", "version"
            1 · NULL · 'c' · 1
        "#]],
        ),
        (
            OnConflict::Update(Arc::from([ID])),
            expect![[r#"
            INSERT INTO "ci""ties" ("id", "name", "code", "version") VALUES (?, ?, ?, ?) ON CONFLICT ("id") DO UPDATE SET "name" = excluded."name", "code" = excluded."code", "version" = "ci""ties"."version" + 1 RETURNING "id", "version"
            1 · NULL · 'c' · 1
        "#]],
        ),
        (
            OnConflict::Update(Arc::from([2u16])),
            expect![[r#"
            INSERT INTO "ci""ties" ("id", "name", "code", "version") VALUES (?, ?, ?, ?) ON CONFLICT ("code") DO UPDATE SET "name" = excluded."name", "version" = "ci""ties"."version" + 1 RETURNING "id", "version"
            1 · NULL · 'c' · 1
        "#]],
        ),
    ] {
        let rows = keys(&[&row]);
        let change = Change::Insert { rows, columns: Arc::from([ID, 1, 2, 6]), on_conflict };
        let mut write = Write::new(binding(), change);
        write.returning = Some(Arc::from([ID, 6]));
        expected.assert_eq(&show_write(&write, &row));
    }
}

#[test]
fn changes_by_key_and_by_filter() {
    let row = [Value::Text("n".into()), Value::I64(1), Value::I64(4)];
    for (check_version, expected) in [
        (
            false,
            expect![[r#"
        UPDATE "ci""ties" SET "name" = ?, "version" = "ci""ties"."version" + 1 WHERE "id" = ?
        'n' · 1
        SELECT 1 FROM "ci""ties" WHERE "id" = ?
        1
    "#]],
        ),
        (
            true,
            expect![[r#"
        UPDATE "ci""ties" SET "name" = ?, "version" = "ci""ties"."version" + 1 WHERE "id" = ? AND "version" = ?
        'n' · 1 · 4
        SELECT 1 FROM "ci""ties" WHERE "id" = ?
        1
    "#]],
        ),
    ] {
        let columns = Arc::from([1, ID, 6]);
        let change = Change::Update { rows: keys(&[&row]), columns, check_version };
        expected.assert_eq(&show_write(&Write::new(binding(), change), &row));
    }
    let key = [Value::I64(1)];
    let binding = binding();
    let target =
        Target { keys: Some(keys(&[&key])), filter: filter(&binding, "size > 1 OR active") };
    let assign = |column, add, value| Assignment { column, add, value };
    let assignments: Arc<[Assignment]> = Arc::from([
        assign(1, false, Value::Null),
        assign(4, true, Value::Decimal("0.50".parse().expect("a decimal"))),
        assign(5, true, Value::I64(2)),
    ]);
    let change = Change::Patch { target: target.clone(), assignments, version: Some(3) };
    expect![[r#"
        UPDATE "ci""ties" SET "name" = ?, "price" = sora_decimal_add("price", ?, ?, ?), "size" = sora_add("size", ?, ?, ?), "version" = "ci""ties"."version" + 1 WHERE "id" = ? AND ("size" > ? OR "active" = TRUE) AND "version" = ?
        NULL · 0.50 · 6 · 2 · 2 · -9223372036854775808 · 9223372036854775807 · 1 · 1 · 3
        SELECT 1 FROM "ci""ties" WHERE "id" = ? AND ("size" > ? OR "active" = TRUE)
        1 · 1
    "#]].assert_eq(&show_write(&Write::new(binding.clone(), change), &key));
    let change = Change::Delete { target, version: None };
    expect![[r#"
        DELETE FROM "ci""ties" WHERE "id" = ? AND ("size" > ? OR "active" = TRUE)
        1 · 1
        SELECT 1 FROM "ci""ties" WHERE "id" = ? AND ("size" > ? OR "active" = TRUE)
        1 · 1
    "#]]
    .assert_eq(&show_write(&Write::new(binding, change), &key));
}
