//! What SQL and other languages have and a filter has not.

use super::refuse;

#[test]
fn what_could_do_more_than_filter() {
    refuse([
        (
            "id = 1; DROP TABLE t",
            "      ^",
            "a filter is one condition; a second statement cannot follow",
        ),
        ("id = 1 -- x", "       ^^", "a filter has no comments"),
        ("id = 1 /* x */ AND active", "       ^^", "a filter has no comments"),
        ("id = 1 # x", "       ^", "a filter has no comments"),
        (
            "id IN (SELECT * FROM users)",
            "       ^^^^^^",
            "a filter has no sub-queries; IN takes a list of literals",
        ),
        (
            "id = (SELECT 1)",
            "      ^^^^^^",
            "a filter has no sub-queries; IN takes a list of literals",
        ),
        ("SELECT * FROM t", "^^^^^^", "a filter has no sub-queries; IN takes a list of literals"),
        (
            "NOT EXISTS (SELECT 1)",
            "    ^^^^^^",
            "a filter has no sub-queries; IN takes a list of literals",
        ),
        ("lower(name) = 'x'", "^^^^^", "a filter has no functions; write a column or a literal"),
        (
            "name = lower('X')",
            "       ^^^^^",
            "a filter has no functions; write a column or a literal",
        ),
        (
            "CAST(id AS text) = '1'",
            "^^^^",
            "a filter has no functions; write a column or a literal",
        ),
        (
            "CASE WHEN active THEN 1 END = 1",
            "^^^^",
            "a filter has no CASE and no casts, only conditions",
        ),
    ]);
}

#[test]
fn signs_of_other_languages() {
    refuse([
        ("id == 1", "   ^^", "equality is written with one ="),
        ("id => 1", "   ^^", "greater or equal is written >="),
        ("id =< 1", "   ^^", "less or equal is written <="),
        (
            "id <=> 1",
            "     ^",
            "expected a literal, found >; a column is compared with a literal: a number, 'text', X'00ff', TRUE, FALSE, NULL, ? or :name",
        ),
        ("!active", "^", "a condition is negated with NOT"),
        ("active && active", "       ^", "conditions are joined with AND"),
        (
            "active || active",
            "       ^^",
            "texts cannot be joined; alternatives are written with OR",
        ),
        ("name ~ 'x'", "     ^", "texts are matched with LIKE or ILIKE"),
        (
            "id = 5::text",
            "      ^^",
            "there are no casts; the column decides how a literal is read",
        ),
        (
            "born = DATE '2024-01-01'",
            "       ^^^^",
            "write the text alone; the column decides how it is read",
        ),
        (
            "id = $1",
            "     ^",
            "a parameter is written ? or :name, and its name starts with a letter",
        ),
        (
            "id = :1",
            "     ^",
            "a parameter is written ? or :name, and its name starts with a letter",
        ),
        ("\\", "^", "this has no meaning in a filter; text stands in single quotes"),
    ]);
}

#[test]
fn calculations() {
    refuse([
        (
            "id + 1 = 2",
            "   ^",
            "a filter does not calculate; a sign stands directly before the digits of its number",
        ),
        (
            "id = 5-3",
            "      ^^",
            "a filter does not calculate; a sign stands directly before the digits of its number",
        ),
        (
            "id = - 1",
            "     ^",
            "a filter does not calculate; a sign stands directly before the digits of its number",
        ),
        (
            "id % 2 = 0",
            "   ^",
            "a filter does not calculate; a sign stands directly before the digits of its number",
        ),
    ]);
}
