//! Random conditions as text, in the language that Sora and SQLite share.

use super::literal::{Place, literal, pattern};
use super::random::Random;
use super::rows::{COLUMNS, Kind};

/// Returns the condition of a seed.
pub(super) fn expression(seed: u64) -> String {
    let mut writer = Writer { random: Random::new(seed), text: String::new() };
    let depth = writer.random.below(4);
    writer.condition(depth);
    writer.space();
    writer.text
}

struct Writer {
    random: Random,
    text: String,
}

impl Writer {
    /// Parts joined by `AND` and `OR` without parentheses, so that precedence decides.
    fn condition(&mut self, depth: usize) {
        let parts = if depth == 0 { 1 } else { self.random.pick(&[1, 2, 2, 3, 5]) };
        for part in 0..parts {
            if part > 0 {
                self.one_of(&["AND", "OR"]);
            }
            self.part(depth);
        }
    }

    fn part(&mut self, depth: usize) {
        for _ in 0..2 {
            if self.random.one_in(6) {
                self.token("NOT");
            }
        }
        if depth == 0 || self.random.one_in(2) {
            return self.test();
        }
        self.token("(");
        self.condition(depth - 1);
        self.token(")");
        if self.random.one_in(3) {
            self.is(&["TRUE", "FALSE"]);
        }
    }

    fn test(&mut self) {
        let (kind, names) = self.random.pick(&COLUMNS);
        let name = self.random.pick(names);
        match (self.random.below(16), kind) {
            (0, _) => self.one_of(&["TRUE", "FALSE", "NULL"]),
            (1, _) => {
                self.token(name);
                self.is(&["NULL"]);
            }
            (2..6, _) => self.between(name, kind),
            (6..9, _) => self.is_in(name, kind),
            (9..13, Kind::Text) => self.like(name),
            (9..11, Kind::Bool) => self.token(name),
            (11..13, Kind::Bool) => {
                self.token(name);
                self.is(&["TRUE", "FALSE"]);
            }
            _ => self.compare(name, kind),
        }
    }

    fn compare(&mut self, name: &str, kind: Kind) {
        let literal = literal(&mut self.random, kind, Place::Compared);
        let is_flipped = self.random.one_in(3);
        let (left, right) = if is_flipped { (&*literal, name) } else { (name, &*literal) };
        self.token(left);
        self.one_of(&["=", "<>", "!=", "<", "<=", ">", ">="]);
        self.token(right);
    }

    fn between(&mut self, name: &str, kind: Kind) {
        self.token(name);
        self.maybe_not();
        self.token("BETWEEN");
        self.literal(kind, Place::Compared);
        self.token("AND");
        self.literal(kind, Place::Compared);
    }

    fn is_in(&mut self, name: &str, kind: Kind) {
        self.token(name);
        self.maybe_not();
        self.token("IN");
        self.token("(");
        // Sora gives a store more than 8 values in another form.
        let len = if self.random.one_in(5) { 20 } else { 4 };
        for index in 0..self.random.below(len) {
            if index > 0 {
                self.token(",");
            }
            self.literal(kind, Place::Listed);
        }
        self.token(")");
    }

    fn like(&mut self, name: &str) {
        self.token(name);
        self.maybe_not();
        self.token("LIKE");
        if self.random.one_in(20) {
            return self.token("NULL");
        }
        let (pattern, escape) = pattern(&mut self.random);
        self.token(&pattern);
        if let Some(escape) = escape {
            self.token("ESCAPE");
            self.token(&escape);
        }
    }

    fn is(&mut self, words: &[&str]) {
        self.token("IS");
        self.maybe_not();
        self.one_of(words);
    }

    fn maybe_not(&mut self) {
        if self.random.one_in(3) {
            self.token("NOT");
        }
    }

    fn literal(&mut self, kind: Kind, place: Place) {
        let literal = literal(&mut self.random, kind, place);
        self.token(&literal);
    }

    fn one_of(&mut self, tokens: &[&str]) {
        let token = self.random.pick(tokens);
        self.token(token);
    }

    /// Writes a token with white space before it, which it may need to stay apart.
    fn token(&mut self, token: &str) {
        let is_word = |char: char| char.is_alphanumeric() || matches!(char, '_' | '.');
        let runs_on = self.text.ends_with(is_word) && token.starts_with(is_word);
        if runs_on || self.random.below(4) > 0 {
            let before = self.text.len();
            self.space();
            if self.text.len() == before {
                self.text.push(' ');
            }
        }
        let is_keyword = token.bytes().all(|byte| byte.is_ascii_uppercase());
        match self.random.below(4) {
            0 if is_keyword => self.text += &token.to_lowercase(),
            1 if is_keyword => {
                let mixed = token.char_indices().map(|(at, char)| match at % 2 {
                    0 => char.to_ascii_lowercase(),
                    _ => char,
                });
                self.text.extend(mixed);
            }
            _ => self.text += token,
        }
    }

    /// Mostly one space, sometimes more of what both languages take as white space, or none.
    fn space(&mut self) {
        match self.random.below(8) {
            0 => {}
            1 => {
                for _ in 0..self.random.below(4) {
                    let white = self.random.pick(&[' ', '\t', '\n', '\r', '\u{c}']);
                    self.text.push(white);
                }
            }
            _ => self.text.push(' '),
        }
    }
}
