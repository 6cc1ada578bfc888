//! The part of a file that is in memory.

use std::io::{self, Read};

/// The bytes from the current record on, as far as they have been read.
pub(super) struct Window {
    reader: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    is_ended: bool,
}

/// The longest record in bytes: 16 MiB. Longer ones are reported as bad lines.
pub(super) const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

const CHUNK_BYTES: usize = 256 * 1024;

impl Window {
    /// Returns the window at the start of a file, behind a byte order mark.
    ///
    /// # Errors
    ///
    /// What the file gives, and [`io::ErrorKind::InvalidData`] if it is UTF-16.
    pub(super) fn open(reader: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut window = Self { reader, bytes: Vec::new(), start: 0, end: 0, is_ended: false };
        while window.data().len() < 3 && !window.is_ended {
            window.fill()?;
        }
        match window.data() {
            [0xEF, 0xBB, 0xBF, ..] => window.consume(3),
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
                let message = "the file is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8 FILE | sora import - …";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            _ => {}
        }
        Ok(window)
    }

    /// The bytes that are there.
    pub(super) fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether nothing follows the bytes that are there.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Drops bytes at the start.
    pub(super) fn consume(&mut self, len: usize) {
        self.start = (self.start + len).min(self.end);
    }

    /// Reads more. The room doubles with what is kept, so that a long record is looked at a few
    /// times, not once a chunk.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = CHUNK_BYTES.max(self.end);
        if self.bytes.len() < self.end + room {
            self.bytes.resize(self.end + room, 0);
        }
        loop {
            match self.reader.read(&mut self.bytes[self.end..]) {
                Ok(0) => self.is_ended = true,
                Ok(len) => self.end += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }

    /// Drops everything up to and with the next line feed.
    pub(super) fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', self.data()) {
                self.consume(at + 1);
                return Ok(());
            }
            self.consume(self.data().len());
            if self.is_ended {
                return Ok(());
            }
            self.fill()?;
        }
    }
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window").field("len", &self.data().len()).finish_non_exhaustive()
    }
}
