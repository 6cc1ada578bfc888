//! Where the answers of a Redis server begin and end, and which are pushes.

/// Lines that begin an answer are short; what is longer is none.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Takes apart what a server sends, in pieces as they come. Only as much of RESP is understood as it
/// takes to know the kind of each frame and its end.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// How many values of the present frame have yet to begin.
    values: u64,
    /// How many bytes of the string that was begun last are yet to come. All are 0 between frames.
    string: u64,
    line: Vec<u8>,
    is_push: bool,
    /// What is no answer of Redis is no longer looked at: a primary talks to its replica otherwise.
    is_foreign: bool,
}

/// What the first bytes of what has come are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) length: usize,
    pub(super) is_push: bool,
    /// Whether a frame ends behind it.
    pub(super) ends: bool,
}

impl Frames {
    /// Whether something came that is no answer of Redis.
    pub(super) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// Returns the kind of the first bytes, at least one, and how many: as far as they come from one
    /// frame.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Piece {
        let mut at = 0;
        if self.values == 0 && self.string == 0 && self.line.is_empty() {
            self.is_push = bytes.first() == Some(&b'>');
        }
        while at < bytes.len() && !self.is_foreign {
            if self.string > 0 {
                let rest = bytes.len() - at;
                let skip = usize::try_from(self.string).map_or(rest, |string| string.min(rest));
                at += skip;
                self.string -= skip as u64;
                if self.string > 0 {
                    break;
                }
            } else {
                let byte = bytes[at];
                at += 1;
                self.line.push(byte);
                if byte != b'\n' {
                    self.is_foreign = self.line.len() > LINE_BYTES_MAX;
                    continue;
                }
                let line = std::mem::take(&mut self.line);
                if self.begin(&line).is_none() {
                    self.is_foreign = true;
                    break;
                }
            }
            if self.values == 0 && self.string == 0 {
                return Piece { length: at, is_push: self.is_push, ends: true };
            }
        }
        if self.is_foreign {
            return Piece { length: bytes.len(), is_push: false, ends: true };
        }
        Piece { length: at, is_push: self.is_push, ends: false }
    }

    /// Takes a line that begins a value; none if it is no answer of Redis.
    fn begin(&mut self, line: &[u8]) -> Option<()> {
        let line = line.strip_suffix(b"\r\n")?;
        let (kind, rest) = line.split_first()?;
        // -1 is nothing.
        let number = || {
            let number: i64 = std::str::from_utf8(rest).ok()?.parse().ok()?;
            (number >= -1).then(|| u64::try_from(number).ok())
        };
        let is_inside = self.values > 0;
        let more = match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => 0,
            b'$' | b'=' | b'!' => {
                self.string = number()?.map_or(0, |length| length.saturating_add(2));
                0
            }
            b'*' | b'~' => number()?.unwrap_or(0),
            b'>' if !is_inside => number()?.unwrap_or(0),
            b'%' => number()?.unwrap_or(0).checked_mul(2)?,
            // What it says of a value comes before that value.
            b'|' => number()?.unwrap_or(0).checked_mul(2)?.checked_add(1)?,
            _ => return None,
        };
        self.values = self.values.saturating_sub(1).checked_add(more)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH: &str = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nf>o\r\n";
    const FRAMES: [(&str, bool); 12] = [
        ("+OK\r\n", false),
        (PUSH, true),
        ("$9\r\n>1\r\n+OK\r\n\r\n", false),
        (">2\r\n$10\r\ninvalidate\r\n_\r\n", true),
        ("*2\r\n$0\r\n\r\n*2\r\n:1\r\n$-1\r\n", false),
        ("*0\r\n", false),
        ("$-1\r\n", false),
        ("%1\r\n+a\r\n*1\r\n,1.5\r\n", false),
        ("~1\r\n#t\r\n", false),
        ("|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n", false),
        ("-ERR >\r\n", false),
        (PUSH, true),
    ];

    #[test]
    fn frames_are_found_however_they_come() {
        let all: String = FRAMES.iter().map(|(text, _)| *text).collect();
        for chunk in [1, 2, 3, 7, 1000] {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            let mut text = Vec::new();
            for mut bytes in all.as_bytes().chunks(chunk) {
                while !bytes.is_empty() {
                    let piece = frames.next(bytes);
                    text.extend_from_slice(&bytes[..piece.length]);
                    bytes = &bytes[piece.length..];
                    if piece.ends {
                        let frame = String::from_utf8(std::mem::take(&mut text)).expect("text");
                        found.push((frame, piece.is_push));
                    }
                }
            }
            let expected = FRAMES.map(|(text, is_push)| (text.to_owned(), is_push));
            assert_eq!(found, expected, "{chunk}");
            assert!(!frames.is_foreign());
        }
    }

    #[test]
    fn what_is_foreign_is_passed_on() {
        for text in ["$EOF:0123456789\r\n>1\r\n", "HTTP/1.1 200 OK\r\n", "\r\n", "*1\r\n>1\r\n"] {
            let mut frames = Frames::default();
            let piece = frames.next(text.as_bytes());
            assert_eq!(piece, Piece { length: text.len(), is_push: false, ends: true }, "{text}");
            assert!(frames.is_foreign(), "{text}");
        }
    }
}
