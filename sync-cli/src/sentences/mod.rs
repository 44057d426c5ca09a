//! The English texts of this program: `group { name(details) = "text"; }`.

mod administration;
mod advice;
mod backups;
mod commands;
mod foreign;
mod names;
mod support;

use std::sync::LazyLock;

use sync_core::Texts;
use sync_core::text::MessageTemplate;

pub(crate) use self::administration::{serving, set_up_shown, sites_shown};
pub(crate) use self::backups::backup_shown;
pub(crate) use self::commands::*;
pub(crate) use self::foreign::*;
pub(crate) use self::support::*;

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
        .chain(support::ALL)
        .chain(oms_sync_inspect::sentences())
        .chain(oms_sync_server::sentences())
        .copied()
}

/// True if a translation can contain this name of a fact, a check or a column, or this single word.
pub(crate) fn is_named(name: &str) -> bool {
    static ENGLISH: LazyLock<Texts> = LazyLock::new(|| Texts::english(&all()));
    ["labels", "words"].into_iter().any(|group| ENGLISH.of(group, name).is_some())
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

    /// A detail, and then a word that fits only a number other than 1: `{count} files`. One adjective may be between.
    fn unnumbered(text: &str) -> Option<String> {
        const NOUNS: [&str; 37] = [
            "addresses",
            "backups",
            "batches",
            "causes",
            "changes",
            "checks",
            "columns",
            "connections",
            "copies",
            "cycles",
            "days",
            "edits",
            "entries",
            "errors",
            "fields",
            "files",
            "folders",
            "hours",
            "keys",
            "lines",
            "links",
            "machines",
            "minutes",
            "names",
            "pages",
            "patients",
            "positions",
            "questions",
            "records",
            "requests",
            "rows",
            "seconds",
            "sites",
            "stores",
            "texts",
            "times",
            "tries",
        ];
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).find_map(|(name, after)| {
            let words = after.strip_prefix(' ')?.split(|c: char| !c.is_ascii_lowercase()).take(2);
            let noun = words.into_iter().find(|word| NOUNS.contains(word))?;
            // Names, before a verb.
            let is_number = !name.contains('|') && !["release", "server", "variable"].contains(&name);
            is_number.then(|| format!("{{{name}}} {noun}"))
        })
    }

    /// A name that no translation can contain stops a debug build.
    #[test]
    fn every_fact_of_a_decoded_message_is_in_the_list_of_names() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("inspect/src/decode");
        let mut found = 0;
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
            for of in ["fact(\"", "facts.insert(0, (\""] {
                for name in text.split(of).skip(1).filter_map(|rest| rest.split('"').next()) {
                    assert!(is_named(name), "{name:?}");
                    found += 1;
                }
            }
        }
        assert!(found > 30, "{found}");
    }

    #[test]
    fn every_counted_word_has_a_form_for_one() {
        let mut wrong = Vec::new();
        for (group, texts) in Texts::english(&all()).groups() {
            for (name, text) in texts {
                wrong.extend(unnumbered(text).map(|found| format!("{group}.{name}: {found}")));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let said = [0, 1, 2].map(|count: u64| files_shown::sound(count, "2 kB").to_string());
        assert_eq!(said, ["0 files are sound (2 kB)", "1 file is sound (2 kB)", "2 files are sound (2 kB)"]);
    }
}
