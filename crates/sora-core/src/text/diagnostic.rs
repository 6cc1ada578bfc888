//! What is wrong at one place of a filter text, shown with a caret under it.

use std::fmt::Write as _;
use std::ops::Range;

use crate::{Error, ErrorKind};

/// A mistake at a place of the text.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    kind: ErrorKind,
    message: String,
    /// Bytes of the text.
    span: Range<usize>,
}

/// The widest part of a line that is shown, in characters.
const WINDOW: usize = 100;
/// How many characters are shown before the place if the line is wider.
const BEFORE: usize = 40;
/// The longest message, in characters; what is longer quotes a literal.
const MESSAGE_MAX: usize = 300;

impl Fault {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::InvalidInput, message: message.into(), span }
    }

    pub(super) fn limit(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Limit, message: message.into(), span }
    }

    /// Puts an error about a column or a literal at its place.
    pub(super) fn at(span: Range<usize>, error: &Error) -> Self {
        Self { kind: error.kind(), message: error.to_string(), span }
    }

    /// Returns the error with the line of the text and a caret under the place.
    pub(super) fn into_error(self, text: &str) -> Error {
        let (number, start, line) = line_at(text, self.span.start);
        let is_long = text.trim_end().contains('\n');
        let label = if is_long { format!("{number} ") } else { String::new() };
        let (shown, before, width) = window(line, self.span.start - start, self.span.len());
        let margin = " ".repeat(label.len());
        let mut message = excerpt(&self.message);
        // Writing to a String cannot fail.
        let _ = write!(
            message,
            "\n  {label}| {shown}\n  {margin}| {}{}",
            " ".repeat(before),
            "^".repeat(width)
        );
        Error::new(self.kind, message)
    }
}

/// Returns the number, the first byte and the text of the line that holds a place.
fn line_at(text: &str, at: usize) -> (usize, usize, &str) {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[start..].split('\n').next().unwrap_or("");
    let number = text[..start].matches('\n').count() + 1;
    (number, start, line.strip_suffix('\r').unwrap_or(line))
}

/// Returns what is shown of a line, and the columns before and under a place of it.
fn window(line: &str, at: usize, len: usize) -> (String, usize, usize) {
    let at = at.min(line.len());
    let before = line[..at].chars().count();
    let under = line[at..(at + len).min(line.len())].chars().count();
    let total = line.chars().count();
    let skipped = if total <= WINDOW { 0 } else { before.saturating_sub(BEFORE) };
    let mut shown = String::new();
    if skipped > 0 {
        shown.push('…');
    }
    let (mut columns_before, mut columns_under) = (usize::from(skipped > 0), 0);
    for (index, char) in line.chars().enumerate().skip(skipped).take(WINDOW) {
        let char = visible(char);
        shown.push(char);
        if index < before {
            columns_before += columns(char);
        } else if index < before + under {
            columns_under += columns(char);
        }
    }
    if total > skipped + WINDOW {
        shown.push('…');
    }
    (shown.trim_end().into(), columns_before, columns_under.max(1))
}

/// A terminal must not obey what it is shown, and a tab has no fixed width.
fn visible(char: char) -> char {
    match char {
        '\t' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '·',
        char if char.is_control() => '·',
        char => char,
    }
}

/// How many columns a terminal gives a character: the common ranges of wide and combining ones.
fn columns(char: char) -> usize {
    match char {
        '\u{300}'..='\u{36f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Returns one line of a message, without its end if it is long.
fn excerpt(message: &str) -> String {
    let mut chars = message.chars();
    let mut excerpt: String = chars.by_ref().take(MESSAGE_MAX).map(visible).collect();
    if chars.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, under: &str, expected: &str) {
        let start = text.find(under).expect("the place");
        let fault = Fault::new(start..start + under.len(), "wrong");
        assert_eq!(fault.into_error(text).to_string(), expected);
    }

    #[test]
    fn the_caret_stands_under_the_place() {
        check("a = b", "b", "wrong\n  | a = b\n  |     ^");
        check("a = b", "a = b", "wrong\n  | a = b\n  | ^^^^^");
        check("a\nAND\tbé\r\nOR x", "bé", "wrong\n  2 | AND bé\n    |     ^^");
        check("東京 = 名", "名", "wrong\n  | 東京 = 名\n  |        ^^");
        check("e\u{301} = \u{1b}[0m!", "!", "wrong\n  | e\u{301} = ·[0m!\n  |         ^");
        check("x = 'a\nb'", "'a\nb'", "wrong\n  1 | x = 'a\n    |     ^^");
        let quoted = Fault::new(0..1, "wrong: a\n\u{1b}b").into_error("a");
        assert_eq!(quoted.to_string(), "wrong: a··b\n  | a\n  | ^");
        let end = Fault::new(3..3, "wrong").into_error("a =");
        assert_eq!(end.to_string(), "wrong\n  | a =\n  |    ^");
    }

    #[test]
    fn a_long_line_is_shown_in_part() {
        let text = format!("{}!{}", "a".repeat(500), "é".repeat(500));
        let before = format!("…{}", "a".repeat(40));
        let expected = format!("wrong\n  | {before}!{}…\n  | {}^", "é".repeat(59), " ".repeat(41));
        check(&text, "!", &expected);
        let fault = Fault::new(0..0, "x".repeat(1_000)).into_error("");
        assert_eq!(fault.to_string(), format!("{}…\n  | \n  | ^", "x".repeat(300)));
    }
}
