//! Reads as SQL, and their shapes.

use std::collections::HashMap;

use sora_core::read::LimitEach;

use super::*;

#[test]
fn keys_are_found_by_value_list_or_join() {
    let mut read = read();
    let ids = |count: i64| -> Arc<RowBuffer> {
        let ids: Vec<[Value; 1]> = (0..count).map(|id| [Value::I64(id)]).collect();
        let ids: Vec<&[Value]> = ids.iter().map(|id| &id[..]).collect();
        keys(&ids)
    };
    for (count, expected) in [
        (
            0,
            expect![[r#"
            SELECT "id", "name" FROM "ci""ties" WHERE (FALSE)

        "#]],
        ),
        (
            1,
            expect![[r#"
            SELECT "id", "name" FROM "ci""ties" WHERE ("id" = ?)
            0
        "#]],
        ),
        (
            2,
            expect![[r#"
            SELECT "id", "name" FROM "ci""ties" WHERE ("id" IN (?, ?))
            0 · 1
        "#]],
        ),
        (
            9,
            expect![[r#"
            SELECT "id", "name" FROM "ci""ties" WHERE ("id" IN (SELECT value FROM rarray(?)))
            [9 values]
        "#]],
        ),
    ] {
        read.access = Access::Keys(ids(count));
        check(&read, &expected);
    }
    let schema = Schema::builder("t")
        .column(Column::new("code", Type::Text))
        .column(Column::new("uuid", Type::Uuid))
        .key(["code", "uuid"])
        .build()
        .expect("a schema");
    let mut read = Read::new(bind(schema, "code"), Arc::from([0]));
    for (count, expected) in [
        (
            1,
            expect![[r#"
        SELECT "code" FROM "t" WHERE (("code" = ? AND "code" COLLATE BINARY = ?) AND "uuid" = ?) AND "code" COLLATE BINARY <> ? LIMIT ?
        'a' · 'a' · '07070707-0707-0707-0707-070707070707' · 'z' · 5
    "#]],
        ),
        (
            2,
            expect![[r#"
        SELECT "code" FROM "t" WHERE ((("code" = ? AND "code" COLLATE BINARY = ?) AND "uuid" = ?) OR (("code" = ? AND "code" COLLATE BINARY = ?) AND "uuid" = ?)) AND "code" COLLATE BINARY <> ? LIMIT ?
        'a' · 'a' · '07070707-0707-0707-0707-070707070707' · 'a' · 'a' · '07070707-0707-0707-0707-070707070707' · 'z' · 5
    "#]],
        ),
        (
            9,
            expect![[r#"
                SELECT "code" FROM (SELECT DISTINCT value ->> 0 AS "_sora_key_0", unhex(value ->> 1) AS "_sora_key_1" FROM json_each(?)) CROSS JOIN "t" WHERE (("code" = "_sora_key_0" AND "code" COLLATE BINARY = "_sora_key_0") AND "uuid" = "_sora_key_1") AND "code" COLLATE BINARY <> ? LIMIT ?
                [9 keys] · 'z' · 5
            "#]],
        ),
    ] {
        let rows = vec![[Value::Text("a".into()), Value::Uuid([7; 16])]; count];
        let rows: Vec<&[Value]> = rows.iter().map(|row| &row[..]).collect();
        read.access = Access::Keys(keys(&rows));
        read.filter = filter(&read.binding, "code <> 'z'");
        read.limit = Some(5);
        check(&read, &expected);
    }
}

#[test]
fn counts_and_bounds() {
    let mut read = read();
    read.output = Output::Count;
    check(
        &read,
        &expect![[r#"
        SELECT count(*) FROM "ci""ties"

    "#]],
    );
    read.limit = Some(u64::MAX);
    read.sort = sort(&[(1, true)]);
    check(
        &read,
        &expect![[r#"
        SELECT count(*) FROM (SELECT 1 FROM "ci""ties" LIMIT ?) AS "_sora_rows"
        9223372036854775807
    "#]],
    );
    read.output = Output::Rows;
    read.limit = None;
    read.offset = 7;
    check(
        &read,
        &expect![[r#"
        SELECT "id", "name" FROM "ci""ties" ORDER BY "name" DESC LIMIT ? OFFSET ?
        9223372036854775807 · 7
    "#]],
    );
}

/// Compares what stands behind `WHERE`.
fn check_position(read: &mut Read, by: &[(u16, bool)], after: &[Value], expected: &Expect) {
    read.sort = sort(by);
    read.after = Some(after.into());
    read.limit = Some(3);
    let shown = show_read(read);
    let lines: Vec<&str> =
        shown.lines().map(|line| line.split(" WHERE ").last().unwrap_or(line)).collect();
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

#[test]
fn positions_are_ranges_of_an_index() {
    let mut read = read();
    let mut at = |by: &[(u16, bool)], after: &[Value], expected: &Expect| {
        check_position(&mut read, by, after, expected);
    };
    let text = |text: &str| Value::Text(text.into());
    // One direction and never null: one comparison of rows.
    at(
        &[(ID, false)],
        &[Value::I64(1)],
        &expect![[r#"
        "id" > ? ORDER BY "id" LIMIT ?
        1 · 3
    "#]],
    );
    at(
        &[(5, true), (ID, true)],
        &[Value::I64(9), Value::I64(1)],
        &expect![[r#"
        ("size", "id") < (?, ?) ORDER BY "size" DESC, "id" DESC LIMIT ?
        9 · 1 · 3
    "#]],
    );
    at(
        &[(2, false), (ID, false)],
        &[text("a"), Value::I64(1)],
        &expect![[r#"
        ("code" COLLATE BINARY, "id") > (?, ?) ORDER BY "code" COLLATE BINARY, "id" LIMIT ?
        'a' · 1 · 3
    "#]],
    );
    // Nulls come before: they are out of the range anyway.
    at(
        &[(1, false), (ID, false)],
        &[text("a"), Value::I64(1)],
        &expect![[r#"
        ("name", "id") > (?, ?) ORDER BY "name", "id" LIMIT ?
        'a' · 1 · 3
    "#]],
    );
    // Nulls come behind: two ranges.
    at(
        &[(1, true), (ID, true)],
        &[text("a"), Value::I64(1)],
        &expect![[r#"
        ("name", "id") < (?, ?) ORDER BY "name" DESC, "id" DESC LIMIT ?
        'a' · 1 · 3
        "name" IS NULL ORDER BY "name" DESC, "id" DESC LIMIT ?
        3
    "#]],
    );
    at(
        &[(1, false), (ID, false)],
        &[Value::Null, Value::I64(1)],
        &expect![[r#"
        "name" IS NULL AND "id" > ? ORDER BY "name", "id" LIMIT ?
        1 · 3
        "name" IS NOT NULL ORDER BY "name", "id" LIMIT ?
        3
    "#]],
    );
    at(
        &[(1, true), (ID, true)],
        &[Value::Null, Value::I64(1)],
        &expect![[r#"
            "name" IS NULL AND "id" < ? ORDER BY "name" DESC, "id" DESC LIMIT ?
            1 · 3
        "#]],
    );
}

#[test]
fn positions_of_two_directions_go_column_by_column() {
    let mut read = read();
    let mut at = |by: &[(u16, bool)], after: &[Value], expected: &Expect| {
        check_position(&mut read, by, after, expected);
    };
    let text = |text: &str| Value::Text(text.into());
    at(
        &[(5, true), (ID, false)],
        &[Value::I64(9), Value::I64(1)],
        &expect![[r#"
        "size" <= ? AND ("size" < ? OR ("size" = ? AND ("id" > ?))) ORDER BY "size" DESC, "id" LIMIT ?
        9 · 9 · 9 · 1 · 3
    "#]],
    );
    at(
        &[(5, false), (1, true), (ID, true)],
        &[Value::I64(9), text("a"), Value::I64(1)],
        &expect![[r#"
            "size" >= ? AND ("size" > ? OR ("size" = ? AND ("name" < ? OR "name" IS NULL OR ("name" = ? AND ("id" < ?))))) ORDER BY "size", "name" DESC, "id" DESC LIMIT ?
            9 · 9 · 9 · 'a' · 'a' · 1 · 3
        "#]],
    );
    at(
        &[(5, false), (1, true), (ID, true)],
        &[Value::I64(9), Value::Null, Value::I64(1)],
        &expect![[r#"
            "size" >= ? AND ("size" > ? OR ("size" = ? AND (FALSE OR ("name" IS NULL AND ("id" < ?))))) ORDER BY "size", "name" DESC, "id" DESC LIMIT ?
            9 · 9 · 9 · 1 · 3
        "#]],
    );
    at(
        &[(1, true)],
        &[Value::Null],
        &expect![[r#"
            "name" IS NULL AND FALSE ORDER BY "name" DESC LIMIT ?
            3
        "#]],
    );
}

#[test]
fn an_offset_or_a_count_behind_a_position_is_one_statement() {
    let mut read = read();
    read.sort = sort(&[(1, true), (ID, true)]);
    read.after = Some(Arc::from([Value::Text("a".into()), Value::I64(1)]));
    read.offset = 2;
    check(
        &read,
        &expect![[r#"
        SELECT "id", "name" FROM "ci""ties" WHERE ("name" < ? OR "name" IS NULL OR ("name" = ? AND ("id" < ?))) ORDER BY "name" DESC, "id" DESC LIMIT ? OFFSET ?
        'a' · 'a' · 1 · 9223372036854775807 · 2
    "#]],
    );
}

#[test]
fn the_first_of_each_value_are_numbered() {
    let mut read = read();
    read.filter = filter(&read.binding, "code IN ('a', 'b') AND size > 5");
    read.sort = sort(&[(1, true), (ID, true)]);
    read.limit_each = Some(LimitEach { column: 2, rows: 3 });
    check(
        &read,
        &expect![[r#"
        SELECT "id", "name" FROM (SELECT "id" AS "id", "name" AS "name", row_number() OVER (PARTITION BY "code" COLLATE BINARY ORDER BY "name" DESC, "id" DESC) AS "_sora_number" FROM "ci""ties" WHERE ("code" IN (?, ?) AND "code" COLLATE BINARY IN (?, ?)) AND "size" > ?) AS "_sora_rows" WHERE "_sora_number" <= ? ORDER BY "_sora_number"
        'a' · 'b' · 'a' · 'b' · 5 · 3
    "#]],
    );
}

#[test]
fn one_shape_has_one_text() {
    shapes_decide_texts::<Sqlite>();
    shapes_decide_texts::<Postgres>();
}

fn shapes_decide_texts<D: Dialect>() {
    let binding = binding();
    let mut texts: HashMap<Vec<u8>, String> = HashMap::new();
    let mut add = |shape: Vec<u8>, text: String| {
        let found = texts.entry(shape).or_insert_with(|| text.clone());
        assert_eq!(*found, text);
    };
    let filters = [
        "size = 1",
        "size = 2",
        "size <> 1",
        "size < 1",
        "id < 1",
        "size IN (1)",
        "size IN (1, 2)",
        "size IN (1, 2, NULL)",
        "size IN (1,2,3,4,5,6,7,8,9)",
        "size IN (1,2,3,4,5,6,7,8,9,10)",
        "name LIKE 'a%'",
        "name LIKE 'b%'",
        "name LIKE 'a'",
        "name LIKE '%a'",
        "name LIKE 'a_'",
        "name LIKE '\u{10ffff}%'",
        "name LIKE '\u{10ffff}_'",
        "name ILIKE 'a'",
        "name IS NULL",
        "NOT size = 1",
        "(size = 1) IS TRUE",
        "(size = 1) IS FALSE",
        "size = 1 AND size = 2",
        "size = 1 OR size = 2",
        "(size = 1 OR size = 2) AND id = 1",
        "NULL",
        "FALSE",
        "active",
        "active IS TRUE",
        "NOT active",
    ];
    let null = Value::Null;
    let one = Value::I64(1);
    let positions: [Option<[Value; 2]>; 3] =
        [None, Some([one.clone(), one.clone()]), Some([null, one])];
    for text in filters {
        for descending in [false, true] {
            for after in &positions {
                for (limit, offset) in [
                    (None, 0),
                    (Some(0), 0),
                    (Some(1), 0),
                    (Some(2), 5),
                    (Some(9_999), 0),
                    (None, 5),
                ] {
                    for output in [Output::Rows, Output::Count] {
                        for count in 0..11 {
                            let mut read = Read::new(binding.clone(), Arc::from([ID, 1]));
                            read.filter = filter(&binding, text);
                            read.sort = sort(&[(4, descending), (ID, descending)]);
                            read.after = after.as_ref().map(|after| Arc::from(after.as_slice()));
                            (read.limit, read.offset, read.output) =
                                (limit, offset, output.clone());
                            if count > 0 {
                                let key = [Value::I64(7)];
                                let all = vec![&key[..]; count - 1];
                                read.access = Access::Keys(keys(&all));
                            }
                            for portion in portions(&read) {
                                let mut shape = Vec::new();
                                read_shape::<D>(&read, *portion, &mut shape);
                                add(
                                    shape,
                                    render::<D>(|out| {
                                        select::<D, _>(&read, *portion, read.limit, out);
                                    }),
                                );
                            }
                        }
                    }
                }
            }
        }
        let target = Target::filter(filter(&binding, text));
        let change = Change::Delete { target, version: None };
        let write = Write::new(binding.clone(), change);
        let mut shape = Vec::new();
        write_shape::<D>(&write, false, &mut shape);
        add(shape, render::<D>(|out| crate::change::<D, _>(&write, None, out)));
    }
    assert!(texts.len() > 1_000);
}
