//! The text form of settings.

use std::fmt::Write as _;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::protocol::PasswordHash;
use crate::record::{Cursor, RecordId, SiteId};

/// A value that is stored as text.
pub trait SettingValue: Sized {
    /// Parses it; `None` for an invalid text.
    fn from_text(text: &str) -> Option<Self>;

    /// The stored text.
    fn to_text(&self) -> String;
}

impl SettingValue for String {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn to_text(&self) -> String {
        self.clone()
    }
}

/// `1` for true; any other text for false.
impl SettingValue for bool {
    fn from_text(text: &str) -> Option<Self> {
        Some(text == "1")
    }

    fn to_text(&self) -> String {
        if *self { "1" } else { "0" }.to_owned()
    }
}

/// Empty if missing.
impl<T: SettingValue> SettingValue for Option<T> {
    fn from_text(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::from_text(text).map(Some) }
    }

    fn to_text(&self) -> String {
        self.as_ref().map(T::to_text).unwrap_or_default()
    }
}

macro_rules! stored_as_shown {
    ($($type:ty: $parse:expr),* $(,)?) => {
        $(impl SettingValue for $type {
            fn from_text(text: &str) -> Option<Self> {
                $parse(text)
            }

            fn to_text(&self) -> String {
                self.to_string()
            }
        })*
    };
}

stored_as_shown! {
    u64: |text: &str| text.parse().ok(),
    i64: |text: &str| text.parse().ok(),
    SiteId: |text: &str| text.parse().ok().map(SiteId),
    Cursor: Cursor::parse,
    Timestamp: Timestamp::parse,
    RecordId: |text: &str| Some(RecordId::new(text.to_owned())),
}

impl SettingValue for PasswordHash {
    fn from_text(text: &str) -> Option<Self> {
        Some(Self::from_hex(text))
    }

    fn to_text(&self) -> String {
        self.expose().to_owned()
    }
}

/// Numbers separated by spaces.
pub(super) fn numbers<const N: usize>(text: &str) -> Option<[Cursor; N]> {
    let all: Option<Vec<Cursor>> = text.split(' ').map(Cursor::parse).collect();
    all?.try_into().ok()
}

/// A value that is one line of several.
pub(crate) trait StoredLine: Sized {
    fn from_line(line: &str) -> Option<Self>;
    fn to_line(&self) -> String;
}

/// One per line, each ending with a line feed.
impl<T: StoredLine> SettingValue for Vec<T> {
    fn from_text(text: &str) -> Option<Self> {
        text.lines().map(T::from_line).collect()
    }

    fn to_text(&self) -> String {
        self.iter().fold(String::new(), |mut text, value| {
            let _ = writeln!(text, "{}", value.to_line());
            text
        })
    }
}

/// A value that is stored as JSON.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoredJson<T>(pub T);

impl<T> From<T> for StoredJson<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Serialize + DeserializeOwned> SettingValue for StoredJson<T> {
    fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    fn to_text(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

/// A list that is stored as JSON; an empty text for an empty list.
#[derive(Debug, Clone)]
pub(crate) struct JsonList<T>(pub Vec<T>);

impl<T> Default for JsonList<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> From<Vec<T>> for JsonList<T> {
    fn from(values: Vec<T>) -> Self {
        Self(values)
    }
}

impl<T: Serialize + DeserializeOwned> SettingValue for JsonList<T> {
    fn from_text(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self::default()) } else { serde_json::from_str(text).ok().map(Self) }
    }

    fn to_text(&self) -> String {
        if self.0.is_empty() { String::new() } else { serde_json::to_string(&self.0).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Role;

    #[test]
    fn what_is_written_is_read_again() {
        fn same<T: SettingValue + PartialEq + std::fmt::Debug>(value: T, text: &str) {
            assert_eq!(value.to_text(), text);
            assert_eq!(T::from_text(text), Some(value));
        }
        same(true, "1");
        same(false, "0");
        same(Cursor(7), "7");
        same(SiteId(3), "3");
        same(Role::Central, "central");
        same(None::<u64>, "");
        same(Some(9_u64), "9");
        same(
            Timestamp::from_unix_millis(1_764_336_000_000),
            &Timestamp::from_unix_millis(1_764_336_000_000).to_string(),
        );
        assert_eq!(
            (JsonList::<u64>(Vec::new()).to_text(), JsonList(vec![1, 2]).to_text()),
            (String::new(), "[1,2]".into())
        );
        assert_eq!(JsonList::<u64>::from_text("[1,2]").map(|list| list.0), Some(vec![1, 2]));
    }

    #[test]
    fn what_cannot_be_one_is_none() {
        assert_eq!((Cursor::from_text(""), Cursor::from_text("-1")), (None, None));
        assert_eq!(Role::from_text("other"), None);
        assert_eq!(Option::<Cursor>::from_text("x"), None);
        assert!(StoredJson::<u64>::from_text("").is_none() && JsonList::<u64>::from_text("{}").is_none());
        assert_eq!(
            (numbers::<2>("1 2"), numbers::<2>("1 2 3"), numbers::<2>("1")),
            (Some([Cursor(1), Cursor(2)]), None, None)
        );
        assert_eq!(bool::from_text("true"), Some(false));
    }
}
