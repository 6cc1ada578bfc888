//! What the suite found.

use std::fmt;

use sora_core::Error;

/// What the suite found on one provider, line by line of the contract.
#[derive(Clone, Debug)]
pub struct Report {
    provider: &'static str,
    entries: Vec<Entry>,
}

/// What became of one line of the contract.
#[derive(Clone, Debug)]
struct Entry {
    line: &'static str,
    end: End,
    notes: Vec<String>,
}

#[derive(Clone, Debug)]
enum End {
    Passed,
    Failed(String),
    Skipped(String),
    /// Skipped because a line that it rests on is broken.
    Blocked(&'static str),
}

impl End {
    fn is_broken(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Blocked(_))
    }
}

/// Why a line ended before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(String),
    Skipped(String),
}

/// What a line comes to.
pub(crate) type Verdict<T = ()> = Result<T, Stop>;

impl Report {
    pub(crate) fn new(provider: &'static str) -> Self {
        Self { provider, entries: Vec::new() }
    }

    pub(crate) fn push(&mut self, line: &'static str, verdict: Verdict, notes: Vec<String>) {
        let end = match verdict {
            Ok(()) => End::Passed,
            Err(Stop::Failed(why)) => End::Failed(why),
            Err(Stop::Skipped(why)) => End::Skipped(why),
        };
        self.entries.push(Entry { line, end, notes });
    }

    /// Adds a line that cannot be judged, because one that it rests on is broken.
    pub(crate) fn block(&mut self, line: &'static str, by: &'static str) {
        self.entries.push(Entry { line, end: End::Blocked(by), notes: Vec::new() });
    }

    /// Returns the first of these lines that failed, or was skipped because one that it rests on did.
    pub(crate) fn without(&self, needs: &[&'static str]) -> Option<&'static str> {
        let is_needed = |entry: &&Entry| needs.contains(&entry.line);
        self.entries.iter().filter(is_needed).find(|entry| entry.end.is_broken()).map(|e| e.line)
    }

    /// The lines that the provider breaks.
    pub fn failed(&self) -> Vec<&'static str> {
        self.lines(|end| matches!(end, End::Failed(_)))
    }

    /// The lines that say nothing about the provider, because it does not claim what they are about
    /// or because a line that they rest on failed.
    pub fn skipped(&self) -> Vec<&'static str> {
        self.lines(|end| matches!(end, End::Skipped(_) | End::Blocked(_)))
    }

    /// Whether the provider keeps every line that applies to it.
    pub fn is_green(&self) -> bool {
        self.failed().is_empty()
    }

    /// Prints the report to stderr and accepts it.
    ///
    /// # Panics
    ///
    /// Panics with the report if the provider breaks a line.
    pub fn expect_green(&self) {
        assert!(self.is_green(), "{self}");
        eprintln!("{self}");
    }

    fn lines(&self, is_meant: fn(&End) -> bool) -> Vec<&'static str> {
        self.entries.iter().filter(|entry| is_meant(&entry.end)).map(|entry| entry.line).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, skipped) = (self.failed().len(), self.skipped().len());
        let passed = self.entries.len() - failed - skipped;
        writeln!(
            f,
            "the contract on {}: {passed} lines passed, {failed} failed, {skipped} skipped",
            self.provider
        )?;
        for Entry { line, end, notes } in &self.entries {
            match end {
                End::Passed => {}
                End::Failed(why) => writeln!(f, "  FAILED   {line}: {why}")?,
                End::Skipped(why) => writeln!(f, "  SKIPPED  {line}: {why}")?,
                End::Blocked(by) => writeln!(f, "  SKIPPED  {line}: it rests on \"{by}\"")?,
            }
            for note in notes {
                writeln!(f, "  note     {line}: {note}")?;
            }
        }
        Ok(())
    }
}

impl From<Error> for Stop {
    /// An error that the line did not expect.
    fn from(error: Error) -> Self {
        Self::Failed(format!("unexpected error: {error}"))
    }
}

/// Fails the line unless a condition holds.
pub(crate) fn check(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { failed(why()) }
}

/// Fails the line unless two values are equal.
pub(crate) fn same<T: PartialEq + fmt::Debug>(what: &str, found: &T, expected: &T) -> Verdict {
    check(found == expected, || format!("{what}: found {found:?}, expected {expected:?}"))
}

pub(crate) fn failed<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Stop::Failed(why.into()))
}

pub(crate) fn skipped<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Stop::Skipped(why.into()))
}
