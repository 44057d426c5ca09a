//! Messages: templates with their details, shown in English or in the texts of a host ([`Texts`](crate::Texts)).

use std::fmt;

use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::redaction::one_line;

/// A text in the list of a crate. `{name}` in it stands for a detail, and `{name|file|files}` for the first word where that detail is 1, otherwise
/// for the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageTemplate {
    /// The group of the text: the code of an error, or a part of the program.
    pub group: &'static str,
    /// The name within the group.
    pub name: &'static str,
    /// The text in English.
    pub english: &'static str,
}

impl MessageTemplate {
    /// A text of a list; see [`sentences!`](crate::sentences).
    pub const fn new(group: &'static str, name: &'static str, english: &'static str) -> Self {
        Self { group, name, english }
    }
}

/// The value of a `{name}` in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// A name, a number, an address; or words, which a host may translate.
    Plain(String),
    /// A message within the message.
    Message(Box<Message>),
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

/// A time as people read it.
impl From<Timestamp> for Detail {
    fn from(at: Timestamp) -> Self {
        Self::Plain(at.for_people())
    }
}

impl From<Message> for Detail {
    fn from(message: Message) -> Self {
        Self::Message(Box::new(message))
    }
}

impl From<&Message> for Detail {
    fn from(message: &Message) -> Self {
        message.clone().into()
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => f.write_str(&one_line(text)),
            Self::Message(message) => message.fmt(f),
        }
    }
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A template with its details. It is shown, and serialised, in English, or in the text that
/// [`Texts::translate`](crate::Texts::translate) gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub(crate) template: MessageTemplate,
    pub(crate) details: Vec<(&'static str, Detail)>,
    pub(crate) translated: Option<String>,
}

impl Message {
    /// A message from a template, with a detail for each name in it.
    pub fn new(template: MessageTemplate, details: Vec<(&'static str, Detail)>) -> Self {
        debug_assert!(
            placeholders(template.english).iter().all(|name| details.iter().any(|(known, _)| known == name)),
            "{}.{} has all its details",
            template.group,
            template.name
        );
        Self { template, details, translated: None }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.translated {
            Some(text) => f.write_str(text),
            None => f.write_str(&filled(self.template.english, &self.details, &ToString::to_string)),
        }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value that holds messages.
pub trait Localize {
    /// Calls `each` with every message in it.
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message));
}

impl Localize for Message {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        each(self);
    }
}

impl Localize for Detail {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        if let Self::Message(message) = self {
            each(message);
        }
    }
}

impl<T: Localize> Localize for Vec<T> {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.iter_mut().for_each(|one| one.each_message(each));
    }
}

impl<T: Localize> Localize for Option<T> {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.iter_mut().for_each(|one| one.each_message(each));
    }
}

/// A template with its details filled in, in one pass: a detail is never read as a template itself, and begins no new
/// line.
pub(crate) fn filled(template: &str, details: &[(&'static str, Detail)], say: &dyn Fn(&Detail) -> String) -> String {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, name, after)) = next_placeholder(rest) {
        text.push_str(before);
        let (name, forms) = name_and_forms(name);
        match (details.iter().find(|(known, _)| *known == name), forms) {
            (Some((_, detail)), Some((one, many))) => text.push_str(if say(detail) == "1" { one } else { many }),
            (Some((_, detail @ Detail::Plain(_))), None) => text.push_str(&one_line(&say(detail))),
            (Some((_, detail)), None) => text.push_str(&say(detail)),
            (None, _) => text.push_str(&format!("{{{name}}}")),
        }
        rest = after;
    }
    text + rest
}

/// The first `{name}` of a template, with the text before and after it.
fn next_placeholder(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

/// The name between braces, and its words for one and for more.
fn name_and_forms(name: &str) -> (&str, Option<(&str, &str)>) {
    match name.split_once('|') {
        Some((name, forms)) => (name, forms.split_once('|')),
        None => (name, None),
    }
}

/// The names in a template, each once.
pub(crate) fn placeholders(mut template: &str) -> Vec<&str> {
    let mut names = Vec::new();
    while let Some((_, name, after)) = next_placeholder(template) {
        let (name, _) = name_and_forms(name);
        if !names.contains(&name) {
            names.push(name);
        }
        template = after;
    }
    names
}

/// Makes the list of a crate's texts, in groups: a function for each text, which takes its details and gives a
/// [`Message`], and `ALL`, every [`MessageTemplate`].
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
        /// Every template.
        pub(crate) const ALL: &[$crate::text::MessageTemplate] = &[$($(
            $crate::text::MessageTemplate::new(stringify!($group), stringify!($name), $english),
        )*)*];
        $(
            $(#[$group_doc])*
            pub(crate) mod $group {
                $(
                    $(#[$doc])*
                    pub(crate) fn $name($($detail: impl Into<$crate::text::Detail>),*) -> $crate::Message {
                        const TEMPLATE: $crate::text::MessageTemplate =
                            $crate::text::MessageTemplate::new(stringify!($group), stringify!($name), $english);
                        $crate::Message::new(TEMPLATE, vec![$((stringify!($detail), $detail.into())),*])
                    }
                )*
            }
        )*
    };
}
