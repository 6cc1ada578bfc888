//! The words and signs of a filter text, each with its place.

use std::ops::Range;

use crate::{Comparison, KEYWORDS};

/// A word or sign and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind<'t>,
    start: usize,
    end: usize,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind<'t> {
    /// A bare name.
    Word(&'t str),
    /// A name in double quotes, which are left out; a quote in it is still doubled.
    Quoted(&'t str),
    /// One of [`KEYWORDS`], as it stands there.
    Keyword(&'static str),
    /// A number with its sign, not yet checked.
    Number(&'t str),
    /// What stands in single quotes; a quote in it is still doubled.
    Text(&'t str),
    /// What stands in `X'…'`, not yet checked.
    Bytes(&'t str),
    /// `?`, counted from zero.
    Positional(usize),
    /// `:name`.
    Named(&'t str),
    Operator(Comparison),
    Open,
    Close,
    Comma,
    /// What the language does not have, and why or what to write instead. It is the last token.
    Refused(&'static str),
}

impl Token<'_> {
    pub(super) fn span(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// Splits a text into tokens, up to its end or to the first that is refused.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut scanner = Scanner { text, at: 0, positional: 0 };
    let mut tokens = Vec::new();
    loop {
        scanner.skip(char::is_whitespace);
        let start = scanner.at;
        let Some(char) = scanner.rest().chars().next() else { return tokens };
        let kind = scanner.token(char);
        tokens.push(Token { kind, start, end: scanner.at });
        if matches!(kind, Kind::Refused(_)) {
            return tokens;
        }
    }
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    positional: usize,
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Steps over characters and returns them.
    fn skip(&mut self, any_of: fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let len = rest.find(|char| !any_of(char)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn token(&mut self, char: char) -> Kind<'t> {
        let rest = self.rest();
        let digit_at = |at: usize| rest.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        match char {
            'x' | 'X' if rest[1..].starts_with('\'') => {
                self.at += 1;
                let endless = "the bytes have no end; they are written X'00ff'";
                self.quoted('\'', endless, Kind::Bytes)
            }
            '\'' => {
                let endless = "the text has no end; a single quote in it is doubled";
                self.quoted('\'', endless, Kind::Text)
            }
            '"' => {
                let endless = "the name has no end; a double quote in it is doubled";
                self.quoted('"', endless, Kind::Quoted)
            }
            '0'..='9' => self.number(0),
            '.' if digit_at(1) => self.number(0),
            '+' | '-' if digit_at(1) || (rest[1..].starts_with('.') && digit_at(2)) => {
                self.number(1)
            }
            char if starts_name(char) => {
                let word = self.skip(is_in_name);
                let keyword = KEYWORDS.into_iter().find(|key| key.eq_ignore_ascii_case(word));
                keyword.map_or(Kind::Word(word), Kind::Keyword)
            }
            ':' if rest[1..].starts_with(starts_name) => {
                self.at += 1;
                Kind::Named(self.skip(is_in_name))
            }
            '?' => {
                self.at += 1;
                self.positional += 1;
                Kind::Positional(self.positional - 1)
            }
            other => {
                let sign = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
                self.at += sign.map_or(other.len_utf8(), |(sign, _)| sign.len());
                sign.map_or(Kind::Refused(MEANINGLESS), |(_, kind)| *kind)
            }
        }
    }

    /// Reads up to the closing quote; two quotes stand for one.
    fn quoted(
        &mut self,
        quote: char,
        endless: &'static str,
        kind: fn(&'t str) -> Kind<'t>,
    ) -> Kind<'t> {
        self.at += 1;
        let start = self.at;
        let mut at = start;
        while let Some(len) = self.text[at..].find(quote) {
            at += len + 1;
            if !self.text[at..].starts_with(quote) {
                self.at = at;
                return kind(&self.text[start..at - 1]);
            }
            at += 1;
        }
        Kind::Refused(endless)
    }

    /// Reads all that could be meant as one number, so that the whole of it is refused or read.
    fn number(&mut self, sign: usize) -> Kind<'t> {
        let start = self.at;
        let part = |char| is_in_name(char) || char == '.';
        self.at += sign;
        let exponent = self.skip(part).ends_with(['e', 'E']);
        if exponent && self.rest().starts_with(['+', '-']) {
            self.at += 1;
            self.skip(part);
        }
        Kind::Number(&self.text[start..self.at])
    }
}

const COMMENT: &str = "a filter has no comments";
pub(super) const ARITHMETIC: &str =
    "a filter does not calculate; a sign stands directly before the digits of its number";
const CURLY: &str = "text stands in straight single quotes, names in straight double quotes";
const QUOTED: &str = "a name that needs quotes stands in double quotes";
const PARAMETER: &str = "a parameter is written ? or :name, and its name starts with a letter";
const MEANINGLESS: &str = "this has no meaning in a filter; text stands in single quotes";

/// The signs of the language, and those of SQL and other languages that are refused with what to
/// write instead. A longer one stands before its beginning.
const SIGNS: [(&str, Kind<'static>); 38] = [
    ("--", Kind::Refused(COMMENT)),
    ("/*", Kind::Refused(COMMENT)),
    ("#", Kind::Refused(COMMENT)),
    ("==", Kind::Refused("equality is written with one =")),
    ("=>", Kind::Refused("greater or equal is written >=")),
    ("=<", Kind::Refused("less or equal is written <=")),
    ("<>", Kind::Operator(Comparison::NotEqual)),
    ("!=", Kind::Operator(Comparison::NotEqual)),
    ("<=", Kind::Operator(Comparison::LessOrEqual)),
    (">=", Kind::Operator(Comparison::GreaterOrEqual)),
    ("=", Kind::Operator(Comparison::Equal)),
    ("<", Kind::Operator(Comparison::Less)),
    (">", Kind::Operator(Comparison::Greater)),
    ("(", Kind::Open),
    (")", Kind::Close),
    (",", Kind::Comma),
    ("!", Kind::Refused("a condition is negated with NOT")),
    (";", Kind::Refused("a filter is one condition; a second statement cannot follow")),
    ("||", Kind::Refused("texts cannot be joined; alternatives are written with OR")),
    ("|", Kind::Refused("alternatives are written with OR")),
    ("&", Kind::Refused("conditions are joined with AND")),
    ("::", Kind::Refused("there are no casts; the column decides how a literal is read")),
    (":", Kind::Refused(PARAMETER)),
    ("$", Kind::Refused(PARAMETER)),
    ("@", Kind::Refused(PARAMETER)),
    ("*", Kind::Refused(ARITHMETIC)),
    ("/", Kind::Refused(ARITHMETIC)),
    ("%", Kind::Refused(ARITHMETIC)),
    ("+", Kind::Refused(ARITHMETIC)),
    ("-", Kind::Refused(ARITHMETIC)),
    (
        ".",
        Kind::Refused("a column stands without its table; a name with a point is quoted: \"a.b\""),
    ),
    ("`", Kind::Refused(QUOTED)),
    ("[", Kind::Refused(QUOTED)),
    ("~", Kind::Refused("texts are matched with LIKE or ILIKE")),
    ("‘", Kind::Refused(CURLY)),
    ("’", Kind::Refused(CURLY)),
    ("“", Kind::Refused(CURLY)),
    ("”", Kind::Refused(CURLY)),
];

fn starts_name(char: char) -> bool {
    char.is_alphabetic() || char == '_'
}

fn is_in_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_words_and_signs() {
        let kinds: Vec<_> = tokens("größe>=-1.5e-3and\"a\"\"b\" = x'0f',(:n,?,?)")
            .iter()
            .map(|token| token.kind)
            .collect();
        let expected = [
            Kind::Word("größe"),
            Kind::Operator(Comparison::GreaterOrEqual),
            // Refused later: a number that runs into a word is not two tokens.
            Kind::Number("-1.5e-3and"),
            Kind::Quoted("a\"\"b"),
            Kind::Operator(Comparison::Equal),
            Kind::Bytes("0f"),
            Kind::Comma,
            Kind::Open,
            Kind::Named("n"),
            Kind::Comma,
            Kind::Positional(0),
            Kind::Comma,
            Kind::Positional(1),
            Kind::Close,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = " é = 'a''b' Or\n12";
        let parts: Vec<_> = tokens(text).iter().map(|token| &text[token.span()]).collect();
        assert_eq!(parts, ["é", "=", "'a''b'", "Or", "12"]);
    }
}
