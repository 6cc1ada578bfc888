//! The patterns of `LIKE`.

use crate::{Error, ErrorKind, Result};

/// A pattern of `LIKE`: literal text, `_` for one character, `%` for any number of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    parts: Box<[Part]>,
}

/// A part of a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Exactly this text, never empty.
    Text(Box<str>),
    /// One Unicode character.
    One,
    /// Any number of characters, none too.
    Many,
}

impl Pattern {
    /// The longest pattern in bytes, without escape characters. SQLite refuses patterns of 50,000
    /// bytes; a pattern can grow threefold when its special characters are written for a store.
    pub const BYTES_MAX: usize = 8 * 1024;

    /// Reads a pattern in SQL's form. There is no escape character unless one is given.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the escape character stands before anything but `%`, `_` or
    /// itself; [`ErrorKind::Limit`] beyond [`BYTES_MAX`](Self::BYTES_MAX).
    pub fn parse(pattern: &str, escape: Option<char>) -> Result<Self> {
        let mut builder = Builder::default();
        let mut rest = pattern.chars();
        while let Some(char) = rest.next() {
            match char {
                char if Some(char) == escape => match rest.next() {
                    Some(next) if next == '%' || next == '_' || Some(next) == escape => {
                        builder.text.push(next);
                    }
                    _ => return Err(dangling(pattern, char)),
                },
                '%' => builder.special(Part::Many),
                '_' => builder.special(Part::One),
                char => builder.text.push(char),
            }
        }
        builder.build()
    }

    /// The pattern of texts that start with `text`.
    pub fn starts_with(text: &str) -> Result<Self> {
        Self::around(false, text, true)
    }

    /// The pattern of texts that end with `text`.
    pub fn ends_with(text: &str) -> Result<Self> {
        Self::around(true, text, false)
    }

    /// The pattern of texts that contain `text`.
    pub fn contains(text: &str) -> Result<Self> {
        Self::around(true, text, true)
    }

    /// The parts, in order; two texts are never neighbours.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The literal text that every match starts with; empty if there is none.
    pub fn prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// Whether the pattern is its prefix and then `%`.
    pub fn is_prefix(&self) -> bool {
        matches!(&*self.parts, [Part::Text(_), Part::Many])
    }

    /// Whether a text matches; with `fold`, ASCII letters match in either case.
    ///
    /// A pattern of n parts takes at most n times the length of the text.
    pub fn matches(&self, text: &str, fold: bool) -> bool {
        let mut rest = text;
        let mut parts = &*self.parts;
        // Where to start over when what follows the last `%` does not match here: greedy matching
        // with one point of return is enough, because an earlier `%` could not do better.
        let mut again: Option<(&[Part], &str)> = None;
        loop {
            let step = match parts.split_first() {
                Some((Part::Many, after)) => {
                    again = Some((after, rest));
                    parts = after;
                    continue;
                }
                Some((part, after)) => part.take(rest, fold).map(|rest| (after, rest)),
                None if rest.is_empty() => return true,
                None => None,
            };
            if let Some((after, left)) = step {
                (parts, rest) = (after, left);
                continue;
            }
            let Some((after, from)) = again else { return false };
            let mut chars = from.chars();
            if chars.next().is_none() {
                return false;
            }
            rest = chars.as_str();
            parts = after;
            again = Some((after, rest));
        }
    }

    /// Writes the pattern in SQL's form and says whether it needs `ESCAPE '\'`.
    pub fn to_sql(&self) -> (String, bool) {
        let special = |char| matches!(char, '%' | '_');
        let texts = || {
            self.parts.iter().filter_map(|part| match part {
                Part::Text(text) => Some(&**text),
                _ => None,
            })
        };
        let escaped = texts().any(|text| text.contains(special));
        let mut sql = String::new();
        for part in &self.parts {
            match part {
                Part::Many => sql.push('%'),
                Part::One => sql.push('_'),
                Part::Text(text) => {
                    for char in text.chars() {
                        if escaped && (special(char) || char == '\\') {
                            sql.push('\\');
                        }
                        sql.push(char);
                    }
                }
            }
        }
        (sql, escaped)
    }

    fn around(before: bool, text: &str, after: bool) -> Result<Self> {
        let mut builder = Builder::default();
        if before {
            builder.special(Part::Many);
        }
        builder.text.push_str(text);
        if after {
            builder.special(Part::Many);
        }
        builder.build()
    }
}

impl Part {
    /// Returns what is left of a text behind this part, if it starts with it.
    fn take<'a>(&self, text: &'a str, fold: bool) -> Option<&'a str> {
        match self {
            Self::Many => Some(text),
            Self::One => {
                let mut chars = text.chars();
                chars.next().map(|_| chars.as_str())
            }
            Self::Text(part) if fold => {
                let (head, rest) = text.split_at_checked(part.len())?;
                head.eq_ignore_ascii_case(part).then_some(rest)
            }
            Self::Text(part) => text.strip_prefix(&**part),
        }
    }
}

/// Collects parts: literal text is one part, `%%` is `%`.
#[derive(Default)]
struct Builder {
    parts: Vec<Part>,
    text: String,
}

impl Builder {
    fn special(&mut self, part: Part) {
        self.flush();
        if part != Part::Many || self.parts.last() != Some(&Part::Many) {
            self.parts.push(part);
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.text).into()));
        }
    }

    /// Measures what was read and not what it was read from, so that the limit does not depend on
    /// how the pattern is escaped.
    fn build(mut self) -> Result<Pattern> {
        self.flush();
        let size = |part: &Part| if let Part::Text(text) = part { text.len() } else { 1 };
        if self.parts.iter().map(size).sum::<usize>() > Pattern::BYTES_MAX {
            let message = format!("a pattern has at most {} bytes", Pattern::BYTES_MAX);
            return Err(Error::new(ErrorKind::Limit, message));
        }
        let has_nul = |part: &Part| matches!(part, Part::Text(text) if text.contains('\0'));
        if self.parts.iter().any(has_nul) {
            return Err(Error::new(ErrorKind::InvalidInput, "a pattern cannot contain U+0000"));
        }
        Ok(Pattern { parts: self.parts.into() })
    }
}

fn dangling(pattern: &str, escape: char) -> Error {
    let message = format!(
        "in the pattern '{pattern}' the escape character {escape} must stand before %, _ or itself"
    );
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(text: &str, pattern: &str) -> bool {
        Pattern::parse(pattern, None).expect("a pattern").matches(text, false)
    }

    #[test]
    fn matches_as_sql_does() {
        assert!(like("", ""));
        assert!(like("", "%"));
        assert!(!like("", "_"));
        assert!(like("naïve", "na_ve"));
        assert!(like("東京", "__"));
        assert!(like("mississippi", "m%iss%pi"));
        assert!(!like("mississippi", "m%iss%ss"));
        assert!(like("aXbXc", "%X%c"));
        assert!(like("aab", "%ab"));
        assert!(!like("Abc", "abc"));
        assert!(like("a\\b", "a\\b"));
    }

    #[test]
    fn folds_ascii_letters_only() {
        let pattern = Pattern::parse("ÄBC%", None).expect("a pattern");
        assert!(pattern.matches("Äbcd", true));
        assert!(!pattern.matches("äbcd", true));
    }

    #[test]
    fn escapes_are_read_and_written() {
        let pattern = Pattern::parse("100!%!_!!%", Some('!')).expect("a pattern");
        assert!(pattern.matches("100%_! and more", false));
        let (sql, escaped) = pattern.to_sql();
        assert_eq!((sql.as_str(), escaped), ("100\\%\\_!%", true));
        assert_eq!(Pattern::parse(&sql, Some('\\')).expect("a pattern"), pattern);
        assert!(Pattern::parse("50!", Some('!')).is_err());
        assert!(Pattern::parse("!a", Some('!')).is_err());
    }

    #[test]
    fn the_limit_does_not_depend_on_escaping() {
        let text = "\\".repeat(Pattern::BYTES_MAX - 2) + "%";
        let pattern = Pattern::starts_with(&text).expect("a pattern");
        let (sql, _) = pattern.to_sql();
        assert_eq!(Pattern::parse(&sql, Some('\\')).expect("a pattern"), pattern);
        let error = Pattern::contains(&text).expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::Limit);
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let pattern = "%a".repeat(2_000) + "b";
        assert!(!like(&"a".repeat(20_000), &pattern));
    }
}
