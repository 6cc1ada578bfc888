//! Which types a text can be of without losing anything, and why not.

use sora::{Date, Timestamp, Type, UuidText};

/// The types that a value can be of, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Types(u8);

impl Types {
    /// The types that are inferred, from the narrowest to the widest.
    pub(crate) const ORDER: [Type; 8] = [
        Type::Bool,
        Type::I64,
        Type::F64,
        Type::Date,
        Type::Timestamp,
        Type::Uuid,
        Type::Text,
        Type::Json,
    ];
    /// What a field of a CSV file can be.
    pub(crate) const BARE: Self = Self(0b0111_1111);
    /// What a string of JSON can be. Numbers are not written as strings.
    pub(crate) const STRING: Self = Self(0b1111_1000);
    /// What `true` and `false` of JSON can be.
    pub(crate) const BOOL: Self = Self(0b1100_0001);
    /// What a number of JSON can be.
    pub(crate) const NUMBER: Self = Self(0b1100_0110);
    /// What an object or array of JSON can be.
    pub(crate) const NESTED: Self = Self(0b1000_0000);
    /// Any of them.
    pub(crate) const ALL: Self = Self(0b1111_1111);
    /// Text alone: nothing can rule it out in a CSV file.
    pub(crate) const TEXT: Self = Self(0b0100_0000);

    /// What both have.
    pub(crate) fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What this has and the other has not.
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The types, from the narrowest to the widest.
    pub(crate) fn iter(self) -> impl Iterator<Item = Type> {
        let has = move |(bit, _): &(usize, Type)| self.0 & (1 << bit) != 0;
        Self::ORDER.into_iter().enumerate().filter(has).map(|(_, column_type)| column_type)
    }

    /// The place of a type in [`ORDER`](Self::ORDER).
    pub(crate) fn place(column_type: Type) -> usize {
        Self::ORDER.iter().position(|other| *other == column_type).unwrap_or(0)
    }

    /// Whether a text is so plain a number that each of the types can hold it.
    ///
    /// A short number is told by one look at each of its bytes; what this does not recognise is left
    /// to [`of_text`](Self::of_text).
    pub(crate) fn hold_plain(self, text: &str) -> bool {
        const INTEGERS: Types = Types(0b0100_0110);
        const FLOATS: Types = Types(0b0100_0100);
        if !self.without(INTEGERS).is_empty() || text.len() > DIGITS_SAFE {
            return false;
        }
        let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
        let is_nonzero = matches!(unsigned, [b'1'..=b'9', ..]);
        let mut points = 0;
        for byte in unsigned {
            match byte {
                b'0'..=b'9' => {}
                b'.' => points += 1,
                _ => return false,
            }
        }
        match points {
            0 => is_nonzero,
            1 => {
                let is_whole = matches!(unsigned, [b'0', b'.', ..]) || is_nonzero;
                is_whole && unsigned.last() != Some(&b'.') && self.without(FLOATS).is_empty()
            }
            _ => false,
        }
    }

    /// Keeps those of the types that a text can be of.
    pub(crate) fn of_text(self, text: &str) -> Self {
        let mut kept = self;
        let mut left = self.0;
        let mut number = None;
        while left != 0 {
            let bit = left.trailing_zeros() as usize;
            left &= left - 1;
            let holds = match Self::ORDER[bit] {
                Type::Bool => matches!(text, "true" | "false"),
                Type::I64 => number.get_or_insert_with(|| Number::scan(text)).is_i64(),
                Type::F64 => number.get_or_insert_with(|| Number::scan(text)).is_f64(),
                Type::Date => is_date(text),
                Type::Timestamp => is_timestamp(text),
                Type::Uuid => text.len() == 36 && UuidText::parse(text).is_some(),
                _ => true,
            };
            if !holds {
                kept.0 &= !(1 << bit);
            }
        }
        kept
    }
}

/// Says why a text is not of a type, if it looks as if it were; else there is nothing to explain.
pub(crate) fn why_not(column_type: Type, text: &str) -> Option<&'static str> {
    let number = Number::scan(text);
    match column_type {
        Type::I64 | Type::F64 if number.form == Form::None => {
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            let is_digits = |text: &str| {
                text.bytes().any(|byte| byte.is_ascii_digit())
                    && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            };
            match () {
                () if !is_digits(digits) => None,
                () if text.starts_with('+') => Some("has a plus sign"),
                () if digits.starts_with('0') => Some("has a leading zero"),
                () => Some("lacks digits beside the point"),
            }
        }
        Type::I64 if number.is_negative_zero => Some("is negative zero"),
        Type::I64 if number.form == Form::Float => Some("has a fraction or exponent"),
        Type::I64 => Some("is beyond 64 bits"),
        Type::F64 => Some("has more digits than a float keeps"),
        Type::Timestamp if text.parse::<Timestamp>().is_ok() => Some(match text.parse::<Date>() {
            Ok(_) => "has no time",
            Err(_) => "has digits behind the microseconds",
        }),
        Type::Date if text.parse::<Timestamp>().is_ok() => Some("has a time"),
        _ => None,
    }
}

/// A number as JSON writes it: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
struct Number<'a> {
    text: &'a str,
    form: Form,
    /// Digits without the zeros at either end, which say nothing.
    significant: usize,
    is_negative_zero: bool,
    has_exponent: bool,
}

#[derive(PartialEq)]
enum Form {
    Float,
    Integer,
    None,
}

/// Every decimal of so many digits comes back from an f64 (C calls it `DBL_DIG`).
const DIGITS_SAFE: usize = 15;
/// More digits than this say more than an f64 can hold (`DBL_DECIMAL_DIG`).
const DIGITS_MAX: usize = 17;

impl<'a> Number<'a> {
    fn scan(text: &'a str) -> Self {
        let mut number = Self {
            text,
            form: Form::None,
            significant: 0,
            is_negative_zero: false,
            has_exponent: false,
        };
        let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
        let whole = digits(unsigned);
        if whole == 0 || (whole > 1 && unsigned[0] == b'0') {
            return number;
        }
        let mut rest = &unsigned[whole..];
        let mut form = Form::Integer;
        let mut fraction: &[u8] = &[];
        if let Some(behind) = rest.strip_prefix(b".") {
            fraction = &behind[..digits(behind)];
            rest = &behind[fraction.len()..];
            form = Form::Float;
            if fraction.is_empty() {
                return number;
            }
        }
        if let [b'e' | b'E', behind @ ..] = rest {
            let behind = match behind {
                [b'+' | b'-', behind @ ..] => behind,
                _ => behind,
            };
            let exponent = digits(behind);
            rest = &behind[exponent..];
            form = Form::Float;
            number.has_exponent = true;
            if exponent == 0 {
                return number;
            }
        }
        if !rest.is_empty() {
            return number;
        }
        number.form = form;
        number.significant = significant(&unsigned[..whole], fraction);
        number.is_negative_zero = number.significant == 0 && text.starts_with('-');
        number
    }

    fn is_i64(&self) -> bool {
        self.form == Form::Integer
            && !self.is_negative_zero
            && (self.text.len() <= 18 || self.text.parse::<i64>().is_ok())
    }

    /// Whether the text's value comes back from an f64: it prints, with as many digits, as it was.
    fn is_f64(&self) -> bool {
        if self.form == Form::None || self.significant > DIGITS_MAX {
            return false;
        }
        // So short a text without an exponent is far from the smallest and the largest float.
        if self.significant <= DIGITS_SAFE && !self.has_exponent && self.text.len() <= 64 {
            return true;
        }
        let Some(value) = self.text.parse::<f64>().ok().filter(|value| value.is_finite()) else {
            return false;
        };
        let precision = self.significant.saturating_sub(1);
        canonical(&format!("{value:.precision$e}")) == canonical(self.text)
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Counts the digits from the first to the last that is not zero.
fn significant(whole: &[u8], fraction: &[u8]) -> usize {
    let len = whole.len() + fraction.len();
    let digit = |at: usize| if at < whole.len() { whole[at] } else { fraction[at - whole.len()] };
    let Some(first) = (0..len).find(|at| digit(*at) != b'0') else { return 0 };
    let last = (0..len).rev().find(|at| digit(*at) != b'0').unwrap_or(first);
    last - first + 1
}

/// Returns the sign, the significant digits and the power of ten behind them: equal for equal
/// decimal numbers, however they are written.
fn canonical(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let mut exponent: i64 = exponent.parse().ok()?;
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let all = format!("{whole}{fraction}");
    let kept = all.trim_end_matches('0');
    exponent = exponent.checked_add(i64::try_from(all.len() - kept.len()).ok()?)?;
    let kept = kept.trim_start_matches('0');
    if kept.is_empty() {
        // Zero is zero, whatever stands behind it, and stores drop its sign.
        return Some((false, String::new(), 0));
    }
    Some((mantissa.len() > unsigned.len(), kept.into(), exponent))
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<Date>().is_ok()
}

/// Whether it is a day and a time, without digits behind the microseconds.
fn is_timestamp(text: &str) -> bool {
    if text.len() < 16 || text.parse::<Timestamp>().is_err() {
        return false;
    }
    let Some((_, fraction)) = text.split_once('.') else { return true };
    let digits = &fraction[..digits(fraction.as_bytes())];
    digits.trim_end_matches('0').len() <= 6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let types = Types::BARE.of_text(text);
        let found: Vec<String> = types.iter().map(|found| found.to_string()).collect();
        assert_eq!(found.join(" "), expected, "{text:?}");
    }

    #[test]
    fn what_looks_plain_rules_nothing_out() {
        let mut plain = 0;
        for bits in [0b0100_0110u8, 0b0100_0100, 0b0100_0010, 0b0100_0000, 0b0111_1111] {
            let types = Types(bits);
            // Every text of up to six of these characters.
            for length in 0..=6u32 {
                for number in 0..5u32.pow(length) {
                    let char = |place| b"-.019"[(number / 5u32.pow(place) % 5) as usize];
                    let text: String = (0..length).map(char).map(char::from).collect();
                    if types.hold_plain(&text) {
                        assert_eq!(types.of_text(&text), types, "{text:?} {bits:b}");
                        plain += 1;
                    }
                }
            }
        }
        assert!(plain > 5_000, "{plain}");
    }

    #[test]
    fn a_text_is_of_a_type_if_nothing_is_lost() {
        check("true", "bool text");
        check("True", "text");
        check("5", "i64 f64 text");
        check("-5", "i64 f64 text");
        check("0", "i64 f64 text");
        check("-0", "f64 text");
        check("+5", "text");
        check("00501", "text");
        check("-01", "text");
        check(" 5", "text");
        check("9223372036854775807", "i64 text");
        check("-9223372036854775808", "i64 text");
        check("9223372036854775808", "text");
        check("9007199254740992", "i64 f64 text");
        check("9007199254740993", "i64 text");
        check("2.50", "f64 text");
        check("-42.637078", "f64 text");
        check("007.5", "text");
        check(".5", "text");
        check("5.", "text");
        check("1e3", "f64 text");
        check("1e", "text");
        check("1e999", "text");
        check("1e-400", "text");
        check("5e-324", "f64 text");
        check("1.7976931348623157e308", "f64 text");
        check("0.10000000000000001", "f64 text");
        check("0.100000000000000005", "text");
        check("0.5000000000000000000000", "f64 text");
        check("9007199254740993.0", "text");
        check("NaN", "text");
        check("Infinity", "text");
        check("2024-02-29", "date text");
        check("2023-02-29", "text");
        check("2024-02-29T12:30", "timestamp text");
        check("2024-02-29 12:30:00.123456+02:00", "timestamp text");
        check("2024-02-29T12:30:00.1234560Z", "timestamp text");
        check("2024-02-29T12:30:00.1234567Z", "text");
        check("0190a6f2-7c1e-7d3a-9b1f-00ff00ff00ff", "uuid text");
        check("0190a6f27c1e7d3a9b1f00ff00ff00ff", "text");
        check("", "text");
    }

    #[test]
    fn says_why_not() {
        for (column_type, text, expected) in [
            (Type::I64, "00501", Some("has a leading zero")),
            (Type::F64, "007.5", Some("has a leading zero")),
            (Type::I64, "+5", Some("has a plus sign")),
            (Type::I64, "-0", Some("is negative zero")),
            (Type::I64, "5.5", Some("has a fraction or exponent")),
            (Type::I64, "9223372036854775808", Some("is beyond 64 bits")),
            (Type::F64, "0.12345678901234567890", Some("has more digits than a float keeps")),
            (Type::F64, ".5", Some("lacks digits beside the point")),
            (Type::F64, "x5", None),
            (Type::F64, "", None),
            (Type::Timestamp, "2024-02-29", Some("has no time")),
            (
                Type::Timestamp,
                "2024-02-29T12:30:00.1234567",
                Some("has digits behind the microseconds"),
            ),
            (Type::Date, "2024-02-29T12:30", Some("has a time")),
            (Type::Date, "soon", None),
        ] {
            assert_eq!(why_not(column_type, text), expected, "{text}");
        }
    }
}
