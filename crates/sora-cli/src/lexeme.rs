//! Which types a text can be of without losing anything, and why not.

use sora::{Date, Timestamp, Type, UuidText};

/// The types that a value can be of, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Types(u8);

/// The bits of the types, in the order of [`Types::ORDER`].
const BOOL: u8 = 1;
const I64: u8 = 1 << 1;
const F64: u8 = 1 << 2;
const DATE: u8 = 1 << 3;
const TIMESTAMP: u8 = 1 << 4;
const UUID: u8 = 1 << 5;
const TEXT: u8 = 1 << 6;
const JSON: u8 = 1 << 7;

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
    pub(crate) const BARE: Self = Self(!JSON);
    /// What a string of JSON can be. Numbers are not written as strings.
    pub(crate) const STRING: Self = Self(DATE | TIMESTAMP | UUID | TEXT | JSON);
    /// What `true` and `false` of JSON can be.
    pub(crate) const BOOL: Self = Self(BOOL | TEXT | JSON);
    /// What a number of JSON can be.
    pub(crate) const NUMBER: Self = Self(I64 | F64 | TEXT | JSON);
    /// What an object or array of JSON can be.
    pub(crate) const NESTED: Self = Self(JSON);
    /// Any of them.
    pub(crate) const ALL: Self = Self(!0);
    /// Text alone: nothing can rule it out in a CSV file.
    pub(crate) const TEXT: Self = Self(TEXT);

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

    /// Keeps those of the types that a text can be of.
    pub(crate) fn of_text(self, text: &str) -> Self {
        let mut kept = self.0;
        if kept & (I64 | F64) != 0 {
            kept &= !(I64 | F64) | is_number(text);
        }
        if kept & (BOOL | DATE | TIMESTAMP | UUID) == 0 {
            return Self(kept);
        }
        for (bit, is_of) in [
            (BOOL, (|text| matches!(text, "true" | "false")) as fn(&str) -> bool),
            (DATE, is_date),
            (TIMESTAMP, is_timestamp),
            (UUID, |text| text.len() == 36 && UuidText::parse(text).is_some()),
        ] {
            if kept & bit != 0 && !is_of(text) {
                kept &= !bit;
            }
        }
        Self(kept)
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

/// Which of the types of numbers a text is of.
fn is_number(text: &str) -> u8 {
    short_number(text.as_bytes()).unwrap_or_else(|| {
        let number = Number::scan(text);
        (u8::from(number.is_i64()) * I64) | (u8::from(number.is_f64()) * F64)
    })
}

/// Decides what most numbers are, in one pass: few digits, no exponent, no zero in front.
fn short_number(text: &[u8]) -> Option<u8> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    if unsigned.len() > DIGITS_SAFE || !matches!(unsigned, [b'1'..=b'9', ..]) {
        return None;
    }
    let whole = digits(unsigned);
    let Some(fraction) = unsigned[whole..].strip_prefix(b".") else {
        return (whole == unsigned.len()).then_some(I64 | F64);
    };
    (!fraction.is_empty() && digits(fraction) == fraction.len()).then_some(F64)
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

/// Counts the digits in front, eight at a time.
fn digits(text: &[u8]) -> usize {
    const HIGH: u64 = u64::from_le_bytes([0xF0; 8]);
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    const SIXES: u64 = u64::from_le_bytes([6; 8]);
    let mut count = 0;
    while let Some(bytes) = text[count..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*bytes);
        // A digit has the high half of `0`, and still has it with six added.
        if (word & HIGH) != ZEROS || (word.wrapping_add(SIXES) & HIGH) != ZEROS {
            break;
        }
        count += 8;
    }
    count + text[count..].iter().take_while(|byte| byte.is_ascii_digit()).count()
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
