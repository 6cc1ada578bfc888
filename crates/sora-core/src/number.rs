//! Numbers as they are written, exact whatever their length.

use std::cmp::Ordering;

/// A number literal of the filter text: decimal digits times a power of ten.
#[derive(Clone, Debug)]
pub(crate) struct Number<'t> {
    text: &'t str,
    negative: bool,
    /// Without leading and trailing zeros; empty for zero.
    digits: String,
    /// The power of ten of the last digit.
    exponent: i64,
    whole: bool,
}

impl<'t> Number<'t> {
    /// Reads an optional sign, digits with or without a point, and an optional exponent; `None` if
    /// it is anything else.
    pub(crate) fn parse(text: &'t str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, Some(power)),
            None => (unsigned, None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(fraction) || (whole.is_empty() && fraction.is_empty())
        {
            return None;
        }
        let power_of_ten = power.map_or(Some(0), power_of_ten)?;
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_end_matches('0');
        let zeros = count(digits.len() - significant.len());
        Some(Self {
            text,
            negative: text.starts_with('-'),
            digits: significant.trim_start_matches('0').into(),
            exponent: power_of_ten - count(fraction.len()) + zeros,
            whole: power.is_none() && !mantissa.contains('.'),
        })
    }

    /// Whether it was written without point and exponent, so that it stands for itself and not for
    /// the float nearest to it.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The float nearest to it; ±∞ beyond the largest.
    pub(crate) fn nearest_float(&self) -> f64 {
        // The grammar of `parse` is within that of floats.
        self.text.parse().unwrap_or(f64::NAN)
    }

    /// Returns the greatest multiple of `10^-scale` that is not above the number, in that unit, and
    /// whether it is the number. Beyond ±10^30 it returns that.
    pub(crate) fn floor(&self, scale: u8) -> (i128, bool) {
        const PLACES_MAX: i64 = 30;
        if self.digits.is_empty() {
            return (0, true);
        }
        let kept = count(self.digits.len()) + self.exponent + i64::from(scale);
        let (magnitude, exact) = if kept > PLACES_MAX {
            (10i128.pow(30), false)
        } else {
            // Between 0 and 30 by the line above.
            let kept = usize::try_from(kept).unwrap_or(0);
            let head = &self.digits[..kept.min(self.digits.len())];
            let digits = format!("{head:0<kept$}");
            (digits.parse().unwrap_or(0), kept >= self.digits.len())
        };
        match self.negative {
            true if exact => (-magnitude, true),
            true => (-magnitude - 1, false),
            false => (magnitude, exact),
        }
    }

    /// Orders a whole number beside the float nearest to it, exactly.
    pub(crate) fn order_beside(&self, nearest: f64) -> Ordering {
        // A float is printed with all its digits; of equal lengths, digits compare as numbers do.
        let float = format!("{:.0}", nearest.abs());
        let written = self.text.trim_start_matches(['+', '-']).trim_start_matches('0');
        let written = if written.is_empty() { "0" } else { written };
        let order = if nearest.is_infinite() {
            Ordering::Less
        } else {
            written.len().cmp(&float.len()).then_with(|| written.cmp(&float))
        };
        if self.negative { order.reverse() } else { order }
    }
}

/// Reads an exponent; one beyond all reason becomes one that is merely enormous.
fn power_of_ten(text: &str) -> Option<i64> {
    const ENORMOUS: i64 = 1 << 40;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits.parse().unwrap_or(ENORMOUS).min(ENORMOUS);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

fn count(len: usize) -> i64 {
    // No text in memory is longer.
    i64::try_from(len).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_only() {
        for text in ["0", "-5", "+5.", ".5", "5.25e-3", "1E+5", "9e999999999999999999999"] {
            assert!(Number::parse(text).is_some(), "{text}");
        }
        for text in ["", ".", "-", "e5", "5e", "5e+", "1.2.3", "--1", "inf", "NaN", "0x10", "1_0"] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn floors_exactly() {
        let check = |text, scale, expected: (i128, bool)| {
            let number = Number::parse(text).expect("a number");
            assert_eq!(number.floor(scale), expected, "{text} at {scale}");
        };
        check("0.000", 0, (0, true));
        check("2.5", 0, (2, false));
        check("-2.5", 0, (-3, false));
        check("-2.50", 1, (-25, true));
        check("1e3", 2, (100_000, true));
        check("1200e-2", 0, (12, true));
        check("0.0012e3", 1, (12, true));
        check("1e-999999999999999999999", 28, (0, false));
        check("-1e-40", 28, (-1, false));
        check("9e99", 0, (10i128.pow(30), false));
        check("-9e999999999999999999999", 0, (-10i128.pow(30) - 1, false));
    }

    #[test]
    fn orders_whole_numbers_beside_floats() {
        let check = |text: &str, expected| {
            let number = Number::parse(text).expect("a number");
            assert_eq!(number.order_beside(number.nearest_float()), expected, "{text}");
        };
        check("-0", Ordering::Equal);
        check("+0012", Ordering::Equal);
        check("9007199254740993", Ordering::Greater);
        check("-9007199254740993", Ordering::Less);
        check("100000000000000000000", Ordering::Equal);
        check("99999999999999999999", Ordering::Less);
        let beyond = "9".repeat(400);
        check(&beyond, Ordering::Less);
        check(&format!("-{beyond}"), Ordering::Greater);
    }
}
