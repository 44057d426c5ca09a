//! Dates and date-times in the format of V6, kept to the last digit (`record-types`: *How a record looks on the wire*).

use std::fmt;

use crate::clock::Timestamp;

/// A text that is no date, or no date-time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a date is YYYY-MM-DD, and a date-time YYYY-MM-DDTHH:MM:SS without a zone")]
pub struct DateError;

/// A calendar date, `YYYY-MM-DD`; a single-digit month or day is accepted where a server sends it. The default is
/// `0000-00-00`, which no record may have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// A date; `None` for a day that there is not, and outside the years 1 to 9999.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let calendar_month = time::Month::try_from(month).ok()?;
        time::Date::from_calendar_date(i32::from(year), calendar_month, day).ok()?;
        (1..=9999).contains(&year).then_some(Self { year, month, day })
    }

    /// The year.
    pub fn year(self) -> u16 {
        self.year
    }

    /// The month, 1 to 12.
    pub fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, 1 to 31.
    pub fn day(self) -> u8 {
        self.day
    }

    /// Reads a date; text after it, an impossible day and year 0 are refused.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let year = digits(parts.next()?, 4, 4)?;
        let month = digits(parts.next()?, 1, 2)?;
        let day = digits(parts.next()?, 1, 2)?;
        if parts.next().is_some() {
            return None;
        }
        Self::new(u16::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// True if a text is a date in the format to write: with all digits, so that SQL and every other reader accepts it.
pub(crate) fn is_written_date(text: &str) -> bool {
    let is_plain = matches!(text.as_bytes(), [_, _, _, _, b'-', _, _, b'-', _, _]);
    Date::parse(text).is_some_and(|date| is_plain || date.to_string() == text)
}

/// True if a text is a date-time in the format to write: such a date, a possible second, at most nine digits of its
/// fraction.
pub(crate) fn is_written_date_time(text: &str) -> bool {
    let date = text.split_once('T').map(|(date, _)| date);
    let fraction = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    DateTime::parse(text).is_some_and(|read| read.second < 60) && date.is_some_and(is_written_date) && fraction <= 9
}

/// The spellings of the legacy server for no date.
const NO_LEGACY_DATE: [&str; 4] = ["", "0000-00-00", "0000-00-00T00:00:00", "0000-00-00 00:00:00"];

/// True for a spelling of the legacy server for no date.
pub(super) fn is_no_legacy_date(text: &str) -> bool {
    NO_LEGACY_DATE.contains(&text)
}

/// The moment that a date or a date-time names, in any spelling that is read, that of the legacy server among them. A date alone names its
/// first moment.
pub(super) fn moment(text: &str) -> Option<DateTime> {
    let first = |date| DateTime { date, ..DateTime::default() };
    Date::parse(text).map(first).or_else(|| DateTime::parse(&text.replacen(' ', "T", 1)))
}

/// True if a text is a date or a date-time as the legacy server may write it, or none.
pub(crate) fn is_legacy_date(text: &str) -> bool {
    let is_date_time = || DateTime::parse(&text.replacen(' ', "T", 1)).is_some();
    NO_LEGACY_DATE.contains(&text) || Date::parse(text).is_some() || is_date_time()
}

/// True if a text is a date in the format to write, or none.
pub(crate) fn is_written_legacy_date(text: &str) -> bool {
    let is_date_time = || is_written_date_time(&text.replacen(' ', "T", 1));
    NO_LEGACY_DATE.contains(&text) || is_written_date(text) || is_date_time()
}

/// A date-time in UTC without a zone: `YYYY-MM-DDTHH:MM:SS` and, only if not zero, a fraction of 3, 6 or 9 digits. The
/// default is of the date `0000-00-00`, which no record may have.
///
/// ```
/// use sync_core::record::{Date, DateTime};
///
/// let at: DateTime = "2026-11-23T08:05:00".parse()?;
/// assert_eq!((at.date(), at.hour(), at.minute()), (Date::new(2026, 11, 23).unwrap(), 8, 5));
/// # Ok::<(), sync_core::record::DateError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct DateTime {
    date: Date,
    hour: u8,
    minute: u8,
    second: u8,
    nanosecond: u32,
}

impl std::str::FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        Self::parse(text).ok_or(DateError)
    }
}

impl std::str::FromStr for DateTime {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        Self::parse(text).ok_or(DateError)
    }
}

impl DateTime {
    /// The moment, to the millisecond; `None` for the default, which is none.
    pub fn timestamp(self) -> Option<Timestamp> {
        Timestamp::parse(&format!("{self}Z"))
    }

    /// Its date.
    pub fn date(self) -> Date {
        self.date
    }

    /// Its hour, 0 to 23.
    pub fn hour(self) -> u8 {
        self.hour
    }

    /// Its minute.
    pub fn minute(self) -> u8 {
        self.minute
    }

    /// Its second; 60 in a leap second.
    pub fn second(self) -> u8 {
        self.second
    }

    /// Its fraction of a second.
    pub fn nanosecond(self) -> u32 {
        self.nanosecond
    }

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

/// The moment, to the millisecond; a clock outside the years 1 to 9999 gives the first or the last moment of these.
impl From<Timestamp> for DateTime {
    fn from(at: Timestamp) -> Self {
        const FIRST: i64 = -62_135_596_800_000;
        const LAST: i64 = 253_402_300_799_999;
        let within = Timestamp::from_unix_millis(at.unix_millis().clamp(FIRST, LAST));
        Self::parse(&within.wire()).unwrap_or_default()
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

/// Conversions from and to the types of the crate `time`, with the feature of that name.
#[cfg(feature = "time")]
mod of_time {
    use time::{OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

    use super::{Date, DateError, DateTime};

    /// # Errors
    /// A year outside 1 to 9999.
    impl TryFrom<time::Date> for Date {
        type Error = DateError;

        fn try_from(date: time::Date) -> Result<Self, DateError> {
            let year = u16::try_from(date.year()).map_err(|_| DateError)?;
            Self::new(year, date.month().into(), date.day()).ok_or(DateError)
        }
    }

    /// # Errors
    /// The default, `0000-00-00`, is no date.
    impl TryFrom<Date> for time::Date {
        type Error = DateError;

        fn try_from(date: Date) -> Result<Self, DateError> {
            let month = time::Month::try_from(date.month).map_err(|_| DateError)?;
            Self::from_calendar_date(i32::from(date.year), month, date.day).map_err(|_| DateError)
        }
    }

    /// The same numbers: a date-time of a record is in UTC and has no zone.
    ///
    /// # Errors
    /// A year outside 1 to 9999.
    impl TryFrom<PrimitiveDateTime> for DateTime {
        type Error = DateError;

        fn try_from(at: PrimitiveDateTime) -> Result<Self, DateError> {
            let (date, (hour, minute, second, nanosecond)) = (at.date().try_into()?, at.time().as_hms_nano());
            Ok(Self { date, hour, minute, second, nanosecond })
        }
    }

    /// # Errors
    /// The default is no date-time. A leap second, which `time` does not have.
    impl TryFrom<DateTime> for PrimitiveDateTime {
        type Error = DateError;

        fn try_from(at: DateTime) -> Result<Self, DateError> {
            let DateTime { date, hour, minute, second, nanosecond } = at;
            let time = Time::from_hms_nano(hour, minute, second, nanosecond).map_err(|_| DateError)?;
            Ok(Self::new(date.try_into()?, time))
        }
    }

    /// The moment in UTC, whatever its zone.
    ///
    /// # Errors
    /// A year outside 1 to 9999.
    impl TryFrom<OffsetDateTime> for DateTime {
        type Error = DateError;

        fn try_from(at: OffsetDateTime) -> Result<Self, DateError> {
            let at = at.checked_to_offset(UtcOffset::UTC).ok_or(DateError)?;
            PrimitiveDateTime::new(at.date(), at.time()).try_into()
        }
    }

    /// In UTC.
    ///
    /// # Errors
    /// As for [`PrimitiveDateTime`].
    impl TryFrom<DateTime> for OffsetDateTime {
        type Error = DateError;

        fn try_from(at: DateTime) -> Result<Self, DateError> {
            PrimitiveDateTime::try_from(at).map(PrimitiveDateTime::assume_utc)
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
    fn moments_become_date_times_and_back() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00"),
            (1_700_000_000_120, "2023-11-14T22:13:20.120"),
            (i64::MIN, "0001-01-01T00:00:00"),
            (i64::MAX, "9999-12-31T23:59:59.999"),
        ] {
            let at = DateTime::from(Timestamp::from_unix_millis(millis));
            assert_eq!(at.to_string(), text);
            assert_eq!(at.timestamp().map(DateTime::from), Some(at));
        }
        assert_eq!((DateTime::default().timestamp(), Date::new(2023, 2, 29), Date::new(0, 1, 1)), (None, None, None));
        assert_eq!("2024-2-9".parse::<Date>().map(|date| (date.year(), date.month(), date.day())), Ok((2024, 2, 9)));
        assert_eq!("2024-2-9".parse::<DateTime>(), Err(DateError));
    }

    #[cfg(feature = "time")]
    #[test]
    fn dates_and_moments_become_those_of_time_and_back() {
        use time::macros::{date, datetime};
        use time::{OffsetDateTime, PrimitiveDateTime};

        for (own, theirs) in [("2024-02-29", date!(2024 - 02 - 29)), ("0001-01-01", date!(0001 - 01 - 01))] {
            let own = Date::parse(own).unwrap();
            assert_eq!((time::Date::try_from(own), Date::try_from(theirs)), (Ok(theirs), Ok(own)));
        }
        let own = DateTime::parse("2026-11-23T23:05:07.000000123").unwrap();
        let theirs = datetime!(2026-11-23 23:05:07.000000123);
        assert_eq!((PrimitiveDateTime::try_from(own), DateTime::try_from(theirs)), (Ok(theirs), Ok(own)));
        let elsewhere = datetime!(2026-11-24 01:05:07.000000123 +2);
        assert_eq!((OffsetDateTime::try_from(own), DateTime::try_from(elsewhere)), (Ok(theirs.assume_utc()), Ok(own)));

        assert_eq!(Date::try_from(date!(0000 - 01 - 01)), Err(DateError));
        assert_eq!(Date::try_from(date!(-0044 - 03 - 15)), Err(DateError));
        assert_eq!(time::Date::try_from(Date::default()), Err(DateError));
        assert_eq!(PrimitiveDateTime::try_from(DateTime::default()), Err(DateError));
        let leap = DateTime::parse("2016-12-31T23:59:60").unwrap();
        assert_eq!(PrimitiveDateTime::try_from(leap), Err(DateError), "it has no such second");
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
