//! A host's own texts in the place of the library's: of errors, findings, messages, words and names of checks.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::error::catalogue::declared;
use crate::error::{Error, Result};
#[cfg(feature = "support")]
use crate::support::doctor;
use crate::text::sentences::input;
use crate::text::{
    Declared, Detail, Localize, Message, MessageTemplate, filled, placeholders, quoted, sentences, words,
};

/// The group of words in sentences, such as `the central server`.
const WORDS: &str = "words";

/// The group of names of facts and columns, and of single words.
const LABELS: &str = "labels";

/// The texts that a host shows: its own English in the place of the library's, and a translation over both.
///
/// The library's texts name no command and no button. A host that has some gives its own advices ([`of_host`](Self::of_host)):
/// a [`MessageTemplate`] with the group and the name of a text of the library replaces that text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// The translation.
    groups: Groups,
    /// The host's English for texts of the library.
    replaced: Groups,
}

/// Texts by group and name.
type Groups = BTreeMap<String, BTreeMap<String, String>>;

impl Texts {
    /// The English of the library and of a host, without a translation. A text of `own` with the group and the name of a text of
    /// the library replaces it; its placeholders must be among those of the text that it replaces.
    pub fn of_host(own: &[MessageTemplate]) -> Self {
        let library: BTreeSet<_> = of_library().iter().map(key).collect();
        let replaced = grouped(own.iter().filter(|text| library.contains(&key(text))));
        Self { groups: Groups::new(), replaced }
    }

    /// Reads a translation: a JSON object of groups, each an object of texts by name. A group is the code of an error, with
    /// `message`, `advice` and `cause`, or one of the other groups of [`english`](Self::english). `words` translates English words
    /// in details, `labels` translates names and words that stand alone. A text that is left out is shown in English.
    /// `own` are the host's texts, as in [`of_host`](Self::of_host).
    ///
    /// # Errors
    /// [`Error::BadInput`]: it is no such object, names a text that there is not, or a detail that the text does not have.
    pub fn parse(json: &str, own: &[MessageTemplate]) -> Result<Self> {
        let groups: Groups =
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
        Ok(Self { groups, ..Self::of_host(own) })
    }

    /// All English texts in the form that [`parse`](Self::parse) reads, for translators to begin with.
    pub fn english(own: &[MessageTemplate]) -> Self {
        Self { groups: grouped(all(own).iter()), ..Self::of_host(own) }
    }

    /// These texts with some of them changed, such as commands that need a flag more. `change` gets each text, translated where it is,
    /// and returns the text to show in its place; `own` are the host's texts.
    #[must_use]
    pub fn changed(
        mut self,
        own: &[MessageTemplate],
        change: impl Fn(&MessageTemplate, &str) -> Option<String>,
    ) -> Self {
        for template in all(own) {
            let (group, name) = (template.group, template.name);
            let is_translated = self.translation(group, name).is_some();
            if let Some(text) = change(&template, self.of(group, name).unwrap_or(template.english)) {
                let texts = if is_translated { &mut self.groups } else { &mut self.replaced };
                texts.entry(group.to_owned()).or_default().insert(name.to_owned(), text);
            }
        }
        self
    }

    /// True if there is a translation.
    pub fn is_translated(&self) -> bool {
        !self.groups.is_empty()
    }

    /// These texts, and those of `other` that are missing here.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        add_missing(&mut self.groups, other.groups);
        add_missing(&mut self.replaced, other.replaced);
        self
    }

    /// The translation, by group and name.
    pub fn groups(&self) -> &BTreeMap<String, BTreeMap<String, String>> {
        &self.groups
    }

    /// The text in the place of the library's: the translation, or else the host's own English.
    pub fn of(&self, group: &str, name: &str) -> Option<&str> {
        self.translation(group, name).or_else(|| Some(self.replaced.get(group)?.get(name)?))
    }

    fn translation(&self, group: &str, name: &str) -> Option<&str> {
        self.groups.get(group)?.get(name).map(String::as_str)
    }

    /// The translation of a word in a sentence.
    fn word<'a>(&'a self, english: &'a str) -> &'a str {
        self.of(WORDS, english).unwrap_or(english)
    }

    /// The translation of the name of a check, a fact or a column, or of a word that stands alone.
    pub fn label<'a>(&'a self, english: &'a str) -> &'a str {
        self.of(LABELS, english).or_else(|| self.of(WORDS, english)).unwrap_or(english)
    }

    /// The text of a message.
    pub fn say(&self, message: &Message) -> String {
        let (group, name) = (message.template.group, message.template.name);
        let is_translated = self.translation(group, name).is_some();
        filled(self.of(group, name).unwrap_or(message.template.english), &message.details, &|detail| match detail {
            // Words in an English sentence stay English.
            Detail::Plain(text) if is_translated => self.word(text).to_owned(),
            Detail::Plain(text) => text.clone(),
            Detail::Message(message) => self.say(message),
        })
    }

    /// Puts these texts into every message in something.
    pub fn translate(&self, whole: &mut dyn Localize) {
        if *self != Self::default() {
            whole.each_message(&mut |message| message.translated = Some(self.say(message)));
        }
    }

    /// What happened.
    pub fn message(&self, error: &Error) -> String {
        self.say(&Message::of(error))
    }

    /// The advice.
    pub fn advice(&self, error: &Error) -> Cow<'_, str> {
        self.advice_for(error.code(), error.advice())
    }

    /// The advice for a stored error of this code, whose English advice is given.
    pub fn advice_for<'a>(&'a self, code: &str, english: &'a str) -> Cow<'a, str> {
        self.of(code, "advice").unwrap_or(english).into()
    }

    /// The texts without a translation, as `group.name`.
    pub fn missing(&self, own: &[MessageTemplate]) -> Vec<String> {
        let is_missing = |template: &&MessageTemplate| self.translation(template.group, template.name).is_none();
        all(own).iter().filter(is_missing).map(|template| format!("{}.{}", template.group, template.name)).collect()
    }
}

/// The texts of the library and of a host; replaced ones in the host's English.
fn all(own: &[MessageTemplate]) -> Vec<MessageTemplate> {
    let mut all = of_library();
    let places: BTreeMap<_, _> = all.iter().enumerate().map(|(place, text)| (key(text), place)).collect();
    for text in own {
        match places.get(&key(text)) {
            Some(place) => all[*place] = *text,
            None => all.push(*text),
        }
    }
    all
}

fn key(text: &MessageTemplate) -> (&'static str, &'static str) {
    (text.group, text.name)
}

fn grouped<'t>(texts: impl Iterator<Item = &'t MessageTemplate>) -> Groups {
    let mut groups = Groups::new();
    for text in texts {
        groups.entry(text.group.into()).or_default().insert(text.name.into(), text.english.into());
    }
    groups
}

fn add_missing(groups: &mut Groups, others: Groups) {
    for (group, texts) in others {
        let ours = groups.entry(group).or_default();
        texts.into_iter().for_each(|(name, text)| {
            ours.entry(name).or_insert(text);
        });
    }
}

/// All texts of the library.
fn of_library() -> Vec<MessageTemplate> {
    let of_error = |declared: &Declared| {
        let texts = [("message", declared.message), ("cause", declared.cause), ("advice", declared.advice)];
        texts.map(|(name, english)| MessageTemplate::new(declared.code, name, english))
    };
    // Words and names are their own names.
    let words = words::all().map(|word| MessageTemplate::new(WORDS, word, word));
    #[cfg(feature = "support")]
    let checks = doctor::OF_FILE
        .iter()
        .chain([&doctor::APP])
        .chain(doctor::NAMES)
        .map(|name| MessageTemplate::new(LABELS, name, name));
    #[cfg(not(feature = "support"))]
    let checks = std::iter::empty();
    declared().flat_map(of_error).chain(sentences::ALL.iter().copied()).chain(words).chain(checks).collect()
}

#[cfg(test)]
mod tests;
