//! The types of columns, inferred from every value of a file in one pass and in flat memory.
//!
//! Each column starts as everything, and each value rules out what it cannot be of without losing
//! something. The narrowest type that is left at the end is the column's, and what ruled out the
//! next narrower one is kept to be shown.

use std::fmt;

use sora::{Cell, Type};

use crate::input::{Field, Record};
use crate::lexeme::{Types, why_not};

/// Looks at records and says at the end what their columns are.
#[derive(Debug, Default)]
pub(crate) struct Inference {
    columns: Vec<Candidates>,
    records: u64,
}

/// What a column was found to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Inferred {
    /// The narrowest type that holds every value.
    pub(crate) column_type: Type,
    /// Whether some record has no value for it.
    pub(crate) nullable: bool,
    /// The line of the first record without a value.
    pub(crate) null_line: Option<u64>,
    /// Why it is not of a narrower type.
    pub(crate) widened: Option<Widened>,
}

/// The value that made a column wider than those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Widened {
    line: u64,
    value: String,
    /// What it is not; none if all it does is differ from the strings around it.
    narrower: Option<Type>,
    why: Option<&'static str>,
}

#[derive(Debug)]
struct Candidates {
    possible: Types,
    values: u64,
    null_line: Option<u64>,
    ruled_out: [Option<RuledOut>; Types::ORDER.len()],
    /// The first number, `true` or `false` of JSON behind a string.
    odd: Option<(u64, String)>,
}

#[derive(Clone, Debug)]
struct RuledOut {
    line: u64,
    value: String,
    why: Option<&'static str>,
    /// The number of values before this one, which were all of the type.
    values_before: u64,
}

impl Inference {
    /// Looks at one record.
    pub(crate) fn observe(&mut self, line: u64, record: &Record<'_>) {
        // A column that appears later was null until then.
        let is_late = self.records > 0;
        self.columns.resize_with(self.columns.len().max(record.len()), || {
            Candidates::new(is_late.then_some(1))
        });
        self.records += 1;
        for (place, column) in self.columns.iter_mut().enumerate() {
            column.observe(line, record.field(place));
        }
    }

    /// Says what so many columns are.
    pub(crate) fn finish(mut self, columns: usize) -> Vec<Inferred> {
        self.columns.resize_with(columns, || Candidates::new(None));
        self.columns.into_iter().map(Candidates::finish).collect()
    }
}

impl Candidates {
    fn new(null_line: Option<u64>) -> Self {
        Self {
            possible: Types::ALL,
            values: 0,
            null_line,
            ruled_out: [const { None }; Types::ORDER.len()],
            odd: None,
        }
    }

    fn observe(&mut self, line: u64, field: Field<'_>) {
        let (among, text) = match field {
            Field::Null => {
                self.null_line.get_or_insert(line);
                return;
            }
            Field::Bare(_) if self.possible == Types::TEXT => {
                self.values += 1;
                return;
            }
            Field::Bare(text) => (Types::BARE, text),
            Field::Text(text) => (Types::STRING, text),
            Field::Number(text) => (Types::NUMBER, text),
            Field::Nested(text) => (Types::NESTED, text),
            Field::Bool(true) => (Types::BOOL, "true"),
            Field::Bool(false) => (Types::BOOL, "false"),
        };
        let still = self.possible.intersection(among).of_text(text);
        if still != self.possible {
            self.rule_out(still, line, field, text);
        }
        if matches!(field, Field::Number(_) | Field::Bool(_)) && self.odd.is_none() {
            // Nothing is left but what a string can be, too.
            if still.without(Types::STRING).is_empty() {
                self.odd = Some((line, excerpt(text)));
            }
        }
        self.values += 1;
    }

    /// Keeps what is still possible, and why the rest is not.
    #[cold]
    fn rule_out(&mut self, still: Types, line: u64, field: Field<'_>, text: &str) {
        let number = Types::NUMBER.intersection(Types::BARE).without(Types::TEXT);
        let is_string = matches!(field, Field::Text(_)) && !number.of_text(text).is_empty();
        for column_type in self.possible.without(still).iter() {
            let why = if is_string { Some("is a string") } else { why_not(column_type, text) };
            let values_before = self.values;
            self.ruled_out[Types::place(column_type)] =
                Some(RuledOut { line, value: excerpt(text), why, values_before });
        }
        self.possible = still;
    }

    fn finish(self) -> Inferred {
        // Without a value anything would do, and text holds whatever comes later. A mixture that is
        // neither text nor JSON does not exist: JSON holds all of NDJSON, text all of CSV.
        let column_type = match self.values {
            0 => Type::Text,
            _ => self.possible.iter().next().unwrap_or(Type::Text),
        };
        Inferred {
            column_type,
            nullable: self.null_line.is_some() || self.values == 0,
            null_line: self.null_line,
            widened: if self.values == 0 { None } else { self.widened(column_type) },
        }
    }

    /// Returns what ruled out the narrower type that held out the longest; nothing, if none fitted
    /// even one value and the first one does not look like it either.
    fn widened(&self, column_type: Type) -> Option<Widened> {
        let narrower = &self.ruled_out[..Types::place(column_type)];
        let mut longest: Option<(usize, &RuledOut)> = None;
        for (place, ruled_out) in narrower.iter().enumerate() {
            if let Some(ruled_out) = ruled_out
                && longest.is_none_or(|(_, other)| other.values_before < ruled_out.values_before)
            {
                longest = Some((place, ruled_out));
            }
        }
        let (place, ruled_out) = match longest? {
            // All were ruled out by the first value: only a near miss is worth a word.
            (_, RuledOut { values_before: 0, .. }) if column_type != Type::Text => return None,
            (_, RuledOut { values_before: 0, .. }) => {
                let integer = Types::place(Type::I64);
                let near = narrower.get(integer).and_then(Option::as_ref);
                match near.filter(|near| near.why.is_some()) {
                    Some(near) => (integer, near),
                    None => return self.odd(),
                }
            }
            longest => longest,
        };
        let RuledOut { line, value, why, .. } = ruled_out.clone();
        Some(Widened { line, value, narrower: Some(Types::ORDER[place]), why })
    }

    fn odd(&self) -> Option<Widened> {
        let (line, value) = self.odd.clone()?;
        Some(Widened { line, value, narrower: None, why: Some("is not a string, and kept as one") })
    }
}

/// The longest part of a value that is kept and shown, in characters.
const EXCERPT_CHARS: usize = 40;

/// Returns the start of a text that may be long.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

impl fmt::Display for Widened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, value, narrower, why } = self;
        if let Some(narrower) = narrower {
            write!(f, "not {narrower}: ")?;
        }
        write!(f, "{} in line {line}", Cell::Text(&value.escape_debug().to_string()))?;
        match why {
            Some(why) => write!(f, " {why}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Dialect, Format, Reader, scan};

    fn infer(text: &str, format: Format) -> Vec<String> {
        let dialect =
            Dialect { format, delimiter: b',', nulls: Box::new(["".into()]), names: None };
        let reader = Box::new(std::io::Cursor::new(text.to_owned()));
        let mut reader = Reader::open(reader, &dialect, None).expect("opens");
        let mut inference = Inference::default();
        scan(&mut reader, |line, record| inference.observe(line, record)).expect("reads");
        let names = reader.names().to_vec();
        let mut shown = Vec::new();
        for (name, inferred) in names.iter().zip(inference.finish(names.len())) {
            let null = if inferred.nullable { "?" } else { "" };
            let why = inferred.widened.map_or(String::new(), |widened| format!(", {widened}"));
            shown.push(format!("{name} {}{null}{why}", inferred.column_type));
        }
        shown
    }

    fn check_csv(values: &[&str], expected: &str) {
        let text = format!("x,y\n{},\n", values.join(",\n"));
        assert_eq!(infer(&text, Format::Csv)[0], expected, "{values:?}");
    }

    #[test]
    fn the_narrowest_type_that_loses_nothing_wins() {
        check_csv(&["1", "-2", ""], "x i64?");
        check_csv(&["1", "2.5"], "x f64, not i64: '2.5' in line 3 has a fraction or exponent");
        check_csv(&["2.5", "1"], "x f64");
        check_csv(&["true", "false"], "x bool");
        check_csv(&["true", "1"], "x text, not bool: '1' in line 3");
        check_csv(&["2024-01-01"], "x date");
        check_csv(
            &["2024-01-01", "2024-01-01 10:00"],
            "x text, not date: '2024-01-01 10:00' in line 3 has a time",
        );
        check_csv(&["2024-01-01 10:00"], "x timestamp");
        check_csv(&["0190a6f2-7c1e-7d3a-9b1f-00ff00ff00ff"], "x uuid");
        check_csv(&["", ""], "x text?");
        check_csv(&["\"\"", "1"], "x text");
        check_csv(&["Holtsville", "1"], "x text");
        check_csv(&["00501", "1"], "x text, not i64: '00501' in line 2 has a leading zero");
        check_csv(&["1", "n/a"], "x text, not i64: 'n/a' in line 3");
        check_csv(&["1", "2.5", "n/a"], "x text, not f64: 'n/a' in line 4");
        // An integer that no float holds was fine until a fraction came.
        check_csv(
            &["9007199254740993", "1", "0.5"],
            "x text, not i64: '0.5' in line 4 has a fraction or exponent",
        );
    }

    #[test]
    fn one_value_far_down_counts() {
        let mut values = vec!["1"; 50_000];
        values[49_998] = "00501";
        check_csv(&values, "x text, not i64: '00501' in line 50000 has a leading zero");
    }

    #[test]
    fn json_says_more_than_csv() {
        let lines = r#"{"a":1,"b":"5","c":{"d":1},"e":"2024-01-01","f":300,"g":true,"h":1}
            {"a":2.0,"b":"6","c":null,"f":"Up","g":1,"h":[1],"i":1}"#;
        assert_eq!(
            infer("{\"title\":\"Up\"}\n{\"title\":null}\n{\"title\":1776}", Format::Ndjson),
            ["title text?, '1776' in line 3 is not a string, and kept as one"]
        );
        assert_eq!(
            infer(lines, Format::Ndjson),
            [
                "a f64, not i64: '2.0' in line 2 has a fraction or exponent",
                "b text, not i64: '5' in line 1 is a string",
                "c json?",
                "e date?",
                "f text, not i64: 'Up' in line 2",
                "g text, not bool: '1' in line 2",
                "h json, not i64: '[1]' in line 2",
                "i i64?",
            ]
        );
    }
}
