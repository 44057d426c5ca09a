//! Everything that this program says in English beside what the library says: `group { name(details) = "text"; }`.

mod commands;
mod foreign;

use sync_core::Sentence;

pub(crate) use self::commands::*;
pub(crate) use self::foreign::*;

/// Every sentence.
pub(crate) const ALL: &[Sentence] =
    &joined::<{ commands::ALL.len() + foreign::ALL.len() }>(commands::ALL, foreign::ALL);

const fn joined<const COUNT: usize>(one: &[Sentence], other: &[Sentence]) -> [Sentence; COUNT] {
    let mut all = [one[0]; COUNT];
    let mut i = 0;
    while i < COUNT {
        all[i] = if i < one.len() { one[i] } else { other[i - one.len()] };
        i += 1;
    }
    all
}

/// So many records.
pub(crate) fn records(count: u64) -> sync_core::Said {
    if count == 1 { common::one_record() } else { common::records(count) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sync_core::Texts;

    #[test]
    fn every_text_has_a_name_of_its_own_beside_those_of_the_library() {
        let count = |own: &[sync_core::Sentence]| Texts::english(own).groups().values().map(|texts| texts.len()).sum();
        let (all, of_library): (usize, usize) = (count(ALL), count(&[]));
        assert_eq!(all, of_library + ALL.len());
        let of_library = Texts::english(&[]);
        for sentence in ALL {
            assert!(!of_library.groups().contains_key(sentence.group), "{} is a group of the library", sentence.group);
            assert!(!sentence.english.contains("  "), "{}.{} is one line", sentence.group, sentence.name);
        }
        assert!(ALL.iter().all(|sentence| sentence.group != "words"));
    }
}
