//! Names and numbers that must not be confused, each with its own type.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text unchanged and unchecked.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Returns the text.
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

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                Self::new(text)
            }
        }

        impl From<&Self> for $name {
            fn from(same: &Self) -> Self {
                same.clone()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl From<&$name> for String {
            fn from(id: &$name) -> Self {
                id.0.clone()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }
    };
}

text_id! {
    /// The wire name of a table, such as `asset` or `Location`; case counts.
    TableName
}
text_id! {
    /// The id of a record in its table. Ids of different tables may be equal (`name` and `name_oms_fields` share
    /// theirs), so it is never a key on its own. The ids of one record type are a [`TypedId`](super::TypedId).
    #[derive(Default)]
    RecordId
}
text_id! {
    /// The id of a store.
    #[derive(Default)]
    StoreId
}

impl RecordId {
    /// The longest id that is integrated, in bytes. Real ids have 32 or 36; composed ones stay below 200.
    pub const BYTES_MAX: usize = 255;

    /// An id for a new record: a random UUID (version 4), written as Open mSupply writes its own.
    ///
    /// ```
    /// use sync_core::record::{AssetClass, AssetClassId};
    ///
    /// let class = AssetClass { id: AssetClassId::generate(), name: "Cold chain".into(), ..AssetClass::default() };
    /// assert_eq!(class.id.as_str().len(), 36);
    /// ```
    pub fn generate() -> Self {
        Self(uuid::Uuid::new_v4().hyphenated().to_string())
    }
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
    /// Reads a stored position. Positions beyond the range of every server's row numbers are never stored.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self).filter(|cursor| cursor.is_possible())
    }

    /// True if it is in the range of every server's row numbers; a cursor beyond it would never come back.
    pub(crate) fn is_possible(self) -> bool {
        self.0 < i64::MAX as u64
    }

    /// The end of the positions of sites of Open mSupply 2.x, which store them as signed 32-bit numbers.
    pub(crate) const SITES_END: u64 = 1 << 31;

    /// The position that a site means by this one, in a changelog whose newest row is `newest`. A position that a site
    /// stored in 32 bits comes back as a negative number: it means the largest position with the same low 32 bits that
    /// the site can have received. If there is none, the number is taken literally, beyond the end.
    #[must_use]
    pub(crate) fn meant(self, newest: Self) -> Self {
        const ROUND: u64 = 1 << 32;
        // The 64-bit form of a negative 32-bit number.
        let is_negative = self.0 > u64::MAX - Self::SITES_END;
        let end = newest.next().0;
        let low = self.0 % ROUND;
        if !is_negative || low > end || planted!(NegativeCursorsAreBeyond) {
            return self;
        }
        let highest = end - end % ROUND + low;
        Self(if highest > end { highest - ROUND } else { highest })
    }

    /// The next position; the end of the range stays.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_that_was_kept_in_32_bits_is_understood() {
        let half = 1_u64 << 31;
        let kept = |position: u64| Cursor(i64::from(position as u32 as i32) as u64);
        for (position, newest) in [
            (half, half - 1),
            (half + 453, half + 1000),
            (2 * half - 1, 2 * half + 5),
            (3 * half + 7, 3 * half + 7),
            (3 * half + 7, 4 * half),
            (5 * half, 5 * half - 1),
        ] {
            assert_eq!(kept(position).meant(Cursor(newest)), Cursor(position), "{position} of {newest}");
        }
        assert_eq!(Cursor(18_446_744_071_562_068_041).meant(Cursor(half + 5000)), Cursor(half + 73));
        // An ordinary one, also beyond the end, and one without meaning here.
        for (asked, newest) in [(0, 9), (7, 9), (10_000, 9), (i64::MAX as u64, 9), (1 << 63, 9), (u64::MAX, 9)] {
            assert_eq!(Cursor(asked).meant(Cursor(newest)), Cursor(asked), "{asked} of {newest}");
        }
    }
}
