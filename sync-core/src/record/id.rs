//! Names and numbers that must not be mixed up, each a type of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is; nothing is checked or changed.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Gives the text back.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }
    };
}

text_id! {
    /// The wire name of a table, such as `asset` or `Location`; case counts.
    TableName
}
text_id! {
    /// The id of a record inside its table. Ids of different tables may be equal (`name` and `name_oms_fields` share
    /// theirs), so nothing is ever keyed by this alone.
    RecordId
}
text_id! {
    /// The id of a store.
    StoreId
}
text_id! {
    /// The id of a name: a facility, a patient or another party.
    NameId
}

impl RecordId {
    /// The longest id that is integrated, in bytes. Real ids have 32 or 36; composed ones stay below 200.
    pub const BYTES_MAX: usize = 255;
}

/// The number of a site on the legacy server (`siteId`); decides which stores are active where.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SiteId(pub i32);

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in a changelog; always the *next to read*, so a fresh one is 0 and reading is inclusive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Reads a position that was stored as text. None is stored that is beyond the range of every server's row numbers.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self).filter(|cursor| cursor.is_possible())
    }

    /// Whether it is within the range of every server's row numbers; one that goes beyond would never come back.
    pub(crate) fn is_possible(self) -> bool {
        self.0 < i64::MAX as u64
    }

    /// The position after this one; stays where it is at the end of the range.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
