//! An argument of a command in a text.

use std::borrow::Cow;

/// An argument as it can be typed again: in quotation marks, if a shell would take it apart or change it.
pub(crate) fn argument(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:=@,%".contains(c);
    match text {
        plain if !plain.is_empty() && plain.chars().all(is_plain) => plain.into(),
        // Within these marks a shell of Unix changes nothing.
        marked if marked.contains(['"', '$', '`', '\\', '!']) => format!("'{}'", marked.replace('\'', r"'\''")).into(),
        simple => format!("\"{simple}\"").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_can_be_typed_again() {
        for (text, typed) in [
            ("clinic-7", "clinic-7"),
            ("Clinic 2, dispensary", "\"Clinic 2, dispensary\""),
            ("Côte_d'Ivoire", "\"Côte_d'Ivoire\""),
            ("the \"new\" one's", r#"'the "new" one'\''s'"#),
            ("$HOME", "'$HOME'"),
            ("", "\"\""),
        ] {
            assert_eq!(argument(text), typed);
        }
    }
}
