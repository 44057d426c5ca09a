use super::*;
use crate::text::placeholders;

#[test]
fn every_error_has_its_texts_and_every_message_all_its_details() {
    for error in Error::examples() {
        let text = error.declared();
        let details = error.details();
        for part in [text.message, text.cause, text.advice] {
            assert!(!part.is_empty(), "{}", error.code());
        }
        let named: Vec<&str> = details.iter().map(|(name, _)| *name).collect();
        assert_eq!(sorted(placeholders(text.message)), sorted(named), "{}", error.code());
        assert!(details.iter().all(|(_, value)| !value.to_string().is_empty()), "{}", error.code());
        assert!(placeholders(text.advice).is_empty() && placeholders(text.cause).is_empty());
    }
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

#[test]
fn names_are_quoted_so_that_a_message_stays_one_line() {
    let site = "a\"b\nc\\\"".to_owned();
    let error = Error::WrongPassword { site: site.clone() };
    assert_eq!(error.to_string(), format!("the password of site {site:?} is wrong"));
}
