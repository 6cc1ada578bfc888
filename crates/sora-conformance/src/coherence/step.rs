//! What one session did at one time, as a line of NDJSON.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};
use sora_core::{Error, ErrorKind, Result};

/// One operation of a history: a line of its file.
///
/// All times are of one clock. Other fields of a line are left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Who did it. A session stays on its node.
    pub session: u64,
    /// Where: sessions of one node share its memory.
    pub node: u64,
    /// What was done.
    pub op: Op,
    /// The key of the row.
    pub key: String,
    /// What was read or written. Versions of a key grow with each write and delete, from 1; a read
    /// that finds nothing gives the version of the delete, or 0 where it can't tell which.
    pub version: u64,
    /// When it began.
    pub start_ns: u64,
    /// When it ended; none for a write that was never confirmed, which happened later or not at all.
    pub end_ns: Option<u64>,
    /// What answered a read, where that is known.
    #[serde(default)]
    pub tier: Option<Tier>,
}

/// What a [`Step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// It removed the row.
    Delete,
    /// It looked the row up.
    Read,
    /// It added or changed the row.
    Write,
}

/// What answered a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The memory of the process.
    Memory,
    /// The tier that processes share.
    Remote,
    /// The store.
    Store,
}

impl Step {
    /// Reads a history, a line at a time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`], naming the line, if one is no step; what the reader says.
    pub fn read_all(from: impl BufRead) -> Result<Vec<Self>> {
        let mut steps = Vec::new();
        for (at, line) in from.lines().enumerate() {
            let line = line.map_err(|error| of_file("read", &error))?;
            let step = serde_json::from_str(&line).map_err(|error| {
                let message = format!("the line is no step of a history: {error}");
                Error::new(ErrorKind::InvalidInput, message).with("line", at + 1)
            })?;
            steps.push(step);
        }
        Ok(steps)
    }

    /// Writes a history, a line for each step.
    ///
    /// # Errors
    ///
    /// What the writer says.
    pub fn write_all(steps: &[Self], mut to: impl Write) -> Result<()> {
        for step in steps {
            let line = step.line()?;
            writeln!(to, "{line}").map_err(|error| of_file("written", &error))?;
        }
        to.flush().map_err(|error| of_file("written", &error))
    }

    /// Returns the step as it stands in a file.
    ///
    /// # Errors
    ///
    /// None that a step can cause.
    pub fn line(&self) -> Result<String> {
        let message = "a step could not be written as JSON";
        serde_json::to_string(self)
            .map_err(|error| Error::new(ErrorKind::Internal, message).with("cause", error))
    }

    /// Whether it changed the row, or may have.
    pub(super) fn is_change(&self) -> bool {
        self.op != Op::Read
    }
}

fn of_file(what: &str, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("the history could not be {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let read = r#"{"session":1,"node":2,"op":"read","key":"k","version":0,"start_ns":5,"end_ns":6,"tier":"memory"}"#;
        let lost = r#"{"session":1,"node":2,"op":"delete","key":"k","version":9,"start_ns":5,"end_ns":null,"tier":null}"#;
        let text = format!("{read}\n{lost}\n");
        let steps = Step::read_all(text.as_bytes()).expect("a history");
        assert_eq!((steps[0].op, steps[0].tier), (Op::Read, Some(Tier::Memory)));
        assert_eq!((steps[1].op, steps[1].end_ns), (Op::Delete, None));
        let mut written = Vec::new();
        Step::write_all(&steps, &mut written).expect("a buffer");
        assert_eq!(String::from_utf8(written).expect("text"), text);
    }

    #[test]
    fn a_line_that_is_no_step_is_named() {
        let line = r#"{"session":1,"node":2,"op":"read","key":"k","version":0,"start_ns":5,"end_ns":6,"more":1}"#;
        assert_eq!(Step::read_all(line.as_bytes()).expect("more fields").len(), 1);
        let error = Step::read_all(format!("{line}\nno\n").as_bytes()).expect_err("no step");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("line: 2"), "{error}");
    }
}
