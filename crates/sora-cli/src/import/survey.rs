//! The first pass over a file: what its columns are, how many records it has, and its hash.

use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::inference::{Inference, Inferred};
use crate::input::{Advance, Dialect, Reader, Source};
use crate::progress::Progress;

/// What the first pass found.
#[derive(Debug)]
pub(super) struct Survey {
    /// The columns, in the order of the fields.
    pub(super) names: Vec<Box<str>>,
    /// What the columns are.
    pub(super) columns: Vec<Inferred>,
    /// The records, bad ones included.
    pub(super) lines: u64,
    /// The BLAKE3 hash of the content.
    pub(super) content: String,
}

/// How often progress is shown, in records.
pub(super) const PROGRESS_RECORDS: u64 = 8_192;

impl Survey {
    /// Reads the whole file once. Nothing is inferred for a table whose types are known.
    pub(super) fn take(
        source: &Source,
        dialect: &Dialect,
        infers: bool,
        console: &Console,
    ) -> Outcome<Self> {
        let at = |failure: Failure| match failure {
            Failure::Failed(message) => Failure::Failed(format!("{}: {message}", source.name())),
            other => other,
        };
        let progress = Progress::start(console, "reading", None);
        let (reader, digest) = source.read_hashed()?;
        let mut reader = Reader::open(reader, dialect, None).map_err(at)?;
        let mut inference = Inference::default();
        let mut lines = 0;
        loop {
            match reader.advance().map_err(|error| at(error.into()))? {
                Advance::End => break,
                Advance::Bad(_) => {}
                Advance::Record => {
                    let line = reader.line();
                    // Only NDJSON tells its columns record by record. Bad lines are reported when
                    // they are imported.
                    if let Ok(record) = reader.record()
                        && infers
                    {
                        inference.observe(line, &record);
                    }
                }
            }
            lines += 1;
            if lines % PROGRESS_RECORDS == 0 {
                progress.at(lines);
            }
        }
        let names = reader.names().to_vec();
        let columns = inference.finish(names.len());
        Ok(Self { names, columns, lines, content: digest.text() })
    }
}
