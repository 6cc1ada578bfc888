//! What the text of a statement says before the server reads it.

use sora_core::{Error, ErrorKind, Result};

/// What a statement may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

/// What statements that read begin with; so may a bracket.
const READS: [&str; 6] = ["EXPLAIN", "SELECT", "SHOW", "TABLE", "VALUES", "WITH"];
/// What others begin with that do not change the session of the server under Sora. All else does, or
/// may: `SET`, `LISTEN`, `PREPARE`, and whatever begins or ends a transaction.
const WRITES: [&str; 22] = [
    "ALTER", "ANALYZE", "CALL", "CLUSTER", "COMMENT", "CREATE", "DELETE", "DO", "DROP", "GRANT",
    "IMPORT", "INSERT", "LOCK", "MERGE", "REASSIGN", "REFRESH", "REINDEX", "REVOKE", "SECURITY",
    "TRUNCATE", "UPDATE", "VACUUM",
];

/// Refuses a statement by its first word: one that would change the session, or that writes where
/// only reading is meant. That there is but one statement, the server sees to.
pub(super) fn check_text(text: &str, kind: Kind) -> Result<()> {
    let rest = first(text);
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let word = &rest[..end];
    let is = |words: &[&str]| words.iter().any(|other| word.eq_ignore_ascii_case(other));
    let reads = rest.starts_with('(') || is(&READS);
    let message = match word {
        _ if reads || kind == Kind::Write && is(&WRITES) => return Ok(()),
        _ if is(&WRITES) => "the statement writes; name the tables that it writes by \
                             `Statement::writing`, and run it beside or inside a transaction"
            .into(),
        "" => "there is no statement in the text".into(),
        word => format!(
            "a statement that begins with {word:?} would change the session of the server under \
             Sora; use its own transactions and configuration"
        ),
    };
    Err(Error::new(ErrorKind::InvalidInput, message))
}

/// The text behind spaces and comments, which nest.
fn first(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        rest = match rest.get(..2) {
            Some("--") => rest.split_once(['\n', '\r']).map_or("", |(_, behind)| behind),
            Some("/*") => behind_block(rest),
            _ => return rest,
        }
        .trim_start();
    }
}

fn behind_block(text: &str) -> &str {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(two) = bytes.get(at..at + 2) {
        match two {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            // Behind an ASCII character there is no other's middle.
            return text.get(at..).unwrap_or_default();
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: [bool; 2]) {
        let found = [Kind::Read, Kind::Write].map(|kind| check_text(text, kind).is_ok());
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_statement_is_known_by_its_first_word() {
        for text in ["SELECT 1", " \n\tselect(1)", "(select 1)", "-- BEGIN\rSELECT 1", "table t"] {
            check(text, [true, true]);
        }
        for text in ["delete from t", "/* é /* SELECT */ SELECT */ Insert into t", "do 'x'"] {
            check(text, [false, true]);
        }
        for text in [
            "/* BEGIN",
            "--",
            "",
            "; SELECT 1",
            "BEGIN",
            "commit",
            "SET x = 1",
            "reset all",
            "COPY t TO STDOUT",
            "LISTEN x",
            "PREPARE x AS SELECT 1",
            "\u{feff}SELECT 1",
            "DISCARD ALL",
            "savepoint x",
        ] {
            check(text, [false, false]);
        }
    }
}
