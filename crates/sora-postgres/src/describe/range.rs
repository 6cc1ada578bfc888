//! The range of an integer, as a check of its column tells it.

/// Reads `((name >= 0) AND (name <= 255))`, which is how the server writes `BETWEEN`.
pub(super) fn between(check: &str, name: &str) -> Option<(i64, i64)> {
    let inner = check.strip_prefix("((")?.strip_suffix("))")?;
    let inner = inner.strip_prefix(name)?.strip_prefix(" >= ")?;
    let (min, rest) = inner.split_once(") AND (")?;
    let max = rest.strip_prefix(name)?.strip_prefix(" <= ")?;
    Some((number(min)?, number(max)?))
}

/// Reads `255`, or `'-5'::integer`.
fn number(text: &str) -> Option<i64> {
    let bare = match text.strip_prefix('\'') {
        Some(rest) => {
            let (digits, cast) = rest.split_once("'::")?;
            matches!(cast, "bigint" | "integer" | "smallint").then_some(digits)?
        }
        None => text,
    };
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_other_checks_left() {
        for (check, name, expected) in [
            ("((level >= 0) AND (level <= 255))", "level", Some((0, 255))),
            (
                "((n >= '-128'::integer) AND (n <= '9999999999'::bigint))",
                "n",
                Some((-128, 9_999_999_999)),
            ),
            ("((\"a b\" >= 0) AND (\"a b\" <= 1))", "\"a b\"", Some((0, 1))),
            ("((m >= 0) AND (n <= 1))", "n", None),
            ("((n > 0) AND (n <= 1))", "n", None),
            ("(n >= 0)", "n", None),
            ("((n >= 0) AND (n <= 1) AND (n <> 0))", "n", None),
            ("((n >= 0) OR (n <= 1))", "n", None),
            ("((n >= '0'::numeric) AND (n <= 1))", "n", None),
        ] {
            assert_eq!(between(check, name), expected, "{check}");
        }
    }
}
