//! The patterns of `LIKE`, as stores take them.

use sora_core::{Part, Pattern};

/// How a pattern is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LikeForm {
    /// ASCII letters match in either case.
    Folded,
    /// There is nothing to match: the text is the pattern.
    Equal,
    /// A prefix and then anything, as a range.
    Range,
    /// A prefix that no text is above and then anything: all that is not below it.
    LowerBound,
    /// A pattern behind a prefix, whose range an index serves.
    RangeAndMatch,
    /// As before, without an upper bound.
    LowerBoundAndMatch,
    /// A pattern without a prefix.
    Match,
}

/// Returns the form in which a pattern is asked.
pub fn like_form(pattern: &Pattern, fold: bool) -> LikeForm {
    if fold {
        return LikeForm::Folded;
    }
    let prefix = pattern.prefix();
    match pattern.parts() {
        [] | [Part::Text(_)] => LikeForm::Equal,
        _ if prefix.is_empty() => LikeForm::Match,
        _ => match (pattern.is_prefix(), has_successor(prefix)) {
            (true, true) => LikeForm::Range,
            (true, false) => LikeForm::LowerBound,
            (false, true) => LikeForm::RangeAndMatch,
            (false, false) => LikeForm::LowerBoundAndMatch,
        },
    }
}

/// Returns the least text that is above all that start with `prefix`, in the order of bytes; `None`
/// if there is none.
pub fn successor(prefix: &str) -> Option<String> {
    let end = prefix.trim_end_matches(char::MAX);
    let last = end.chars().next_back()?;
    // U+D800 to U+DFFF are no characters: the next one stands behind them.
    let next = match last {
        '\u{D7FF}' => '\u{E000}',
        last => char::from_u32(u32::from(last) + 1)?,
    };
    let mut text = end[..end.len() - last.len_utf8()].to_owned();
    text.push(next);
    Some(text)
}

/// Returns the pattern in the form of `GLOB`: `?`, `*`, and brackets around what is literal.
pub fn glob(pattern: &Pattern) -> String {
    let mut text = String::new();
    for part in pattern.parts() {
        match part {
            Part::Many => text.push('*'),
            Part::One => text.push('?'),
            Part::Text(part) => {
                for char in part.chars() {
                    match char {
                        '*' | '?' | '[' => text.extend(['[', char, ']']),
                        char => text.push(char),
                    }
                }
            }
        }
    }
    text
}

/// Returns the pattern in the form of `LIKE … ESCAPE '\'`.
pub fn like_pattern(pattern: &Pattern) -> String {
    let mut text = String::new();
    for part in pattern.parts() {
        match part {
            Part::Many => text.push('%'),
            Part::One => text.push('_'),
            Part::Text(part) => {
                for char in part.chars() {
                    if matches!(char, '%' | '_' | '\\') {
                        text.push('\\');
                    }
                    text.push(char);
                }
            }
        }
    }
    text
}

fn has_successor(prefix: &str) -> bool {
    prefix.chars().any(|char| char != char::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successors_bound_exactly_what_starts_with_the_prefix() {
        for (prefix, expected) in [
            ("abc", Some("abd")),
            ("a\u{7f}", Some("a\u{80}")),
            ("\u{7ff}", Some("\u{800}")),
            ("x\u{d7ff}", Some("x\u{e000}")),
            ("x\u{ffff}", Some("x\u{10000}")),
            ("a\u{10ffff}\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(successor(prefix).as_deref(), expected, "{prefix:?}");
            assert_eq!(has_successor(prefix), expected.is_some());
            if let Some(expected) = expected {
                let longest = format!("{prefix}\u{10ffff}\u{10ffff}");
                assert!(longest.as_str() < expected && prefix < expected);
            }
        }
    }

    #[test]
    fn patterns_are_translated() {
        let pattern = |text: &str| Pattern::parse(text, Some('!')).expect("a pattern");
        assert_eq!(glob(&pattern("a[*]?%_!%")), "a[[][*]][?]*?%");
        assert_eq!(like_pattern(&pattern("a!%!_\\%_")), "a\\%\\_\\\\%_");
        assert_eq!(like_form(&pattern("abc"), false), LikeForm::Equal);
        assert_eq!(like_form(&pattern(""), false), LikeForm::Equal);
        assert_eq!(like_form(&pattern("abc%"), false), LikeForm::Range);
        assert_eq!(like_form(&pattern("\u{10ffff}%"), false), LikeForm::LowerBound);
        assert_eq!(like_form(&pattern("abc_"), false), LikeForm::RangeAndMatch);
        assert_eq!(like_form(&pattern("\u{10ffff}_"), false), LikeForm::LowerBoundAndMatch);
        assert_eq!(like_form(&pattern("%"), false), LikeForm::Match);
        assert_eq!(like_form(&pattern("abc%"), true), LikeForm::Folded);
    }
}
