//! What bounds a text.

use super::{read, schema, shown};
use crate::text::{Parameters, parse};
use crate::{ErrorKind, FilterLimits};

#[test]
fn limits_are_kept() {
    let limits = FilterLimits { bytes_max: 100, depth_max: 5, terms_max: 4, list_max: 3 };
    let kind = |text: &str| {
        let error = parse(text, &schema(), &Parameters::none(), limits).err();
        error.map(|error| error.kind())
    };
    let check = |fits: &str, exceeds: &str| {
        assert_eq!(kind(fits), None, "{fits}");
        assert_eq!(kind(exceeds), Some(ErrorKind::Limit), "{exceeds}");
    };
    check(&format!("{:100}", "active"), &format!("{:101}", "active"));
    check("(((((active)))))", "((((((active))))))");
    check("NOT NOT NOT NOT active", "NOT NOT NOT NOT NOT active");
    check("NOT(NOT(NOT active))", "NOT(NOT(NOT(active)))");
    check("id = (((((1)))))", "id = ((((((1))))))");
    // What is closed no longer counts.
    check("NOT NOT active AND NOT NOT active AND NOT NOT active", "((((((id))))))= 1");
    check("(((active))) AND (((active)))", "id = 1 AND id = ((((((1))))))");
    check("id = (((1))) AND id = (((1)))", "NOT (NOT (NOT active OR (NOT active)))");
    check("NOT NOT NOT id BETWEEN 1 AND 2", "NOT NOT NOT id NOT BETWEEN 1 AND 2");
    check("active AND (active OR (active AND active))", {
        "active OR active AND (active OR active AND (active OR active))"
    });
    check("active OR active OR active OR active", "active OR active OR active OR active OR active");
    check(
        "id BETWEEN 1 AND 2 AND id BETWEEN 3 AND 4",
        "active OR id = 1 OR id = 2 AND id BETWEEN 3 AND 4",
    );
    check("id IN (1, 2, 3)", "id IN (1, 2, 3, 3)");
}

#[test]
fn names_are_as_long_as_those_of_tables() {
    for (fits, exceeds) in [("é".repeat(31), "é".repeat(32)), ("a".repeat(63), "a".repeat(64))] {
        let message = |text: String| shown(&text, Parameters::none());
        assert!(message(format!("{fits} = 1")).starts_with("there is no column"));
        assert!(message(format!("id = :{fits}")).starts_with("no value was given"));
        for text in
            [format!("{exceeds} = 1"), format!("\"{exceeds}\" = 1"), format!("id = :{exceeds}")]
        {
            assert!(message(text).starts_with("a name has at most 63 bytes"));
        }
    }
}

#[test]
fn the_longest_texts_end() {
    let limits = FilterLimits::default();
    for unit in ["(", "NOT ", "(NOT ", "id IN (", "NOT("] {
        let text = unit.repeat(limits.bytes_max / unit.len());
        let error = read(&text, Parameters::none()).expect_err(unit);
        let expected = if unit == "id IN (" { ErrorKind::InvalidInput } else { ErrorKind::Limit };
        assert_eq!(error.kind(), expected, "{unit}: {error}");
    }
    let text = format!("id = {}", "(".repeat(60_000));
    assert_eq!(read(&text, Parameters::none()).expect_err("deep").kind(), ErrorKind::Limit);
    let list = vec!["5"; limits.list_max].join(",");
    assert_eq!(shown(&format!("id IN ({list})"), Parameters::none()), "id IN (5)");
    let chain = vec!["active"; limits.terms_max].join(" AND ");
    assert!(read(&chain, Parameters::none()).is_ok());
}

#[test]
fn limits_have_a_place_too() {
    let check = |text: &str, expected: &str| {
        let limits = FilterLimits { bytes_max: 40, depth_max: 2, terms_max: 2, list_max: 2 };
        let error = parse(text, &schema(), &Parameters::none(), limits);
        let error = error.expect_err(text);
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Limit, expected));
    };
    check("(((id = 1)))", "the filter is nested more than 2 deep\n  | (((id = 1)))\n  |   ^");
    check("NOT NOT id = 1", {
        "the filter is nested more than 2 deep\n  | NOT NOT id = 1\n  |         ^^^^^^"
    });
    check("id = 1 OR id = 2 OR id = 3", {
        "the filter has more than 2 conditions\n  | id = 1 OR id = 2 OR id = 3\n  |                     ^^^^^^"
    });
    check("id IN (1, 2, 3)", {
        "an IN list has at most 2 values\n  | id IN (1, 2, 3)\n  |              ^"
    });
    check(&format!("id = {:40}", 1), {
        "the filter has 45 bytes and may have 40; give long lists in parts"
    });
}
