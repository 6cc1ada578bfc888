//! What is refused, and what the user is told.

use super::{Parameters, check_error, refuse, shown};

#[test]
fn what_is_incomplete() {
    refuse([
        (
            "id =",
            "    ^",
            "expected a literal, found the end; a column is compared with a literal: a number, 'text', X'00ff', TRUE, FALSE, NULL, ? or :name",
        ),
        (
            "()",
            " ^",
            "expected a condition, found ); a condition starts with a column, a literal, NOT or a parenthesis, such as name = 'x'",
        ),
        ("(id = 1", "       ^", "expected AND, OR or ), found the end; a parenthesis is open"),
        ("id = 1)", "      ^", "this parenthesis closes none"),
        (
            "id = 1 AND",
            "          ^",
            "expected a condition, found the end; a condition starts with a column, a literal, NOT or a parenthesis, such as name = 'x'",
        ),
        (
            "AND id = 1",
            "^^^",
            "expected a condition, found AND; a condition starts with a column, a literal, NOT or a parenthesis, such as name = 'x'",
        ),
        (
            "NOT",
            "   ^",
            "expected a condition, found the end; a condition starts with a column, a literal, NOT or a parenthesis, such as name = 'x'",
        ),
        (
            "id IS",
            "     ^",
            "expected NULL, TRUE or FALSE behind IS, found the end; equality is written =; there are IS [NOT] NULL, IS [NOT] TRUE and IS [NOT] FALSE",
        ),
        (
            "id BETWEEN 1",
            "            ^",
            "expected AND between the two literals, found the end; it is written x BETWEEN 1 AND 5",
        ),
        (
            "id IN (1, 2",
            "           ^",
            "expected a comma or ), found the end; IN takes literals in parentheses, such as IN (1, 2)",
        ),
        (
            "name LIKE 'x' ESCAPE",
            "                    ^",
            "expected a literal, found the end; ESCAPE takes one character, such as '!'",
        ),
        (
            "id = 5 AND (active OR )",
            "                      ^",
            "expected a condition, found ); a condition starts with a column, a literal, NOT or a parenthesis, such as name = 'x'",
        ),
    ]);
}

#[test]
fn what_is_left_open() {
    refuse([
        ("name = 'x", "       ^", "the text has no end; a single quote in it is doubled"),
        ("\"name = 5", "^", "the name has no end; a double quote in it is doubled"),
        ("raw = X'00", "      ^^", "the bytes have no end; they are written X'00ff'"),
        (
            "name = 'it's'",
            "           ^",
            "the text ends before this; a single quote in it is doubled",
        ),
    ]);
}

#[test]
fn what_follows_and_cannot() {
    refuse([
        (
            "id = 1 id = 2",
            "       ^^",
            "expected AND, OR or the end, found the name id; a filter is one condition",
        ),
        (
            "id 5",
            "   ^",
            "expected =, <>, <, <=, >, >=, [NOT] BETWEEN, [NOT] IN, [NOT] LIKE, [NOT] ILIKE or IS, found the number 5; a bool column alone is followed by AND, OR or the end",
        ),
        (
            "id name",
            "   ^^^^",
            "expected =, <>, <, <=, >, >=, [NOT] BETWEEN, [NOT] IN, [NOT] LIKE, [NOT] ILIKE or IS, found the name name; a bool column alone is followed by AND, OR or the end",
        ),
        (
            "name GLOB 'x*'",
            "     ^^^^",
            "expected =, <>, <, <=, >, >=, [NOT] BETWEEN, [NOT] IN, [NOT] LIKE, [NOT] ILIKE or IS, found the name GLOB; a bool column alone is followed by AND, OR or the end",
        ),
        (
            "id = 1 ORDER BY id",
            "       ^^^^^",
            "expected AND, OR or the end, found the name ORDER; a filter is one condition",
        ),
        (
            "name = 'x' COLLATE nocase",
            "           ^^^^^^^",
            "expected AND, OR or the end, found the name COLLATE; a filter is one condition",
        ),
        (
            "(id = 1, id = 2)",
            "       ^",
            "only a list behind IN has commas; conditions are joined by AND and OR",
        ),
        (
            "(id, name) = (1, 'x')",
            "   ^",
            "only a list behind IN has commas; conditions are joined by AND and OR",
        ),
    ]);
}

#[test]
fn conditions_that_are_none() {
    refuse([
        ("5", "^", "a literal alone is no condition; it is compared with a column, such as x = 5"),
        ("?", "^", "a literal alone is no condition; it is compared with a column, such as x = 5"),
        (
            "id",
            "^^",
            "the column \"id\" stands alone, which only a bool column can; compare it with a literal",
        ),
        (
            "id AND active",
            "^^",
            "the column \"id\" stands alone, which only a bool column can; compare it with a literal",
        ),
        (
            "id = name",
            "     ^^^^",
            "a column beside a column cannot be compared; if name is a text, it stands in single quotes",
        ),
        (
            "1 = 1",
            "^^^^^",
            "a literal beside a literal says nothing about a row; one side is a column",
        ),
        (
            "id = 1 OR 1=1",
            "          ^^^",
            "a literal beside a literal says nothing about a row; one side is a column",
        ),
        ("1 < id < 5", "       ^", "comparisons are not chained; write 1 < x AND x < 5"),
        ("id < 5 = TRUE", "       ^", "comparisons are not chained; write 1 < x AND x < 5"),
        (
            "(id < 5) = TRUE",
            "         ^",
            "a condition is not compared with anything; write (…) IS TRUE, or IS FALSE",
        ),
    ]);
}

#[test]
fn tests_that_stand_wrong() {
    refuse([
        ("5 BETWEEN id AND 6", "^", "BETWEEN stands behind a column, not behind a literal"),
        ("5 IN (id)", "^", "IN stands behind a column, not behind a literal"),
        (
            "id BETWEEN name AND 5",
            "           ^^^^",
            "expected a literal, found the name name; it is written x BETWEEN 1 AND 5",
        ),
        (
            "id BETWEEN 1 OR 5",
            "             ^^",
            "expected AND between the two literals, found OR; it is written x BETWEEN 1 AND 5",
        ),
        (
            "id IN 5",
            "      ^",
            "expected (, found the number 5; IN takes literals in parentheses, such as IN (1, 2)",
        ),
        (
            "id IN ?",
            "      ^",
            "expected (, found ?; IN takes literals in parentheses, such as IN (1, 2)",
        ),
        (
            "id IN (1 2)",
            "         ^",
            "expected a comma or ), found the number 2; IN takes literals in parentheses, such as IN (1, 2)",
        ),
        (
            "id IN (1,)",
            "         ^",
            "expected a literal, found ); IN takes literals in parentheses, such as IN (1, 2)",
        ),
        (
            "id IN (name)",
            "       ^^^^",
            "expected a literal, found the name name; IN takes literals in parentheses, such as IN (1, 2)",
        ),
        ("5 IS NULL", "^", "IS NULL stands behind a column, not behind a literal"),
        (
            "(id = 5) IS NULL",
            "         ^^",
            "IS NULL stands behind a column, not behind a condition; conditions are joined by AND and OR",
        ),
        (
            "id IS 5",
            "      ^",
            "expected NULL, TRUE or FALSE behind IS, found the number 5; equality is written =; there are IS [NOT] NULL, IS [NOT] TRUE and IS [NOT] FALSE",
        ),
        (
            "id IS DISTINCT FROM 5",
            "      ^^^^^^^^",
            "expected NULL, TRUE or FALSE behind IS, found the name DISTINCT; equality is written =; there are IS [NOT] NULL, IS [NOT] TRUE and IS [NOT] FALSE",
        ),
        (
            "active IS UNKNOWN",
            "          ^^^^^^^",
            "expected NULL, TRUE or FALSE behind IS, found the name UNKNOWN; equality is written =; there are IS [NOT] NULL, IS [NOT] TRUE and IS [NOT] FALSE",
        ),
        (
            "id = 5 IS TRUE",
            "       ^^",
            "IS TRUE and IS FALSE stand behind a bool column or a condition in parentheses; write (…) IS TRUE",
        ),
        (
            "id IS NULL IS TRUE",
            "           ^^",
            "IS TRUE and IS FALSE stand behind a bool column or a condition in parentheses; write (…) IS TRUE",
        ),
        (
            "TRUE IS TRUE",
            "     ^^",
            "IS TRUE and IS FALSE stand behind a bool column or a condition in parentheses; write (…) IS TRUE",
        ),
        (
            "(5) IS TRUE",
            " ^",
            "a literal alone is no condition; it is compared with a column, such as x = 5",
        ),
        (
            "name IS TRUE",
            "^^^^",
            "IS TRUE and IS FALSE stand behind a bool column or a condition in parentheses; the column \"name\" is text",
        ),
        (
            "id NOT NULL",
            "       ^^^^",
            "expected BETWEEN, IN, LIKE or ILIKE behind NOT, found NULL; what has a value is written IS NOT NULL, another value <>",
        ),
    ]);
}

#[test]
fn literals_that_do_not_fit() {
    refuse([
        (
            "active = 1",
            "         ^",
            "the column \"active\" is bool and cannot be compared with a number; write TRUE or FALSE",
        ),
        (
            "name = 5",
            "       ^",
            "the column \"name\" is text and cannot be compared with a number; write a text in single quotes",
        ),
        (
            "name = TRUE",
            "       ^^^^",
            "the column \"name\" is text and cannot be compared with bool; write a text in single quotes",
        ),
        (
            "id = '5'",
            "     ^^^",
            "the column \"id\" is i64 and cannot be compared with a text; write a number",
        ),
        (
            "id IN (1, 'x')",
            "          ^^^",
            "the column \"id\" is i64 and cannot be compared with a text; write a number",
        ),
        (
            "seen = 5",
            "       ^",
            "the column \"seen\" is timestamp and cannot be compared with a number; write a timestamp, such as '2024-02-29T12:30:00Z'",
        ),
        (
            "raw = 'x'",
            "      ^^^",
            "the column \"raw\" is bytes and cannot be compared with a text; write bytes, such as X'00ff'",
        ),
        ("token = 'x'", "        ^^^", "the column \"token\" is a UUID, which \"x\" is not"),
        (
            "born = 'yesterday'",
            "       ^^^^^^^^^^^",
            "\"yesterday\" is not a date, such as 2024-02-29 (column: born)",
        ),
        (
            "price = 'x'",
            "        ^^^",
            "\"x\" is not a decimal of at most 28 digits, such as -12.50 (column: price)",
        ),
        ("doc = '{}'", "^^^", "the column \"doc\" is json, which can only be compared by IS NULL"),
        (
            "odd = 5",
            "^^^",
            "the column \"odd\" has a type that Sora does not know, so it cannot be filtered",
        ),
        ("id LIKE 'x'", "^^", "the column \"id\" is matched with LIKE, which only text can be"),
        ("name LIKE 5", "          ^", "a pattern is a text in single quotes"),
        (
            "name LIKE '!x' ESCAPE '!'",
            "          ^^^^",
            "in the pattern '!x' the escape character ! must stand before %, _ or itself",
        ),
        (
            "name LIKE 'x' ESCAPE 'ab'",
            "                     ^^^^",
            "ESCAPE takes one character, such as '!'",
        ),
        (
            "name LIKE 'x' ESCAPE ''",
            "                     ^^",
            "ESCAPE takes one character, such as '!'",
        ),
    ]);
}

#[test]
fn literals_that_are_none() {
    refuse([
        ("raw = X'0'", "      ^^^^", "bytes are two hexadecimal digits each, such as X'00ff'"),
        ("raw = X'0g'", "      ^^^^^", "bytes are two hexadecimal digits each, such as X'00ff'"),
        ("id = 0x10", "     ^^^^", "this is not a number; numbers are written -12, 0.5 or 1.5e6"),
        ("id = 1_000", "     ^^^^^", "this is not a number; numbers are written -12, 0.5 or 1.5e6"),
        ("id = 5x", "     ^^", "this is not a number; numbers are written -12, 0.5 or 1.5e6"),
        ("id = 1e", "     ^^", "this is not a number; numbers are written -12, 0.5 or 1.5e6"),
    ]);
}

#[test]
fn names_that_are_none() {
    refuse([
        ("nam = 'x'", "^^^", "there is no column \"nam\"; did you mean \"name\"? (table: t)"),
        (
            "popluation > 5",
            "^^^^^^^^^^",
            "there is no column \"popluation\"; there are \"id\", \"price\", \"score\", \"active\", \"name\", \"born\", \"seen\", \"token\", \"raw\", \"doc\", \"odd\", \"or\", … (table: t)",
        ),
        (
            "\"\" = 5",
            "^^",
            "there is no column \"\"; there are \"id\", \"price\", \"score\", \"active\", \"name\", \"born\", \"seen\", \"token\", \"raw\", \"doc\", \"odd\", \"or\", … (table: t)",
        ),
        (
            "t.id = 5",
            " ^",
            "a column stands without its table; a name with a point is quoted: \"a.b\"",
        ),
        ("name = `x`", "       ^", "a name that needs quotes stands in double quotes"),
        ("[name] = 'x'", "^", "a name that needs quotes stands in double quotes"),
        (
            "name = “x”",
            "       ^",
            "text stands in straight single quotes, names in straight double quotes",
        ),
    ]);
}

#[test]
fn empty_texts() {
    for text in ["", " \n\t"] {
        check_error(text, "the filter is empty; leave it out to keep every row");
    }
}

#[test]
fn the_line_of_a_longer_text() {
    let expected = "there is no column \"nam\"; did you mean \"name\"? (table: t)\n  \
                    3 | AND nam = '東京'\n    |     ^^^";
    check_error("id = 1\n\r\nAND nam = '東京'\r\nAND active", expected);
    let expected = "the column \"id\" is i64 and cannot be compared with a text; write a number\n  \
                    | name = '東京' AND id = '5'\n  |                        ^^^";
    check_error("name = '東京'\tAND id = '5'", expected);
}

#[test]
fn what_is_quoted_is_shortened() {
    let text = format!("token = '{}'", "x".repeat(60_000));
    let message = shown(&text, Parameters::none());
    assert!(message.starts_with("the column \"token\" is a UUID, which \"xxx"), "{message}");
    assert!(message.len() < 1_000, "{message}");
}
