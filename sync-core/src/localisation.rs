//! A host's own words for everything that is said: errors, findings, messages, words and names of checks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::error::catalogue::declared;
use crate::error::{Error, Result};
use crate::support::doctor;
use crate::text::sentences::input;
use crate::text::{
    Declared, Detail, Localize, Message, MessageTemplate, filled, placeholders, quoted, sentences, words,
};

/// The group of words that stand in sentences, as `the central server`.
const WORDS: &str = "words";

/// The group of names that stand before or above what is said, and of words that stand alone.
const LABELS: &str = "labels";

/// A host's own words for everything that is said: those of another language, say. The empty one speaks English.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    groups: BTreeMap<String, BTreeMap<String, String>>,
}

impl Texts {
    /// Reads texts: a JSON object of groups, each an object of texts by name. A group is the code of an error, with `message`,
    /// `advice` and `cause`, or one of the other groups of [`english`](Self::english); `words` has what to say instead of
    /// English words in details, any of them, and `labels` names and words that stand alone. What is left out is said in English.
    /// `own` are the host's own texts.
    ///
    /// # Errors
    /// [`Error::BadInput`]: it is no such object, names a text that there is not, or a detail that the text does not have.
    pub fn parse(json: &str, own: &[MessageTemplate]) -> Result<Self> {
        let groups: BTreeMap<String, BTreeMap<String, String>> =
            serde_json::from_str(json).map_err(|error| Error::bad_input(input::no_texts(error.to_string())))?;
        let all = all(own);
        for (group, texts) in groups.iter().filter(|(group, _)| *group != WORDS) {
            if !all.iter().any(|template| template.group == group) {
                return Err(Error::bad_input(input::no_group(quoted(group))));
            }
            for (name, text) in texts {
                let Some(template) = all.iter().find(|known| known.group == group && known.name == name) else {
                    return Err(Error::bad_input(input::no_text(group, quoted(name))));
                };
                let known = placeholders(template.english);
                if let Some(unknown) = placeholders(text).into_iter().find(|name| !known.contains(name)) {
                    return Err(Error::bad_input(input::no_detail(group, name, format!("{{{unknown}}}"))));
                }
            }
        }
        Ok(Self { groups })
    }

    /// The English of everything that is said, in the form that [`parse`](Self::parse) reads: what a translation begins with.
    pub fn english(own: &[MessageTemplate]) -> Self {
        let mut texts = Self::default();
        for template in all(own) {
            texts
                .groups
                .entry(template.group.into())
                .or_default()
                .insert(template.name.into(), template.english.into());
        }
        texts
    }

    /// The same with what `other` has and this has not.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        for (group, texts) in other.groups {
            let ours = self.groups.entry(group).or_default();
            texts.into_iter().for_each(|(name, text)| {
                ours.entry(name).or_insert(text);
            });
        }
        self
    }

    /// All texts, by group and name.
    pub fn groups(&self) -> &BTreeMap<String, BTreeMap<String, String>> {
        &self.groups
    }

    /// The text that is given for a name in a group.
    pub fn of(&self, group: &str, name: &str) -> Option<&str> {
        self.groups.get(group)?.get(name).map(String::as_str)
    }

    /// A word within a sentence as it is to be said.
    fn word<'a>(&'a self, english: &'a str) -> &'a str {
        self.of(WORDS, english).unwrap_or(english)
    }

    /// The name of a check, a fact or a column, or a word that stands alone, as it is to be said.
    pub fn label<'a>(&'a self, english: &'a str) -> &'a str {
        self.of(LABELS, english).or_else(|| self.of(WORDS, english)).unwrap_or(english)
    }

    /// A message as it is to be said.
    pub fn say(&self, message: &Message) -> String {
        let given = self.of(message.template.group, message.template.name);
        filled(given.unwrap_or(message.template.english), &message.details, &|detail| match detail {
            // Within an English sentence words stay English.
            Detail::Plain(text) if given.is_some() => self.word(text).to_owned(),
            Detail::Plain(text) => text.clone(),
            Detail::Message(message) => self.say(message),
        })
    }

    /// Has every message in something said in these words.
    pub fn translate(&self, whole: &mut dyn Localize) {
        if !self.groups.is_empty() {
            whole.each_message(&mut |message| message.translated = Some(self.say(message)));
        }
    }

    /// What happened.
    pub fn message(&self, error: &Error) -> String {
        self.say(&Message::of(error))
    }

    /// What to do.
    pub fn advice(&self, error: &Error) -> Cow<'_, str> {
        self.advice_for(error.code(), error.advice())
    }

    /// What to do about an error of this code that was written down with its advice in English.
    pub fn advice_for<'a>(&'a self, code: &str, english: &'a str) -> Cow<'a, str> {
        self.of(code, "advice").unwrap_or(english).into()
    }

    /// The texts that are said in English still, as `group.name`.
    pub fn missing(&self, own: &[MessageTemplate]) -> Vec<String> {
        let is_missing = |template: &&MessageTemplate| self.of(template.group, template.name).is_none();
        all(own).iter().filter(is_missing).map(|template| format!("{}.{}", template.group, template.name)).collect()
    }
}

/// Everything that is said: of errors and findings, by this library, and by its host.
fn all(own: &[MessageTemplate]) -> Vec<MessageTemplate> {
    let of_error = |declared: &Declared| {
        let texts = [("message", declared.message), ("cause", declared.cause), ("advice", declared.advice)];
        texts.map(|(name, english)| MessageTemplate::new(declared.code, name, english))
    };
    // Words and names are their own names.
    let words = words::all().map(|word| MessageTemplate::new(WORDS, word, word));
    let checks = doctor::OF_FILE.iter().chain(doctor::NAMES).map(|name| MessageTemplate::new(LABELS, name, name));
    let of_library = declared().flat_map(of_error).chain(sentences::ALL.iter().copied()).chain(words).chain(checks);
    of_library.chain(own.iter().copied()).collect()
}

#[cfg(test)]
mod tests;
