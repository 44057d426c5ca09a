//! The user as whom this program runs, for errors of files that this user may not open.

use std::io::ErrorKind;

/// Names the user, where the rights of a user are what failed; empty for another error.
pub(crate) fn user_in_words(error: &std::io::Error) -> String {
    let denied = (error.kind() == ErrorKind::PermissionDenied).then(user).flatten();
    denied.map_or_else(String::new, |user| format!(" (this program runs as the user {user})"))
}

/// The name of the user as whom this program runs, or the number of a user without a name; `None` where it cannot be known.
#[cfg(unix)]
pub(crate) fn user() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    // Each belongs to the user whose rights count when a file is opened.
    let of_process = std::fs::metadata("/proc/self").or_else(|_| tempfile::tempfile()?.metadata());
    let number = of_process.ok()?.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(name_of(&number, &users).unwrap_or(&number).to_owned())
}

#[cfg(not(unix))]
pub(crate) fn user() -> Option<String> {
    std::env::var("USERNAME").ok()
}

/// The name of a user in the text of `/etc/passwd`.
#[cfg(unix)]
fn name_of<'u>(number: &str, users: &'u str) -> Option<&'u str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then_some(name)
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_name_of_its_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# nobody:x:7\noms-sync:x:998:998::/var/lib/oms-sync:/bin/false\n";
        assert_eq!([name_of("998", users), name_of("0", users)], [Some("oms-sync"), Some("root")]);
        assert_eq!([name_of("1", users), name_of("99", users), name_of("998", "")], [None; 3]);
        assert!(user().is_some_and(|user| !user.is_empty()));
        let denied = std::io::Error::from(ErrorKind::PermissionDenied);
        assert!(user_in_words(&denied).starts_with(" (this program runs as the user "));
        assert_eq!(user_in_words(&ErrorKind::NotFound.into()), "");
    }
}
