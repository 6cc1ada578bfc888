//! The file that is read, more than once.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use clap::ValueEnum;

use crate::failure::{Failure, Outcome};

/// A file that can be read from its start as often as needed.
///
/// What cannot be rewound, such as standard input, is copied to a temporary file first, because
/// types are inferred from the whole before the first row is written.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    file: File,
    bytes: u64,
    /// When the file was changed last; none for a copy, which nobody else can change.
    modified: Option<SystemTime>,
}

/// How records are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated values with a header line
    Csv,
    /// One JSON object a line
    Ndjson,
}

/// The hash of what was read, complete when the reader has come to the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest(Arc<Mutex<blake3::Hasher>>);

impl Source {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        if path == Path::new("-") {
            return Self::spool(&mut io::stdin().lock(), "-");
        }
        let at = |error: io::Error| Failure::file(path, &error);
        let mut file = File::open(path).map_err(|error| unopened(path, &error))?;
        let metadata = file.metadata().map_err(at)?;
        let name = path.display().to_string();
        if metadata.is_dir() {
            return Err(Failure::failed(format!("{name}: is a directory")));
        }
        if !metadata.is_file() {
            return Self::spool(&mut file, &name);
        }
        let modified = metadata.modified().ok();
        Ok(Self { name, file, bytes: metadata.len(), modified })
    }

    /// Fails if there is no such file: before a store is opened, or made, for nothing.
    ///
    /// It is not opened: what can be read once would be lost.
    pub(crate) fn look(path: &Path) -> Outcome {
        match path.metadata() {
            Err(error) if path != Path::new("-") => Err(unopened(path, &error)),
            _ => Ok(()),
        }
    }

    /// Copies what can be read once.
    fn spool(from: &mut dyn Read, name: &str) -> Outcome<Self> {
        let at = |error: io::Error| {
            Failure::failed(format!("{name}: cannot be copied to a temporary file: {error}"))
        };
        let mut file = tempfile::tempfile().map_err(at)?;
        let bytes = io::copy(from, &mut file).map_err(at)?;
        Ok(Self { name: name.into(), file, bytes, modified: None })
    }

    /// What the file is called, `-` for standard input.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The size.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The format by the name's ending, else by the first character.
    pub(crate) fn format(&self) -> Outcome<Format> {
        let ending = Path::new(&self.name).extension().and_then(|ending| ending.to_str());
        match ending.map(str::to_ascii_lowercase).as_deref() {
            Some("csv" | "tsv") => return Ok(Format::Csv),
            Some("ndjson" | "jsonl" | "json") => return Ok(Format::Ndjson),
            _ => {}
        }
        let mut head = Vec::new();
        self.rewind()?.take(1024).read_to_end(&mut head)?;
        let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&head).trim_ascii_start();
        Ok(if head.starts_with(b"{") { Format::Ndjson } else { Format::Csv })
    }

    /// Whether the file is still as it was when it was opened, by its size and time.
    pub(crate) fn is_unchanged(&self) -> bool {
        let is_same = |metadata: Metadata| {
            let modified = self.modified.is_none() || metadata.modified().ok() == self.modified;
            metadata.len() == self.bytes && modified
        };
        self.file.metadata().is_ok_and(is_same)
    }

    /// Returns a reader of the whole.
    pub(crate) fn read(&self) -> Outcome<Box<dyn Read + Send>> {
        Ok(Box::new(self.rewind()?))
    }

    /// Returns a reader of the whole that hashes what it reads.
    pub(crate) fn read_hashed(&self) -> Outcome<(Box<dyn Read + Send>, Digest)> {
        let digest = Digest::default();
        let reader = Hashed { reader: self.rewind()?, digest: digest.clone() };
        Ok((Box::new(reader), digest))
    }

    /// Only one reader is in use at a time: clones of a file share their place.
    fn rewind(&self) -> Outcome<File> {
        let at = |error: io::Error| Failure::file(Path::new(&self.name), &error);
        let mut file = self.file.try_clone().map_err(at)?;
        file.seek(SeekFrom::Start(0)).map_err(at)?;
        Ok(file)
    }
}

impl Digest {
    /// The hash in hexadecimal digits.
    pub(crate) fn text(&self) -> String {
        self.with(|hasher| hasher.finalize().to_hex().to_string())
    }

    fn with<T>(&self, run: impl FnOnce(&mut blake3::Hasher) -> T) -> T {
        // A hasher is consistent between updates, so a poisoned lock guards nothing broken.
        run(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

struct Hashed {
    reader: File,
    digest: Digest,
}

/// Why a file cannot be opened, and what to do about it.
fn unopened(path: &Path, error: &io::Error) -> Failure {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "check the path, or give `-` to read standard input",
        io::ErrorKind::PermissionDenied => "let this user read it, or give `-` and pipe it in",
        _ => return Failure::file(path, error),
    };
    let name = path.display();
    let from = match std::env::current_dir() {
        Ok(directory) if path.is_relative() => format!(" from {}", directory.display()),
        _ => String::new(),
    };
    Failure::failed(format!("{name}: cannot be opened{from}: {error}; {remedy}"))
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(buffer)?;
        self.digest.with(|hasher| hasher.update(&buffer[..len]).count());
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_once_can_be_read_again() {
        let source = Source::spool(&mut &b"\xEF\xBB\xBF {\"a\":1}"[..], "-").expect("copied");
        assert_eq!(source.bytes(), 11);
        assert_eq!(source.format().expect("read"), Format::Ndjson);
        let hash = || {
            let (mut reader, digest) = source.read_hashed().expect("opens");
            io::copy(&mut reader, &mut io::sink()).expect("reads");
            digest.text()
        };
        assert_eq!(hash(), hash());
        assert_ne!(hash(), Digest::default().text());
    }

    #[test]
    fn the_ending_says_the_format() {
        for (name, content, expected) in [
            ("a.CSV", "{", Format::Csv),
            ("a.jsonl", "a,b", Format::Ndjson),
            ("a.txt", "  {", Format::Ndjson),
            ("a", "a,b", Format::Csv),
        ] {
            let source = Source::spool(&mut content.as_bytes(), name).expect("copied");
            assert_eq!(source.format().expect("read"), expected, "{name}");
        }
    }
}
