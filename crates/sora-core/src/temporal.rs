//! Dates and timestamps as numbers, and the one text form that stores and files use.
//!
//! The arithmetic between days and the proleptic Gregorian calendar follows Howard Hinnant,
//! "chrono-Compatible Low-Level Date Algorithms" (<https://howardhinnant.github.io/date_algorithms.html>).

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// A date: days since 1970-01-01, in the years 1 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

/// A moment: microseconds since 1970-01-01T00:00:00Z, in the years 1 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const DAY_MICROS: i64 = 86_400_000_000;

impl Date {
    /// 0001-01-01.
    pub const MIN: Self = Self(-719_162);
    /// 9999-12-31.
    pub const MAX: Self = Self(2_932_896);

    /// Returns the date that many days after 1970-01-01, or `None` outside the years 1 to 9999.
    pub fn from_days(days: i32) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&days).then_some(Self(days))
    }

    /// Returns a date of the calendar, or `None` if there is no such day in the years 1 to 9999.
    pub fn from_calendar(year: i32, month: u32, day: u32) -> Option<Self> {
        if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 {
            return None;
        }
        if day > days_in_month(year, month) {
            return None;
        }
        Some(Self(days_from_civil(year, month, day)))
    }

    /// Days since 1970-01-01.
    pub fn days(self) -> i32 {
        self.0
    }

    /// Year, month and day.
    pub fn calendar(self) -> (i32, u32, u32) {
        civil_from_days(self.0)
    }

    /// The first moment of the day, UTC.
    pub fn midnight(self) -> Timestamp {
        Timestamp(i64::from(self.0) * DAY_MICROS)
    }

    /// The text `YYYY-MM-DD`, without an allocation.
    pub fn text(self) -> FixedText<10> {
        let mut text = FixedText([b'-'; 10]);
        text.date(self);
        text
    }
}

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(Date::MIN.0 as i64 * DAY_MICROS);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self((Date::MAX.0 as i64 + 1) * DAY_MICROS - 1);

    /// Returns the moment that many microseconds after 1970-01-01T00:00:00Z, or `None` outside the
    /// years 1 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// The day it falls on, UTC.
    pub fn date(self) -> Date {
        // In range by the invariant of `Timestamp`.
        Date(i32::try_from(self.0.div_euclid(DAY_MICROS)).unwrap_or(Date::MAX.0))
    }

    /// The text `YYYY-MM-DDTHH:MM:SS.ffffffZ`, without an allocation. Its byte order is the order
    /// of time.
    pub fn text(self) -> FixedText<27> {
        let mut text = FixedText(*b"0000-00-00T00:00:00.000000Z");
        text.date(self.date());
        let mut rest = self.0.rem_euclid(DAY_MICROS);
        for (at, len, unit) in
            [(11, 2, 3_600_000_000), (14, 2, 60_000_000), (17, 2, 1_000_000), (20, 6, 1)]
        {
            text.digits(at, len, rest / unit);
            rest %= unit;
        }
        text
    }
}

impl FromStr for Date {
    type Err = Error;

    /// Reads `YYYY-MM-DD`.
    fn from_str(text: &str) -> Result<Self> {
        let mut scan = Scan(text.as_bytes());
        scan.date().filter(|_| scan.0.is_empty()).ok_or_else(|| {
            let message = format!("{text:?} is not a date, such as 2024-02-29");
            Error::new(ErrorKind::InvalidInput, message)
        })
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Reads `YYYY-MM-DD`, or it with `T` or a space and `HH:MM[:SS[.fraction]]`, and then an
    /// offset: `Z`, `+02:00`, `+0200`, `+02`. Without an offset it is UTC. Digits behind the
    /// microseconds are floored.
    fn from_str(text: &str) -> Result<Self> {
        let mut scan = Scan(text.as_bytes());
        scan.timestamp().filter(|_| scan.0.is_empty()).ok_or_else(|| {
            let message = format!("{text:?} is not a timestamp, such as 2024-02-29T12:30:00Z");
            Error::new(ErrorKind::InvalidInput, message)
        })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text of a fixed length that lives on the stack.
#[derive(Clone, Copy, Debug)]
pub struct FixedText<const LEN: usize>([u8; LEN]);

impl<const LEN: usize> FixedText<LEN> {
    /// The text.
    pub fn as_str(&self) -> &str {
        // Only ASCII is written into it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn date(&mut self, date: Date) {
        let (year, month, day) = date.calendar();
        self.digits(0, 4, i64::from(year));
        self.digits(5, 2, i64::from(month));
        self.digits(8, 2, i64::from(day));
    }

    fn digits(&mut self, at: usize, len: usize, mut value: i64) {
        for place in self.0[at..at + len].iter_mut().rev() {
            // A remainder of ten is one digit.
            *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
        }
    }
}

/// What is left of a text that is read from the left.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn digits(&mut self, len: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(len)?;
        let mut value = 0;
        for digit in digits {
            value = value * 10 + u32::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
        self.0 = rest;
        Some(value)
    }

    fn take(&mut self, any_of: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        any_of.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn date(&mut self) -> Option<Date> {
        let year = self.digits(4)?;
        self.take(b"-")?;
        let month = self.digits(2)?;
        self.take(b"-")?;
        let day = self.digits(2)?;
        Date::from_calendar(i32::try_from(year).ok()?, month, day)
    }

    fn timestamp(&mut self) -> Option<Timestamp> {
        let date = self.date()?;
        if self.take(b"Tt ").is_none() {
            return Some(date.midnight());
        }
        let hour = self.below(24)?;
        self.take(b":")?;
        let minute = self.below(60)?;
        let mut micros = (i64::from(hour) * 60 + i64::from(minute)) * 60_000_000;
        if self.take(b":").is_some() {
            micros += i64::from(self.below(60)?) * 1_000_000;
            if self.take(b".").is_some() {
                micros += self.fraction()?;
            }
        }
        let offset = self.offset()?;
        Timestamp::from_micros(date.midnight().micros() + micros - offset)
    }

    fn below(&mut self, limit: u32) -> Option<u32> {
        self.digits(2).filter(|value| *value < limit)
    }

    /// Reads up to nine digits as microseconds; the last three are floored.
    fn fraction(&mut self) -> Option<i64> {
        let mut micros = 0;
        let mut unit = 100_000;
        let mut count = 0;
        while let Some(digit) = self.take(b"0123456789") {
            micros += i64::from(digit - b'0') * unit;
            unit /= 10;
            count += 1;
        }
        (1..=9).contains(&count).then_some(micros)
    }

    /// Reads an offset in microseconds; none is UTC.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.take(b"Zz+-") {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Some(0),
        };
        let hours = self.below(24)?;
        let colon = self.take(b":").is_some();
        let minutes = if colon || !self.0.is_empty() { self.below(60)? } else { 0 };
        Some(sign * (i64::from(hours) * 60 + i64::from(minutes)) * 60_000_000)
    }
}

fn days_in_month(year: i32, month: u32) -> u32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_from_civil(year: i32, month: u32, day: u32) -> i32 {
    let (month, day) = (month.cast_signed(), day.cast_signed());
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i32) -> (i32, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i32::from(month <= 2);
    (year, month.cast_unsigned(), day.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_goes_to_the_calendar_and_back() {
        for days in Date::MIN.0..=Date::MAX.0 {
            let (year, month, day) = Date(days).calendar();
            assert_eq!(Date::from_calendar(year, month, day), Some(Date(days)));
        }
        assert_eq!(Date::MIN.to_string(), "0001-01-01");
        assert_eq!(Date::MAX.to_string(), "9999-12-31");
        assert!(Date::from_calendar(2023, 2, 29).is_none());
        assert!(Date::from_days(Date::MAX.0 + 1).is_none());
    }

    #[test]
    fn reads_the_forms_that_people_write() {
        let noon = "2024-02-29T12:30:00.000000Z";
        for text in [
            "2024-02-29T12:30Z",
            "2024-02-29 12:30:00",
            "2024-02-29t12:30:00.0000009z",
            "2024-02-29T14:30:00+02:00",
            "2024-02-29T10:30:00-02",
            "2024-02-29T18:00:00.0+0530",
        ] {
            assert_eq!(text.parse::<Timestamp>().expect(text).to_string(), noon, "{text}");
        }
        assert_eq!(
            "1969-12-31T23:59:59.999999Z".parse::<Timestamp>().expect("a timestamp").micros(),
            -1
        );
        for text in ["2024-02-30", "2024-02-29T24:00", "2024-02-29T12", "0000-01-01", "now", ""] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        assert!("0001-01-01T00:00:00+01:00".parse::<Timestamp>().is_err());
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00.000000Z");
    }
}
