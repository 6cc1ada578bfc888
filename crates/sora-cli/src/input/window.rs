//! The part of a file that is in memory, as text.

use std::fmt;
use std::io::{self, Read};

/// The text from the current record on, as far as it has been read.
///
/// What is not UTF-8 is replaced by U+FFFD, and where that happened is remembered, so that the file
/// is decoded once in large pieces and not again for each record.
pub(super) struct Window {
    reader: Box<dyn Read + Send>,
    text: String,
    start: usize,
    /// Where the text was replaced, in ascending order.
    replaced: Vec<usize>,
    /// Bytes as they were read; the first of them may begin a character that was cut.
    chunk: Box<[u8]>,
    cut: usize,
    is_ended: bool,
}

/// The longest record in bytes: 16 MiB. Longer ones are reported as bad lines.
pub(super) const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

const CHUNK_BYTES: usize = 128 * 1024;

impl Window {
    /// Returns the window at the start of a file, behind a byte order mark.
    ///
    /// # Errors
    ///
    /// What the file gives, and [`io::ErrorKind::InvalidData`] if it is UTF-16.
    pub(super) fn open(reader: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut window = Self {
            reader,
            text: String::new(),
            start: 0,
            replaced: Vec::new(),
            chunk: vec![0; CHUNK_BYTES].into(),
            cut: 0,
            is_ended: false,
        };
        while window.text.len() < 3 && !window.is_ended {
            window.fill()?;
        }
        if matches!(window.chunk[..2], [0xFF, 0xFE] | [0xFE, 0xFF]) {
            let message = "the file is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8 FILE | \
                           sora import - …";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if window.text.starts_with('\u{feff}') {
            window.consume('\u{feff}'.len_utf8());
        }
        Ok(window)
    }

    /// The text that is there.
    pub(super) fn text(&self) -> &str {
        &self.text[self.start..]
    }

    /// Whether nothing follows the text that is there.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Returns the place of the first character that was not UTF-8, if it is one of the first so
    /// many bytes.
    pub(super) fn replaced(&self, len: usize) -> Option<usize> {
        let first = self.replaced.first()?.checked_sub(self.start)?;
        (first < len).then_some(first)
    }

    /// Drops so many bytes at the start, which end a character.
    pub(super) fn consume(&mut self, len: usize) {
        self.start += len;
        if self.replaced.first().is_some_and(|first| *first < self.start) {
            self.replaced.retain(|place| *place >= self.start);
        }
    }

    /// Reads as much again as is there, so that a long record is looked at a few times, not once a
    /// chunk.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        self.text.drain(..self.start);
        for place in &mut self.replaced {
            *place -= self.start;
        }
        self.start = 0;
        let wanted = (2 * self.text.len()).max(1);
        while self.text.len() < wanted && !self.is_ended {
            match self.reader.read(&mut self.chunk[self.cut..]) {
                Ok(0) => self.is_ended = true,
                Ok(len) => self.cut += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.decode();
        }
        Ok(())
    }

    /// Drops everything up to and with the next line feed.
    pub(super) fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let text = self.text();
            if let Some(at) = memchr::memchr(b'\n', text.as_bytes()) {
                self.consume(at + 1);
                return Ok(());
            }
            self.consume(text.len());
            if self.is_ended {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// Moves what was read into the text, but for a character that is not all there.
    fn decode(&mut self) {
        let mut rest = &self.chunk[..self.cut];
        loop {
            let error = match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.text.push_str(text);
                    self.cut = 0;
                    return;
                }
                Err(error) => error,
            };
            let (valid, behind) = rest.split_at(error.valid_up_to());
            self.text.push_str(std::str::from_utf8(valid).unwrap_or_default());
            match error.error_len() {
                None if !self.is_ended => {
                    let start = self.cut - behind.len();
                    self.chunk.copy_within(start..self.cut, 0);
                    self.cut -= start;
                    return;
                }
                len => {
                    self.replaced.push(self.text.len());
                    self.text.push(char::REPLACEMENT_CHARACTER);
                    rest = &behind[len.unwrap_or(behind.len())..];
                }
            }
        }
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("len", &self.text().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as the slowest pipe.
    struct Trickle(&'static [u8]);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn characters_are_whole_and_what_is_none_is_remembered() {
        let bytes = "\u{feff}é東".as_bytes().iter().chain(b"\xff\xe6\x9d,\xef\xbf\xbd\xe6");
        let bytes: &'static [u8] = bytes.copied().collect::<Vec<u8>>().leak();
        let mut window = Window::open(Box::new(Trickle(bytes))).expect("opens");
        while !window.is_ended() {
            window.fill().expect("reads");
        }
        assert_eq!(window.text(), "é東\u{fffd}\u{fffd},\u{fffd}\u{fffd}");
        assert_eq!(window.replaced(5), None);
        assert_eq!(window.replaced(6), Some(5));
        // The one that is in the file was not replaced.
        window.consume("é東\u{fffd}\u{fffd},".len());
        assert_eq!(window.replaced(3), None);
        assert_eq!(window.replaced(6), Some(3));
    }
}
