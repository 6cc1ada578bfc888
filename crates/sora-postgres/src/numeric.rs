//! Decimals in PostgreSQL's binary form of `numeric`.
//!
//! It is a number of digits, the weight of the first, a sign, the number of decimal places, and the
//! digits to base 10,000, all of 16 bits (`numeric_send` in PostgreSQL's `numeric.c`).

use sora_core::Decimal;

const BASE: u16 = 10_000;
/// Decimal places of one digit.
const PLACES: u8 = 4;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;
/// More digits than 96 bits and 28 places have.
const DIGITS_MAX: usize = 16;

/// Appends a decimal.
pub(crate) fn encode(decimal: Decimal, out: &mut Vec<u8>) {
    let scale = decimal.scale();
    let padding = (PLACES - scale % PLACES) % PLACES;
    let mut rest = decimal.mantissa().unsigned_abs() * 10u128.pow(padding.into());
    let mut fraction = (scale + padding) / PLACES;
    // From the last to the first; at most 106 bits are 8 digits.
    let mut digits = [0u16; DIGITS_MAX];
    let mut len = 0;
    while rest > 0 && len < DIGITS_MAX {
        digits[len] = u16::try_from(rest % u128::from(BASE)).unwrap_or(0);
        rest /= u128::from(BASE);
        len += 1;
    }
    let zeros = digits[..len].iter().take_while(|digit| **digit == 0).count();
    let significant = &digits[zeros..len];
    let whole = i16::try_from(len).unwrap_or(0) - i16::from(std::mem::take(&mut fraction));
    let weight = if significant.is_empty() { 0 } else { whole - 1 };
    let sign = if decimal.mantissa() < 0 { NEGATIVE } else { 0 };
    let count = u16::try_from(significant.len()).unwrap_or(0);
    out.extend(count.to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(u16::from(scale).to_be_bytes());
    significant.iter().rev().for_each(|digit| out.extend(digit.to_be_bytes()));
}

/// Reads a decimal.
///
/// # Errors
///
/// What is wrong, as a message's part: it is NaN or infinite, or needs more than 96 bits or 28
/// places.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decimal, String> {
    let mut words = bytes.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
    let mut word = || words.next().ok_or("holds a numeric that is cut off");
    let (count, weight, sign, places) = (word()?, word()?.cast_signed(), word()?, word()?);
    match sign {
        NAN => return Err("holds NaN, which is no decimal".into()),
        INFINITY | MINUS_INFINITY => return Err("holds an infinity, which is no decimal".into()),
        _ => {}
    }
    let mut mantissa = 0i128;
    let wide = || "holds a decimal of more than 96 bits or 28 places".to_owned();
    for _ in 0..count {
        let digit = word()?;
        mantissa = mantissa
            .checked_mul(BASE.into())
            .and_then(|mantissa| mantissa.checked_add(digit.into()))
            .ok_or_else(wide)?;
    }
    // The place of the last digit, and the place that the number is to end at.
    let exponent = (i32::from(weight) - i32::from(count) + 1) * i32::from(PLACES);
    let scale = places.min(Decimal::SCALE_MAX.into());
    let shift = exponent + i32::from(scale);
    let power = 10i128.checked_pow(shift.unsigned_abs());
    let mantissa = match (shift >= 0, power) {
        _ if mantissa == 0 => Some(0),
        (true, Some(power)) => mantissa.checked_mul(power),
        // What is cut off is zeros, or it has more places than a decimal can have.
        (false, Some(power)) => (mantissa % power == 0).then_some(mantissa / power),
        (_, None) => None,
    };
    let signed = mantissa.map(|mantissa| if sign == NEGATIVE { -mantissa } else { mantissa });
    let scale = u8::try_from(scale).unwrap_or(Decimal::SCALE_MAX);
    signed.and_then(|mantissa| Decimal::new(mantissa, scale)).ok_or_else(wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("a decimal")
    }

    #[test]
    fn decimals_have_the_servers_form() {
        for (text, expected) in [
            ("0", &[0, 0, 0, 0][..]),
            ("0.00", &[0, 0, 0, 2]),
            ("1", &[1, 0, 0, 0, 1]),
            ("-12.5", &[2, 0, NEGATIVE, 1, 12, 5_000]),
            ("10000", &[1, 1, 0, 0, 1]),
            ("0.0001", &[1, 0xFFFF, 0, 4, 1]),
            ("0.00001", &[1, 0xFFFE, 0, 5, 1_000]),
            ("123456.7800", &[3, 1, 0, 4, 12, 3_456, 7_800]),
        ] {
            let mut bytes = Vec::new();
            encode(decimal(text), &mut bytes);
            assert_eq!(bytes, words(expected), "{text}");
            assert_eq!(decode(&bytes).expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        let refused = |bytes: &[u16]| decode(&words(bytes)).expect_err("refused");
        assert!(refused(&[0, 0, NAN, 0]).contains("NaN"));
        assert!(refused(&[0, 0, INFINITY, 0]).contains("an infinity"));
        assert!(refused(&[1, 30, 0, 0, 1]).contains("96 bits"));
        assert!(refused(&[1, 0xFFF7, 0, 40, 1]).contains("28 places"));
        assert!(refused(&[2, 0, 0, 0, 1]).contains("cut off"));
        assert!(decode(&[0]).is_err());
        // Its places beyond the 28th are zeros.
        assert_eq!(decode(&words(&[1, 0, 0, 40, 7])), Ok(decimal("7")));
    }
}
