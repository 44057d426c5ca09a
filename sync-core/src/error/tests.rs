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

#[test]
fn a_clone_says_the_same_down_to_its_causes_and_so_does_its_json() {
    let below = std::io::Error::other(std::io::Error::other("the root"));
    let deep = Error::Database { source: Box::new(std::io::Error::other(Error::Database { source: Box::new(below) })) };
    for error in Error::examples().into_iter().chain([deep]) {
        let clone = error.clone();
        assert_eq!(
            (clone.to_string(), clone.code(), clone.causes()),
            (error.to_string(), error.code(), error.causes())
        );
        let json = serde_json::to_value(&clone).unwrap();
        assert_eq!(json["code"], error.code());
        assert_eq!(json["causes"], serde_json::json!(error.causes()));
        assert_eq!(json["advice"], error.advice());
    }
}
