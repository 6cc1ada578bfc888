//! Literals and patterns, in all the spellings that Sora and SQLite both read.

use sora::Cell;

use super::random::Random;
use super::rows::{BYTES, EXACT, FLOATS, INTEGERS, Kind, TEXTS};

/// Where a literal stands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    Compared,
    Listed,
}

/// Returns a literal that can stand beside a column of a kind.
pub(super) fn literal(random: &mut Random, kind: Kind, place: Place) -> String {
    let literal = match kind {
        _ if random.one_in(15) => "NULL".into(),
        Kind::Bool => (random.pick(&["TRUE", "FALSE"])).into(),
        Kind::Bytes => bytes(random.pick(&BYTES), random.one_in(2)),
        Kind::Float => beside_float(random, place),
        Kind::Integer => beside_integer(random),
        Kind::Text => quoted(random.pick(&TEXTS)),
    };
    if random.one_in(10) { format!("({literal})") } else { literal }
}

/// Returns a pattern, and an escape character if there is one.
pub(super) fn pattern(random: &mut Random) -> (String, Option<String>) {
    let escape = random.one_in(3).then(|| random.pick(&['!', '\\', 'a', '%', '_', 'é', '😀']));
    let mut pattern = String::new();
    let wildcard = |pattern: &mut String, sign| {
        if escape != Some(sign) {
            pattern.push(sign);
        }
    };
    if random.one_in(4) {
        wildcard(&mut pattern, '%');
    }
    for char in random.pick(&TEXTS).chars() {
        let char = match random.below(8) {
            0 => {
                wildcard(&mut pattern, '_');
                continue;
            }
            1 => {
                wildcard(&mut pattern, '%');
                continue;
            }
            2 if char.is_ascii_uppercase() => char.to_ascii_lowercase(),
            2 => char.to_ascii_uppercase(),
            _ => char,
        };
        // Behind it, SQLite takes every character as it is, Sora only those that need it.
        if let Some(escape) = escape.filter(|escape| matches!(char, '%' | '_') || char == *escape) {
            pattern.push(escape);
        }
        pattern.push(char);
    }
    if random.one_in(3) {
        wildcard(&mut pattern, '%');
    }
    (quoted(&pattern), escape.map(|escape| quoted(&escape.to_string())))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn bytes(bytes: &[u8], is_upper: bool) -> String {
    let literal = Cell::Bytes(bytes).to_string();
    if is_upper { literal.to_uppercase() } else { literal.to_lowercase() }
}

/// SQLite reads a number with a point or an exponent, and a whole one beyond 64 bits, as the nearest
/// float, Sora exactly: here are only numbers that are floats, or as far from the next integer as
/// the nearest float is.
fn beside_integer(random: &mut Random) -> String {
    const BEYOND: [&str; 14] = [
        "9223372036854775808",
        "9223372036854775808.0",
        "-9223372036854775808.0",
        "18446744073709551616",
        "-18446744073709551616",
        "100000000000000000000",
        "9.007199254740994e15",
        "-9007199254740994.",
        "1e18",
        "9e+18",
        "1e19",
        "-1E300",
        "9e999",
        "-9e999",
    ];
    let integer = match random.below(3) {
        0 => random.pick(&INTEGERS),
        _ => i64::try_from(random.below(40)).expect("small") - 10,
    };
    match random.below(12) {
        0 => (random.pick(&BEYOND)).into(),
        1..4 if integer.unsigned_abs() <= EXACT.unsigned_abs() => respelt(random, integer),
        4 | 5 if integer.unsigned_abs() < 1 << 20 => {
            let fraction = random.pick(&[".5", ".25", ".1", ".9", ".0625", ".500e0", ".001E+0"]);
            format!("{}{fraction}", whole(random, integer))
        }
        6 => (random.pick(&[".5", "-.5", "+.5", "-0", "+0", "-0.0", "0e5", "25e-1", "-.25e1"]))
            .into(),
        _ => whole(random, integer),
    }
}

/// SQLite turns what is listed into values of the column's type before it compares, so that a whole
/// number that no float is would be rounded, which Sora never does. Beyond 64 bits it reads it as
/// the nearest float everywhere.
fn beside_float(random: &mut Random, place: Place) -> String {
    const BEYOND: [&str; 4] = [
        "9223372036854775808",
        "-18446744073709551616",
        "100000000000000000000",
        "00000000000000000000005",
    ];
    match random.below(8) {
        0 | 1 => {
            let integer = random.pick(&INTEGERS);
            let is_float = integer.unsigned_abs() < EXACT.unsigned_abs();
            if is_float || place == Place::Compared { whole(random, integer) } else { "0".into() }
        }
        2 => (random.pick(&BEYOND)).into(),
        3 => (random.pick(&["1e-400", "-1e-400", "-0.0", "-0", ".1", "1e400", "4e-324"])).into(),
        _ => {
            let float = match random.below(4) {
                0 => f64::from_bits(random.next()),
                _ => random.pick(&FLOATS),
            };
            spelt(random, float)
        }
    }
}

/// Writes an integer without point and exponent.
fn whole(random: &mut Random, integer: i64) -> String {
    let sign = match integer {
        ..0 => "-",
        _ if random.one_in(8) => "+",
        _ => "",
    };
    let zeros = if random.one_in(8) { "00" } else { "" };
    format!("{sign}{zeros}{}", integer.unsigned_abs())
}

/// Writes an integer with a point or an exponent, or both: 120 as `120.`, `.12e3`, `1200e-1`.
fn respelt(random: &mut Random, integer: i64) -> String {
    let mut digits = whole(random, integer);
    if random.one_in(3) {
        return digits + random.pick(&[".", ".0", ".000", "e0", "E+0", "e-00", "0e-1", "00.E-2"]);
    }
    let sign = usize::from(digits.starts_with(['+', '-']));
    let point = sign + random.below(digits.len() - sign + 1);
    let power = digits.len() - point;
    digits.insert(point, '.');
    format!("{digits}e{power}")
}

/// Writes a float with a point or an exponent, so that it is the nearest to what is written.
fn spelt(random: &mut Random, float: f64) -> String {
    match random.below(6) {
        _ if float.is_nan() => "0.5".into(),
        _ if float.is_infinite() => (if float > 0.0 { "9e999" } else { "-1e309" }).into(),
        0 => format!("{float:e}"),
        1 => format!("{float:E}"),
        2 => format!("{float:.17e}"),
        3 => format!("{float:.30e}"),
        // Up to 309 digits, a point, and one more.
        4 => format!("{float:.1}"),
        _ => format!("{float:?}"),
    }
}
