//! Decimal numbers of 96 bits and a scale.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// A decimal number: an integer of at most 96 bits, divided by ten to the power of a scale.
///
/// Equality and order are by value: `1.5` equals `1.50`. Sums are checked and exact.
#[derive(Clone, Copy)]
pub struct Decimal {
    low: u64,
    high: u32,
    scale: u8,
    negative: bool,
}

impl Decimal {
    /// The largest number of digits behind the point.
    pub const SCALE_MAX: u8 = 28;
    /// The largest number of digits that every decimal of that many digits fits in.
    pub const PRECISION_MAX: u8 = 28;
    const MANTISSA_MAX: u128 = (1 << 96) - 1;

    /// Returns `mantissa / 10^scale`, or `None` beyond 96 bits or a scale of 28.
    pub fn new(mantissa: i128, scale: u8) -> Option<Self> {
        let magnitude = mantissa.unsigned_abs();
        if magnitude > Self::MANTISSA_MAX || scale > Self::SCALE_MAX {
            return None;
        }
        let low = u64::try_from(magnitude & u128::from(u64::MAX)).ok()?;
        let high = u32::try_from(magnitude >> 64).ok()?;
        Some(Self { low, high, scale, negative: mantissa < 0 })
    }

    /// The number without its point: `12.50` is 1250 at a scale of 2.
    pub fn mantissa(self) -> i128 {
        let magnitude = (i128::from(self.high) << 64) | i128::from(self.low);
        if self.negative { -magnitude } else { magnitude }
    }

    /// The number of digits behind the point.
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// Returns the same value with exactly `scale` digits behind the point, or `None` if that would
    /// drop a digit other than zero or go beyond 96 bits.
    pub fn rescale(self, scale: u8) -> Option<Self> {
        let mantissa = self.mantissa();
        if scale >= self.scale {
            let factor = 10i128.checked_pow(u32::from(scale - self.scale))?;
            return Self::new(mantissa.checked_mul(factor)?, scale);
        }
        let factor = 10i128.checked_pow(u32::from(self.scale - scale))?;
        if mantissa % factor != 0 {
            return None;
        }
        Self::new(mantissa / factor, scale)
    }

    /// Returns the exact sum, or `None` beyond 96 bits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let (left, right) = (self.rescale(scale)?, other.rescale(scale)?);
        Self::new(left.mantissa() + right.mantissa(), scale)
    }

    /// The number of digits before and behind the point that the value needs at its scale.
    pub fn precision(self) -> u8 {
        let digits = self.mantissa().unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
        // At most 29 digits fit in 96 bits.
        u8::try_from(digits).unwrap_or(u8::MAX).max(self.scale)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) = (self.mantissa(), other.mantissa());
        let scaled = |mantissa: i128, by: u8| mantissa.checked_mul(10i128.pow(u32::from(by)));
        // 96 bits times ten to the 28th can leave 127 bits; what leaves them is larger than any
        // mantissa, so its sign alone decides.
        match self.scale.cmp(&other.scale) {
            Ordering::Equal => left.cmp(&right),
            Ordering::Less => scaled(left, other.scale - self.scale)
                .map_or(left.signum().cmp(&0), |left| left.cmp(&right)),
            Ordering::Greater => scaled(right, self.scale - other.scale)
                .map_or(0.cmp(&right.signum()), |right| left.cmp(&right)),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal {}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        let magnitude = value.unsigned_abs();
        Self { low: magnitude, high: 0, scale: 0, negative: value < 0 }
    }
}

impl FromStr for Decimal {
    type Err = Error;

    /// Reads `-12.50`: an optional sign, digits, and a point with digits.
    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("{text:?} is not a decimal of at most 28 digits, such as -12.50"),
            )
        })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mantissa = self.mantissa();
        let sign = if mantissa < 0 { "-" } else { "" };
        let scale = usize::from(self.scale);
        let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        if scale == 0 { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parse(text: &str) -> Option<Decimal> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || (digits.contains('.') && fraction.is_empty()) {
        return None;
    }
    let mut mantissa = 0i128;
    for digit in whole.bytes().chain(fraction.bytes()) {
        let digit = digit.is_ascii_digit().then(|| i128::from(digit - b'0'))?;
        mantissa = mantissa.checked_mul(10)?.checked_add(digit)?;
    }
    Decimal::new(if negative { -mantissa } else { mantissa }, u8::try_from(fraction.len()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("a decimal")
    }

    #[test]
    fn prints_what_it_read() {
        for text in ["0", "0.00", "-0.05", "12.50", "-79228162514264337593543950335"] {
            assert_eq!(decimal(text).to_string(), text);
        }
        assert_eq!(decimal("+007.10").to_string(), "7.10");
        assert_eq!(decimal("-0.0").to_string(), "0.0");
        for text in ["", "-", ".5", "5.", "1e3", "1_0", "79228162514264337593543950336"] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }

    #[test]
    fn compares_by_value() {
        assert_eq!(decimal("1.5"), decimal("1.500"));
        assert!(decimal("-1.5") < decimal("1.49"));
        let largest = "79228162514264337593543950335";
        assert!(decimal(largest) > decimal("0.0000000000000000000000000001"));
        assert!(decimal(&format!("-{largest}")) < decimal("-7.9228162514264337593543950335"));
        assert!(decimal("0.0000000000000000000000000001") < decimal(largest));
    }

    #[test]
    fn rescales_without_rounding() {
        assert_eq!(decimal("1.5").rescale(3).expect("fits").to_string(), "1.500");
        assert_eq!(decimal("1.500").rescale(1).expect("fits").to_string(), "1.5");
        assert!(decimal("1.55").rescale(1).is_none());
        assert_eq!(decimal("1.25").checked_add(decimal("-1.3")).expect("fits"), decimal("-0.05"));
        assert_eq!(decimal("0.05").precision(), 2);
        assert_eq!(decimal("120.5").precision(), 4);
    }
}
