//! `sora export`: all rows, in flat memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use sora::{Query, Sora, Table};
use tempfile::NamedTempFile;

use crate::arguments::Export;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::input::Format;
use crate::output::{Heading, Look, RowFormat, RowWriter};
use crate::progress::{Progress, Rate};
use crate::rows::each_row;

/// How often progress is shown, in rows.
const PROGRESS_ROWS: u64 = 4_096;

/// Writes the rows of a table to a file or standard output.
pub(crate) async fn run(store: &Sora, arguments: &Export, console: &mut Console) -> Outcome {
    let table = arguments.selection.open(store).await?;
    let query = arguments.selection.query(&table)?;
    let format = format(arguments);
    let Some(path) = &arguments.output else {
        let out = &mut *console.out;
        return write(&table, &query, out, format, &arguments.null, None).await.map(drop);
    };
    let file = Beside::create(path, arguments.force)?;
    let progress = Progress::start(console, "exporting", None);
    let mut out = BufWriter::with_capacity(256 * 1024, &file);
    let rows = write(&table, &query, &mut out, format, &arguments.null, Some(&progress))
        .await
        .map_err(|failure| at(path, failure))?;
    drop(out);
    file.publish(path, arguments.force)?;
    let rate = Rate { rows, elapsed: progress.elapsed() };
    progress.finish();
    console.say(format_args!("{rows} rows written to {} ({rate})", path.display()));
    Ok(())
}

fn format(arguments: &Export) -> RowFormat {
    let ending = arguments.output.as_ref().and_then(|path| path.extension()?.to_str());
    match (arguments.format, ending.map(str::to_ascii_lowercase).as_deref()) {
        (Some(Format::Ndjson), _) | (None, Some("ndjson" | "jsonl")) => RowFormat::Ndjson,
        _ => RowFormat::Csv,
    }
}

async fn write(
    table: &Table,
    query: &Query,
    out: &mut (dyn Write + Send),
    format: RowFormat,
    null: &str,
    progress: Option<&Progress>,
) -> Outcome<u64> {
    let headings = Heading::of(table.schema(), table.columns());
    let mut writer = RowWriter::new(out, format, headings, null, Look::default());
    each_row(table, query, &mut |row| {
        writer.row(row)?;
        if let Some(progress) = progress
            && writer.rows() % PROGRESS_ROWS == 0
        {
            progress.at(writer.rows());
        }
        Ok(())
    })
    .await?;
    let rows = writer.rows();
    writer.finish()?;
    Ok(rows)
}

/// A file that is written beside its place and moved there when it is whole.
#[derive(Debug)]
struct Beside(NamedTempFile);

impl Beside {
    fn create(path: &Path, may_replace: bool) -> Outcome<Self> {
        if !may_replace && path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        if path.is_dir() {
            return Err(Failure::failed(format!("{}: is a directory", path.display())));
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".sora-export-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any other file of the user's: what the umask leaves of it.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(directory);
        file.map(Self).map_err(|error| Failure::file(directory, &error))
    }

    /// Moves the file to its place, after all of it is on the disk.
    fn publish(self, path: &Path, may_replace: bool) -> Outcome {
        self.0.as_file().sync_all().map_err(|error| Failure::file(path, &error))?;
        let moved = match may_replace {
            true => self.0.persist(path),
            false => self.0.persist_noclobber(path),
        };
        match moved {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
            Err(error) => Err(Failure::file(path, &error.error)),
        }
    }
}

impl Write for &Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file: &File = self.0.as_file();
        file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn exists(path: &Path) -> Failure {
    Failure::failed(format!("{}: is there already; --force replaces it", path.display()))
}

/// An error of writing is one of the file's, whatever its kind.
fn at(path: &Path, failure: Failure) -> Failure {
    match failure {
        Failure::PipeClosed => Failure::failed(format!("{}: the pipe was closed", path.display())),
        other => other,
    }
}
