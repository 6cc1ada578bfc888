//! What an import says at its end.

use std::fmt::Write as _;

use serde::Serialize;

use super::ledger::Entry;
use super::load::Tally;
use crate::arguments::ReportFormat;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::output::one_line;
use crate::progress::Rate;

/// What became of a file.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    file: String,
    table: String,
    /// `complete`, `stopped`, or `unchanged` if it was imported before.
    state: &'static str,
    lines: u64,
    inserted: u64,
    updated: u64,
    #[serde(skip_serializing_if = "is_zero")]
    upserted: u64,
    #[serde(skip_serializing_if = "is_zero")]
    unchanged: u64,
    failed: u64,
    skipped: u64,
    duplicate_keys: u64,
    seconds: f64,
    rows_per_second: u64,
    columns: Vec<ReportedColumn>,
    #[serde(skip)]
    before: Option<String>,
}

/// A column of the file, as it was imported.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ReportedColumn {
    pub(super) name: String,
    pub(super) r#type: String,
    pub(super) nullable: bool,
    /// Why it was not inferred to be of a narrower type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

impl Report {
    /// Reports what was done.
    pub(super) fn done(file: &str, table: &str, lines: u64, tally: Tally) -> Self {
        let Tally { inserted, updated, upserted, unchanged, .. } = tally;
        let rate = Rate { rows: tally.written(), elapsed: tally.elapsed };
        Self {
            file: file.into(),
            table: table.into(),
            state: if tally.is_stopped { "stopped" } else { "complete" },
            lines,
            inserted,
            updated,
            upserted,
            unchanged,
            failed: tally.failed,
            skipped: tally.skipped,
            duplicate_keys: tally.duplicates,
            seconds: tally.elapsed.as_secs_f64(),
            rows_per_second: rate.per_second(),
            columns: Vec::new(),
            before: None,
        }
    }

    /// Says what the columns are.
    pub(super) fn with_columns(self, columns: Vec<ReportedColumn>) -> Self {
        Self { columns, ..self }
    }

    /// Reports that the file was imported before.
    pub(super) fn unchanged(file: &str, entry: &Entry) -> Self {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let (lines, failed) = (count(entry.lines), count(entry.failed));
        let when = entry.finished_at.map_or(String::new(), |at| format!(" at {at}"));
        let mut before = format!(
            "{} was imported into {} before{when}, with {lines} lines: nothing changed",
            one_line(file),
            one_line(&entry.table_name)
        );
        if failed > 0 {
            // Writing to a String cannot fail.
            let _ = write!(before, "; {failed} lines could not be imported then");
        }
        before += "; --force imports it again";
        let tally = Tally { unchanged: lines - failed.min(lines), failed, ..Tally::default() };
        let report = Self::done(file, &entry.table_name, lines, tally);
        Self { state: "unchanged", before: Some(before), ..report }
    }

    /// Writes the report to standard output. It fails if a line did.
    pub(super) fn print(&self, format: ReportFormat, console: &mut Console) -> Outcome {
        match format {
            ReportFormat::Json => {
                console.print(serde_json::to_string(self).map_err(Failure::failed)?)?;
            }
            ReportFormat::Text => console.print(self.text())?,
        }
        if self.failed > 0 || self.state == "stopped" { Err(Failure::Reported) } else { Ok(()) }
    }

    fn text(&self) -> String {
        if let Some(before) = &self.before {
            return before.clone();
        }
        let mut text = format!(
            "{} into {}: {} lines in {:.2} s ({}/s)",
            one_line(&self.file),
            one_line(&self.table),
            self.lines,
            self.seconds,
            self.rows_per_second
        );
        let optional = |name, count| (name, count, count > 0);
        for (name, count, is_shown) in [
            ("inserted", self.inserted, self.upserted == 0),
            ("updated", self.updated, self.upserted == 0),
            optional("upserted", self.upserted),
            optional("unchanged", self.unchanged),
            ("failed", self.failed, true),
            ("skipped", self.skipped, true),
            ("duplicate keys", self.duplicate_keys, true),
        ] {
            if is_shown {
                let _ = write!(text, "\n  {name:<15}{count:>10}");
            }
        }
        if self.duplicate_keys > 0 {
            text += "  (the last line of each key won)";
        }
        if self.state == "stopped" {
            text += "\n  stopped at the first line that failed; importing again completes it";
        }
        text
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
