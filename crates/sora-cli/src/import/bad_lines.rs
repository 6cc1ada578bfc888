//! Lines that could not be imported: the first are shown, all are counted.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::output::one_line;
use crate::progress::Progress;

/// Takes lines that could not be imported.
#[derive(Debug)]
pub(super) struct BadLines {
    count: u64,
    file: Option<(PathBuf, BufWriter<File>)>,
}

#[derive(Serialize)]
struct BadLine<'a> {
    line: u64,
    reason: &'a str,
}

/// Lines that are shown on standard error.
const SHOWN_MAX: u64 = 20;

impl BadLines {
    /// Starts without any; with a path, all are written there as NDJSON.
    pub(super) fn new(path: Option<&Path>) -> Outcome<Self> {
        let open = |path: &Path| match File::create(path) {
            Ok(file) => Ok((path.to_owned(), BufWriter::new(file))),
            Err(error) => Err(Failure::file(path, &error)),
        };
        Ok(Self { count: 0, file: path.map(open).transpose()? })
    }

    /// Takes one line and why it is bad.
    pub(super) fn add(
        &mut self,
        console: &mut Console,
        progress: &Progress,
        line: u64,
        reason: &str,
    ) -> Outcome {
        self.count += 1;
        if self.count <= SHOWN_MAX {
            progress.say(console, format_args!("line {line}: {}", one_line(reason)));
        } else if self.count == SHOWN_MAX + 1 {
            let more = match &self.file {
                Some((path, _)) => format!("more bad lines follow in {}", path.display()),
                None => "more bad lines follow; --errors FILE writes all of them".into(),
            };
            progress.say(console, more);
        }
        self.write(|file| {
            serde_json::to_writer(&mut *file, &BadLine { line, reason })?;
            file.write_all(b"\n")
        })
    }

    /// Writes what is left to write.
    pub(super) fn finish(&mut self) -> Outcome {
        self.write(BufWriter::flush)
    }

    fn write(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Outcome {
        match &mut self.file {
            Some((path, file)) => write(file).map_err(|error| Failure::file(path, &error)),
            None => Ok(()),
        }
    }
}
