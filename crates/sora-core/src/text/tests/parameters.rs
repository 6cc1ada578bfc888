//! The values of `?` and `:name`.

use super::shown;
use crate::Value;
use crate::text::Parameters;

#[test]
fn parameters_are_literals() {
    let text = |text: &str| Value::Text(text.into());
    assert_eq!(shown("id > ? AND name = ?", [Value::I64(5), text("x' OR 'a")]), {
        "id > 5 AND name = 'x'' OR ''a'"
    });
    assert_eq!(
        shown("id BETWEEN :low AND :high OR :low = id", {
            [("high", Value::F64(9.5)), ("low", Value::I64(1))]
        }),
        "(id >= 1 AND id <= 9) OR id = 1"
    );
    assert_eq!(shown("born IN (?, ?)", [text("2024-01-01"), Value::Null]), {
        "born IN ('2024-01-01', NULL)"
    });
    assert_eq!(shown("name LIKE ? ESCAPE ?", [text("a!%"), text("!")]), {
        "name LIKE 'a\\%' ESCAPE '\\'"
    });
    assert_eq!(shown("name LIKE :p", [("p", Value::Null)]), "NULL");
    assert_eq!(shown("? = id", [Value::Null]), "NULL");
}

#[test]
fn parameters_that_do_not_fit() {
    fn check(text: &str, parameters: impl Into<Parameters>, expected: &str) {
        assert_eq!(shown(text, parameters), expected);
    }
    let five = || Value::I64(5);
    check("id = ?", Parameters::none(), {
        "there is no value for ? number 1; 0 were given\n  | id = ?\n  |      ^"
    });
    check("id IN (?, ?)", [five()], {
        "there is no value for ? number 2; 1 were given\n  | id IN (?, ?)\n  |           ^"
    });
    check("id = ?", [five(), five()], {
        "2 values were given, and the filter has 1 ?; give one for each"
    });
    check("id = :id", Parameters::none(), {
        "no value was given for :id\n  | id = :id\n  |      ^^^"
    });
    check("id = :low", [("lo", five())], {
        "the filter does not use the value given for :lo; leave it out"
    });
    check("id = :low OR id = :lo", [("lo", five())], {
        "there is no value for \"low\"; did you mean \"lo\"?\n  | id = :low OR id = :lo\n  |      ^^^^"
    });
    check(
        "id = :x",
        [("x", five()), ("x", five())],
        "the parameter :x was given two values; give it one",
    );
    check("id = :x", [five()], "1 values were given, and the filter has 0 ?; give one for each");
    check("id = ?", [("x", five())], {
        "the filter does not use the value given for :x; leave it out"
    });
    check("id = ? OR id = :x", [five()], {
        "a filter takes its values either by ? or by :name, not by both\n  \
         | id = ? OR id = :x\n  |                ^^"
    });
    check("name = ?", [five()], {
        "the column \"name\" is text and cannot be compared with i64; write a text in single \
         quotes\n  | name = ?\n  |        ^"
    });
    check("score = :x", [("x", Value::F64(f64::NAN))], {
        "the column \"score\" cannot be compared with NaN\n  | score = :x\n  |         ^^"
    });
    check("name LIKE ?", [five()], {
        "a pattern is a text in single quotes\n  | name LIKE ?\n  |           ^"
    });
}
