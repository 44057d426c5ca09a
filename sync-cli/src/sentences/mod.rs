//! The English texts of this program: `group { name(details) = "text"; }`.

mod administration;
mod advice;
mod backups;
mod commands;
mod foreign;
mod names;

use sync_core::Texts;
use sync_core::text::MessageTemplate;

pub(crate) use self::administration::{serving, set_up_shown, sites_shown};
pub(crate) use self::backups::backup_shown;
pub(crate) use self::commands::*;
pub(crate) use self::foreign::*;

/// The texts of this program, with those that replace texts of the library.
pub(crate) fn all() -> Vec<MessageTemplate> {
    let names = names::all().map(|name| MessageTemplate::new("labels", name, name));
    own().chain(names).chain(advice::ALL.iter().copied()).collect()
}

/// The English of the library, with the advices of this program.
pub(crate) fn english() -> Texts {
    Texts::of_host(advice::ALL)
}

/// The texts of the program and of the crates below it.
fn own() -> impl Iterator<Item = MessageTemplate> {
    commands::ALL
        .iter()
        .chain(administration::ALL)
        .chain(backups::ALL)
        .chain(foreign::ALL)
        .chain(oms_sync_inspect::sentences())
        .chain(oms_sync_server::sentences())
        .copied()
}

/// True if a translation can contain this name of a fact, a check or a column, or this single word.
pub(crate) fn is_named(name: &str) -> bool {
    let texts = Texts::english(&all());
    ["labels", "words"].into_iter().any(|group| texts.of(group, name).is_some())
}

/// A number of records.
pub(crate) fn records(count: u64) -> sync_core::Message {
    if count == 1 { common::one_record() } else { common::records(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_a_name_of_its_own_beside_those_of_the_library() {
        let count = |own: &[MessageTemplate]| Texts::english(own).groups().values().map(|texts| texts.len()).sum();
        let (whole, of_library): (usize, usize) = (count(&all()), count(&[]));
        assert_eq!(whole, of_library + all().len() - advice::ALL.len());
        let library = Texts::english(&[]);
        for sentence in own() {
            assert!(!library.groups().contains_key(sentence.group), "{} is a group of the library", sentence.group);
            assert!(!sentence.english.contains("  "), "{}.{} is one line", sentence.group, sentence.name);
        }
    }
}
