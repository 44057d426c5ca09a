//! Dates and date-times in the format of V6, kept to the last digit (`record-types`: *How a record looks on the wire*).

use std::fmt;

/// A calendar date, `YYYY-MM-DD`; a single-digit month or day is accepted where a server sends it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Reads a date; text after it, an impossible day and year 0 are refused.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let year = digits(parts.next()?, 4, 4)?;
        let month = digits(parts.next()?, 1, 2)?;
        let day = digits(parts.next()?, 1, 2)?;
        if parts.next().is_some() || year == 0 {
            return None;
        }
        let month = u8::try_from(month).ok()?;
        let day = u8::try_from(day).ok()?;
        let calendar_month = time::Month::try_from(month).ok()?;
        time::Date::from_calendar_date(i32::from(u16::try_from(year).ok()?), calendar_month, day).ok()?;
        Some(Self { year: u16::try_from(year).ok()?, month, day })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// True if a text is a date in the format to write: with all digits, so that SQL and every other reader accepts it.
pub(crate) fn is_written_date(text: &str) -> bool {
    Date::parse(text).is_some_and(|date| date.to_string() == text)
}

/// True if a text is a date-time in the format to write: such a date, a possible second, at most nine digits of its
/// fraction.
pub(crate) fn is_written_date_time(text: &str) -> bool {
    let date = text.split_once('T').map(|(date, _)| date);
    let fraction = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    DateTime::parse(text).is_some_and(|read| read.second < 60) && date.is_some_and(is_written_date) && fraction <= 9
}

/// A date-time in UTC without a zone: `YYYY-MM-DDTHH:MM:SS` and, only if not zero, a fraction of 3, 6 or 9 digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DateTime {
    date: Date,
    hour: u8,
    minute: u8,
    second: u8,
    nanosecond: u32,
}

impl DateTime {
    /// Reads a date-time. Any number of fraction digits is accepted, and those after nine are dropped; second 60 is
    /// accepted; a zone, a blank in place of the `T` and missing seconds are refused.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, clock) = text.split_once('T')?;
        let date = Date::parse(date)?;
        let (clock, fraction) = match clock.split_once('.') {
            Some((clock, fraction)) => (clock, Some(fraction)),
            None => (clock, None),
        };
        let mut parts = clock.split(':');
        let hour = digits(parts.next()?, 2, 2).filter(|h| *h < 24)?;
        let minute = digits(parts.next()?, 2, 2).filter(|m| *m < 60)?;
        let second = digits(parts.next()?, 2, 2).filter(|s| *s <= 60)?;
        if parts.next().is_some() {
            return None;
        }
        let nanosecond = match fraction {
            None => 0,
            Some(fraction) => {
                if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                let kept = &fraction[..fraction.len().min(9)];
                digits(kept, 1, 9)? * 10_u32.pow(9 - u32::try_from(kept.len()).ok()?)
            }
        };
        let small = |n: u32| u8::try_from(n).ok();
        Some(Self { date, hour: small(hour)?, minute: small(minute)?, second: small(second)?, nanosecond })
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{:02}:{:02}:{:02}", self.date, self.hour, self.minute, self.second)?;
        match self.nanosecond {
            0 => Ok(()),
            n if n % 1_000_000 == 0 => write!(f, ".{:03}", n / 1_000_000),
            n if n % 1_000 == 0 => write!(f, ".{:06}", n / 1_000),
            n => write!(f, ".{n:09}"),
        }
    }
}

fn digits(text: &str, least: usize, most: usize) -> Option<u32> {
    if text.len() < least || text.len() > most || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, read) in [
            ("2024-02-29", Some("2024-02-29")),
            ("2024-2-9", Some("2024-02-09")),
            ("2023-02-29", None),
            ("0000-00-00", None),
            ("2024-02-29T00:00:00", None),
            ("24-02-29", None),
            ("", None),
        ] {
            assert_eq!(Date::parse(text).map(|d| d.to_string()).as_deref(), read, "{text}");
        }
    }

    #[test]
    fn what_is_written_has_every_digit() {
        for date in ["2024-2-9", "2024-02-9", "2024-2-09", "0000-00-00", "2024-02-29 ", ""] {
            assert!(!is_written_date(date), "{date}");
        }
        assert!(is_written_date("2024-02-09"));
        for at in ["2025-02-11T08:41:55", "2025-02-11T08:41:55.1", "2025-02-11T08:41:55.207675805"] {
            assert!(is_written_date_time(at), "{at}");
        }
        for at in
            ["2025-2-11T08:41:55", "2025-02-11T08:41:60", "2025-02-11T08:41:55.2076758059", "2025-02-11T08:41:55Z"]
        {
            assert!(!is_written_date_time(at), "{at}");
        }
    }

    #[test]
    fn date_times_keep_their_digits() {
        for (text, read) in [
            ("2025-02-11T08:41:55", Some("2025-02-11T08:41:55")),
            ("2025-02-11T08:41:55.12", Some("2025-02-11T08:41:55.120")),
            ("2025-02-11T08:41:55.000123", Some("2025-02-11T08:41:55.000123")),
            ("2025-02-11T08:41:55.207675805", Some("2025-02-11T08:41:55.207675805")),
            ("2025-02-11T08:41:55.2076758059", Some("2025-02-11T08:41:55.207675805")),
            ("2025-02-11T08:41:55.000", Some("2025-02-11T08:41:55")),
            ("2025-02-11T08:41:60", Some("2025-02-11T08:41:60")),
            ("2025-02-11T08:41:55Z", None),
            ("2025-02-11T08:41:55+01:00", None),
            ("2025-02-11 08:41:55", None),
            ("2025-02-11t08:41:55", None),
            ("2025-02-11T08:41", None),
            ("2025-02-11T08:41:55.", None),
            ("2025-02-11T24:00:00", None),
            ("", None),
        ] {
            assert_eq!(DateTime::parse(text).map(|d| d.to_string()).as_deref(), read, "{text}");
        }
    }
}
