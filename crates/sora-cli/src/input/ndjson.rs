//! NDJSON: one JSON object a line.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use sora::Schema;

use super::record::{Kind, Record, Slot};
use super::window::{RECORD_BYTES_MAX, Window};
use super::{Advance, long_record};

/// Reads objects one after another, and names each bad line.
///
/// A column is a name that some object has; its place is that of its first appearance.
#[derive(Debug)]
pub(crate) struct NdjsonReader {
    window: Window,
    names: Names,
    line: u64,
    /// The bytes of the current line, with its line feed.
    len: usize,
    slots: Vec<Slot>,
    unescaped: String,
}

#[derive(Debug, Default)]
struct Names {
    list: Vec<Box<str>>,
    places: HashMap<Box<str>, usize>,
    is_closed: bool,
}

impl NdjsonReader {
    /// Returns a reader in front of the first line.
    ///
    /// Names that are given are all that objects may have; otherwise they are collected.
    pub(crate) fn new(
        reader: Box<dyn Read + Send>,
        names: Option<&[Box<str>]>,
    ) -> io::Result<Self> {
        let mut known = Names::default();
        for name in names.unwrap_or_default() {
            known.add(name);
        }
        known.is_closed = names.is_some();
        Ok(Self {
            window: Window::open(reader)?,
            names: known,
            line: 0,
            len: 0,
            slots: Vec::new(),
            unescaped: String::new(),
        })
    }

    /// The names so far, in the order of the fields of a record.
    pub(crate) fn names(&self) -> &[Box<str>] {
        &self.names.list
    }

    /// The current line, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Goes to the next line that is not blank.
    pub(crate) fn advance(&mut self) -> io::Result<Advance> {
        loop {
            self.window.consume(std::mem::take(&mut self.len));
            self.line += 1;
            loop {
                let data = self.window.text();
                if let Some(at) = memchr::memchr(b'\n', data.as_bytes()) {
                    self.len = at + 1;
                } else if self.window.is_ended() {
                    self.len = data.len();
                    if self.len == 0 {
                        return Ok(Advance::End);
                    }
                } else if data.len() > RECORD_BYTES_MAX {
                    self.window.skip_line()?;
                    return Ok(Advance::Bad(long_record()));
                } else {
                    self.window.fill()?;
                    continue;
                }
                break;
            }
            if self.len > RECORD_BYTES_MAX {
                return Ok(Advance::Bad(long_record()));
            }
            if !self.window.text()[..self.len].trim_ascii().is_empty() {
                return Ok(Advance::Record);
            }
        }
    }

    /// Returns the object of the current line.
    ///
    /// # Errors
    ///
    /// Why the line is bad.
    pub(crate) fn record(&mut self) -> Result<Record<'_>, String> {
        self.slots.clear();
        self.slots.resize(self.names.list.len(), Slot::NULL);
        self.unescaped.clear();
        if self.window.replaced(self.len).is_some() {
            return Err("it is not UTF-8".into());
        }
        let text = self.window.text().get(..self.len).unwrap_or_default();
        let (names, slots, unescaped) = (&mut self.names, &mut self.slots, &mut self.unescaped);
        let mut json = serde_json::Deserializer::from_str(text);
        let line = Line { text, names, slots, unescaped };
        let read = json.deserialize_map(line).and_then(|()| json.end());
        read.map_err(|error| refusal(text, &error))?;
        Ok(Record { text, unescaped: &self.unescaped, slots: &self.slots })
    }
}

/// Says why a line is not an object. The parser counts lines of its own, which would confuse.
fn refusal(text: &str, error: &serde_json::Error) -> String {
    match text.trim_start().as_bytes().first() {
        Some(b'{') => {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            format!("not a JSON object: {message} at column {}", error.column())
        }
        Some(b'[') => "an array, where one object a line is expected; `jq -c '.[]' FILE` makes \
                       them of an array"
            .into(),
        _ => "not a JSON object".into(),
    }
}

impl Names {
    /// Returns the place of a name. Objects mostly repeat their names in one order, so the place
    /// behind the last one is tried first.
    fn place(&mut self, name: &str, expected: usize) -> Result<usize, String> {
        if self.list.get(expected).is_some_and(|other| **other == *name) {
            return Ok(expected);
        }
        if let Some(place) = self.places.get(name) {
            return Ok(*place);
        }
        if self.is_closed {
            return Err(format!("the name {name:?} is unknown"));
        }
        if self.list.len() == Schema::COLUMNS_MAX {
            return Err(format!(
                "the name {name:?} is one more than the {} columns of a table",
                Schema::COLUMNS_MAX
            ));
        }
        self.add(name);
        Ok(self.list.len() - 1)
    }

    fn add(&mut self, name: &str) {
        self.places.insert(name.into(), self.list.len());
        self.list.push(name.into());
    }
}

/// Takes the members of one object.
struct Line<'a> {
    text: &'a str,
    names: &'a mut Names,
    slots: &'a mut Vec<Slot>,
    unescaped: &'a mut String,
}

impl<'de> Visitor<'de> for Line<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut expected = 0;
        while let Some(place) = map.next_key_seed(Key { names: self.names, expected })? {
            let value: &'de RawValue = map.next_value()?;
            let slot = self.slot(value.get()).map_err(A::Error::custom)?;
            if place >= self.slots.len() {
                self.slots.resize(place + 1, Slot::NULL);
            }
            self.slots[place] = slot;
            expected = place + 1;
        }
        Ok(())
    }
}

impl Line<'_> {
    fn slot(&mut self, raw: &str) -> Result<Slot, serde_json::Error> {
        // The raw value is a part of the line.
        let start = raw.as_ptr() as usize - self.text.as_ptr() as usize;
        let end = start + raw.len();
        let kind = match raw.as_bytes().first() {
            Some(b'n') => Kind::Null,
            Some(b't') => Kind::True,
            Some(b'f') => Kind::False,
            Some(b'{' | b'[') => Kind::Nested,
            Some(b'"') if raw.contains('\\') => {
                let start = self.unescaped.len();
                *self.unescaped += &serde_json::from_str::<String>(raw)?;
                let end = self.unescaped.len();
                return Ok(Slot::new(Kind::Text, start, end, true));
            }
            Some(b'"') => {
                return Ok(Slot::new(Kind::Text, start + 1, end - 1, false));
            }
            _ => Kind::Number,
        };
        Ok(Slot::new(kind, start, end, false))
    }
}

/// Takes a name and gives its place, without making a `String` of it.
struct Key<'a> {
    names: &'a mut Names,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = usize;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<usize, E> {
        self.names.place(name, self.expected).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Field;
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let reader = Box::new(io::Cursor::new(text.to_owned()));
        let mut reader = NdjsonReader::new(reader, None).expect("opens");
        let mut found = Vec::new();
        loop {
            let line = match reader.advance().expect("reads") {
                Advance::End => break,
                Advance::Bad(reason) => format!("bad: {reason}"),
                Advance::Record => match reader.record() {
                    Ok(record) => {
                        let field = |at| format!("{:?}", record.field(at));
                        (0..record.slots.len()).map(field).collect::<Vec<_>>().join(" ")
                    }
                    Err(reason) => format!("bad: {reason}"),
                },
            };
            found.push(format!("{} {line}", reader.line()));
        }
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn fields_stand_in_the_order_of_their_first_appearance() {
        check(
            "{\"a\": 1, \"b\": \"x\"}\n\n{\"c\":{\"d\": [1]},\"a\":null}\r\n{\"b\":\"\\u00e9\\n\"}",
            &[
                r#"1 Number("1") Text("x")"#,
                r#"3 Null Null Nested("{\"d\": [1]}")"#,
                r#"4 Null Text("é\n") Null"#,
            ],
        );
        check("{\"a\":1.50,\"a\":true}\n{}", &["1 Bool(true)", "2 Null"]);
    }

    #[test]
    fn bad_lines_are_named_and_the_rest_goes_on() {
        check(
            "{\"a\":1}\n{\"a\":}\n[1]\n5\n{\"a\":\"\\ud800\"}\n{} {}\n{\"a\":2}",
            &[
                r#"1 Number("1")"#,
                "2 bad: not a JSON object: expected value at column 6",
                "3 bad: an array, where one object a line is expected; `jq -c '.[]' FILE` makes them of an array",
                "4 bad: not a JSON object",
                "5 bad: not a JSON object: unexpected end of hex escape at column 8",
                "6 bad: not a JSON object: trailing characters at column 4",
                r#"7 Number("2")"#,
            ],
        );
    }

    #[test]
    fn closed_names_take_no_more() {
        let reader = Box::new(io::Cursor::new("{\"a\":1}\n{\"b\":1}"));
        let mut reader = NdjsonReader::new(reader, Some(&["a".into()])).expect("opens");
        assert!(matches!(reader.advance(), Ok(Advance::Record)));
        assert_eq!(reader.record().expect("an object").field(0), Field::Number("1"));
        assert!(matches!(reader.advance(), Ok(Advance::Record)));
        assert!(reader.record().expect_err("unknown").contains("\"b\" is unknown"));
    }

    #[test]
    fn a_line_of_any_length_is_read_or_refused() {
        let long = "x".repeat(RECORD_BYTES_MAX);
        let text = format!("{{\"a\":\"{long}\"}}\n{{\"a\":\"{}\"}}", &long[..3_000_000]);
        let mut reader = NdjsonReader::new(Box::new(io::Cursor::new(text)), None).expect("opens");
        assert!(matches!(reader.advance(), Ok(Advance::Bad(reason)) if reason.contains("16 MiB")));
        assert!(matches!(reader.advance(), Ok(Advance::Record)));
        assert_eq!(reader.line(), 2);
        assert!(reader.record().is_ok());
    }
}
