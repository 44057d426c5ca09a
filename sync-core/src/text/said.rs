//! A sentence with its details, which can be said in English or in the words of a host's [`Texts`](crate::Texts).

use std::fmt;

use serde::{Serialize, Serializer};

use crate::redaction::one_line;

/// A sentence as it stands in the one list of its crate. `{name}` in it stands for a detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sentence {
    /// What it belongs to: a code of an error, or a part of the program.
    pub group: &'static str,
    /// Its name within the group.
    pub name: &'static str,
    /// The sentence in English.
    pub english: &'static str,
}

impl Sentence {
    /// A sentence of a list; see [`sentences!`](crate::sentences).
    pub const fn new(group: &'static str, name: &'static str, english: &'static str) -> Self {
        Self { group, name, english }
    }
}

/// What stands in a sentence in the place of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// A name, a number, an address; or words, which a host may say otherwise.
    Plain(String),
    /// A sentence or a part of one.
    Said(Box<Said>),
}

macro_rules! plain {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Detail {
            fn from(detail: $kind) -> Self {
                Self::Plain(detail.to_string())
            }
        }
    )*};
}
plain!(String, &String, &str, u16, u32, u64, u128, i32, i64, usize);

impl From<Said> for Detail {
    fn from(said: Said) -> Self {
        Self::Said(Box::new(said))
    }
}

impl From<&Said> for Detail {
    fn from(said: &Said) -> Self {
        said.clone().into()
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => f.write_str(&one_line(text)),
            Self::Said(said) => said.fmt(f),
        }
    }
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A sentence with its details. It is shown, and serialised, in English, or as [`Texts::translate`](crate::Texts::translate)
/// has said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub(crate) sentence: Sentence,
    pub(crate) details: Vec<(&'static str, Detail)>,
    pub(crate) translated: Option<String>,
}

impl Said {
    /// A sentence with a detail for each name in it.
    pub fn new(sentence: Sentence, details: Vec<(&'static str, Detail)>) -> Self {
        debug_assert!(
            placeholders(sentence.english).iter().all(|name| details.iter().any(|(known, _)| known == name)),
            "{}.{} has all its details",
            sentence.group,
            sentence.name
        );
        Self { sentence, details, translated: None }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.translated {
            Some(text) => f.write_str(text),
            None => f.write_str(&filled(self.sentence.english, &self.details, &ToString::to_string)),
        }
    }
}

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Something that holds sentences.
pub trait Speaks {
    /// Calls `each` with every sentence of it.
    fn each_said(&mut self, each: &mut dyn FnMut(&mut Said));
}

impl Speaks for Said {
    fn each_said(&mut self, each: &mut dyn FnMut(&mut Said)) {
        each(self);
    }
}

impl Speaks for Detail {
    fn each_said(&mut self, each: &mut dyn FnMut(&mut Said)) {
        if let Self::Said(said) = self {
            each(said);
        }
    }
}

impl<T: Speaks> Speaks for Vec<T> {
    fn each_said(&mut self, each: &mut dyn FnMut(&mut Said)) {
        self.iter_mut().for_each(|one| one.each_said(each));
    }
}

impl<T: Speaks> Speaks for Option<T> {
    fn each_said(&mut self, each: &mut dyn FnMut(&mut Said)) {
        self.iter_mut().for_each(|one| one.each_said(each));
    }
}

/// A template with its details filled in, in one pass: what is filled in is never read as a template itself, and begins no
/// line of its own.
pub(crate) fn filled(template: &str, details: &[(&'static str, Detail)], say: &dyn Fn(&Detail) -> String) -> String {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, name, after)) = next_placeholder(rest) {
        text.push_str(before);
        match details.iter().find(|(known, _)| *known == name) {
            Some((_, detail @ Detail::Plain(_))) => text.push_str(&one_line(&say(detail))),
            Some((_, detail)) => text.push_str(&say(detail)),
            None => text.push_str(&format!("{{{name}}}")),
        }
        rest = after;
    }
    text + rest
}

/// The first `{name}` of a template, with what stands before and after it.
fn next_placeholder(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

/// The names in a template.
pub(crate) fn placeholders(mut template: &str) -> Vec<&str> {
    let mut names = Vec::new();
    while let Some((_, name, after)) = next_placeholder(template) {
        names.push(name);
        template = after;
    }
    names
}

/// Makes the list of a crate's sentences, in groups: a function for each sentence, which takes its details and gives a
/// [`Said`], and `ALL`, every [`Sentence`].
///
/// ```
/// mod texts {
///     sync_core::sentences! {
///         greeting {
///             hello(name) = "Good day, {name}.";
///             farewell() = "Good-bye.";
///         }
///     }
/// }
/// assert_eq!(texts::greeting::hello("Ann").to_string(), "Good day, Ann.");
/// assert_eq!(texts::ALL[1].english, "Good-bye.");
/// ```
#[macro_export]
macro_rules! sentences {
    ($($(#[$group_doc:meta])* $group:ident { $($(#[$doc:meta])* $name:ident($($detail:ident),*) = $english:expr;)* })*) => {
        /// Every sentence.
        pub(crate) const ALL: &[$crate::Sentence] = &[$($(
            $crate::Sentence::new(stringify!($group), stringify!($name), $english),
        )*)*];
        $(
            $(#[$group_doc])*
            pub(crate) mod $group {
                $(
                    $(#[$doc])*
                    pub(crate) fn $name($($detail: impl Into<$crate::Detail>),*) -> $crate::Said {
                        const SENTENCE: $crate::Sentence =
                            $crate::Sentence::new(stringify!($group), stringify!($name), $english);
                        $crate::Said::new(SENTENCE, vec![$((stringify!($detail), $detail.into())),*])
                    }
                )*
            }
        )*
    };
}
