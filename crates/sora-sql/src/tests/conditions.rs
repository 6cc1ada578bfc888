//! Conditions as SQL.

use super::*;

#[test]
fn conditions_keep_three_valued_logic() {
    check_filter(
        "size = 5 AND NOT (size < 1 OR name <> 'it''s')",
        &expect![[r#"
        "size" = ? AND NOT ("size" < ? OR "name" <> ?)
        5 · 1 · 'it''s'
    "#]],
    );
    check_filter(
        "active AND NOT active",
        &expect![[r#"
        "active" = TRUE AND NOT ("active" = TRUE)

    "#]],
    );
    check_filter(
        "active IS TRUE OR (size > 1) IS NOT FALSE",
        &expect![[r#"
        (("active" = TRUE) IS TRUE OR NOT (("size" > ?) IS FALSE))
        1
    "#]],
    );
    check_filter(
        "name IS NULL OR name IS NOT NULL",
        &expect![[r#"
        ("name" IS NULL OR NOT ("name" IS NULL))

    "#]],
    );
    check_filter(
        "size IN (1)",
        &expect![[r#"
        "size" = ?
        1
    "#]],
    );
    check_filter(
        "size IN (1, 2, NULL)",
        &expect![[r#"
        ("size" IN (?, ?) OR NULL)
        1 · 2
    "#]],
    );
    check_filter(
        "size NOT IN (1, 2, 3, 4, 5, 6, 7, 8, 9)",
        &expect![[r#"
        NOT ("size" IN (SELECT value FROM rarray(?)))
        [9 values]
    "#]],
    );
    check_filter(
        "size IN (NULL)",
        &expect![[r#"
        NULL

    "#]],
    );
    check_filter(
        "NULL OR size = 1",
        &expect![[r#"
        (NULL OR "size" = ?)
        1
    "#]],
    );
    check_filter(
        "price >= 1.5 AND price = 2",
        &expect![[r#"
        "price" COLLATE sora_decimal >= ? AND "price" = ?
        1.50 · 2.00
    "#]],
    );
    let mut read = read();
    read.filter = Arc::from([
        Predicate::In { column: 1, values: Arc::default(), null: false },
        Predicate::And(Vec::new()),
        Predicate::Or(Vec::new()),
    ]);
    check(
        &read,
        &expect![[r#"
        SELECT "id", "name" FROM "ci""ties" WHERE FALSE AND (TRUE) AND (FALSE)

    "#]],
    );
}

#[test]
fn texts_are_compared_by_bytes() {
    check_filter(
        "code = 'a' AND code <> 'b' AND code > 'c'",
        &expect![[r#"
        ("code" = ? AND "code" COLLATE BINARY = ?) AND "code" COLLATE BINARY <> ? AND "code" COLLATE BINARY > ?
        'a' · 'a' · 'b' · 'c'
    "#]],
    );
    check_filter(
        "code IN ('a', 'b')",
        &expect![[r#"
        ("code" IN (?, ?) AND "code" COLLATE BINARY IN (?, ?))
        'a' · 'b' · 'a' · 'b'
    "#]],
    );
    check_filter(
        "code LIKE 'ab_d%'",
        &expect![[r#"
        ("code" COLLATE BINARY >= ? AND "code" COLLATE BINARY < ? AND "code" GLOB ?)
        'ab' · 'ac' · 'ab?d*'
    "#]],
    );
    let mut read = read();
    read.sort = sort(&[(2, false), (ID, false)]);
    check(
        &read,
        &expect![[r#"
        SELECT "id", "name" FROM "ci""ties" ORDER BY "code" COLLATE BINARY, "id"

    "#]],
    );
}

#[test]
fn patterns_have_the_range_of_their_prefix() {
    check_filter(
        "name LIKE 'abc'",
        &expect![[r#"
        "name" = ?
        'abc'
    "#]],
    );
    check_filter(
        "name LIKE 'abc%'",
        &expect![[r#"
        ("name" >= ? AND "name" < ?)
        'abc' · 'abd'
    "#]],
    );
    check_filter(
        "name LIKE 'ab_*[?%'",
        &expect![[r#"
        ("name" >= ? AND "name" < ? AND "name" GLOB ?)
        'ab' · 'ac' · 'ab?[*][[][?]*'
    "#]],
    );
    check_filter(
        "name LIKE '%abc'",
        &expect![[r#"
        "name" GLOB ?
        '*abc'
    "#]],
    );
    check_filter(
        "name LIKE '\u{10ffff}%'",
        &expect![[r#"
        ("name" >= ?)
        '􏿿'
    "#]],
    );
    check_filter(
        "name NOT LIKE '\u{10ffff}_'",
        &expect![[r#"
        NOT (("name" >= ? AND "name" GLOB ?))
        '􏿿' · '􏿿?'
    "#]],
    );
    check_filter(
        "name ILIKE 'a\\%'",
        &expect![[r#"
        "name" LIKE ? ESCAPE '\'
        'a\\%'
    "#]],
    );
}

#[test]
fn long_chains_are_trees() {
    let chain: Vec<String> = (0..20).map(|size| format!("size <> {size}")).collect();
    check_filter(
        &chain.join(" OR "),
        &expect![[r#"
        ((("size" <> ? OR "size" <> ? OR "size" <> ? OR "size" <> ? OR "size" <> ?) OR ("size" <> ? OR "size" <> ? OR "size" <> ? OR "size" <> ? OR "size" <> ?)) OR (("size" <> ? OR "size" <> ? OR "size" <> ? OR "size" <> ? OR "size" <> ?) OR ("size" <> ? OR "size" <> ? OR "size" <> ? OR "size" <> ? OR "size" <> ?)))
        0 · 1 · 2 · 3 · 4 · 5 · 6 · 7 · 8 · 9 · 10 · 11 · 12 · 13 · 14 · 15 · 16 · 17 · 18 · 19
    "#]],
    );
}
