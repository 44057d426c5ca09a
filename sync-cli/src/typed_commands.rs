//! Commands in texts, with the options that they need so that they can be typed as they stand: the database, and the file with its key.

use std::borrow::Cow;
use std::path::Path;

use sync_core::Texts;

use crate::args::{Args, Command, WITHOUT_DATABASE};
use crate::sentences;

/// How a command begins in a text.
const NAME: &str = "oms-sync ";

/// These texts, whose commands name the database of the flags.
pub(crate) fn in_texts(texts: Texts, args: &Args) -> Texts {
    // What `errors` prints is for translators and readers of any database, and a bundle is read on another machine.
    if matches!(args.command, Command::Errors { .. } | Command::Bundle(_)) {
        return texts;
    }
    match options_of(args) {
        Some(options) => texts.changed(&sentences::all(), |_, text| with_options(text, &options)),
        None => texts,
    }
}

/// The options that commands have to repeat; `None` if they need none.
fn options_of(args: &Args) -> Option<String> {
    let db = Some(&*args.db).filter(|db| !is_usual(db, "oms-sync.sqlite", "OMS_SYNC_DB"));
    let key = args.db_key_file.as_deref().filter(|key| !is_usual(key, "", "OMS_SYNC_DB_KEY_FILE"));
    let mut options = String::new();
    for (flag, path) in [("--db", db), ("--db-key-file", key)] {
        let Some(path) = path else { continue };
        options += &format!("{flag} {} ", quoted(path.to_str()?)?);
    }
    (!options.is_empty()).then_some(options)
}

/// True for what a command takes by itself.
fn is_usual(path: &Path, usual: &str, variable: &str) -> bool {
    path == Path::new(usual) || std::env::var_os(variable).is_some_and(|of| of == path)
}

/// A path as a shell takes it; `None` if it cannot stand in a text.
fn quoted(path: &str) -> Option<Cow<'_, str>> {
    // Braces would be read as the place of a detail, and line ends would forge lines.
    if path.contains(|c: char| matches!(c, '{' | '}') || c.is_control()) {
        return None;
    }
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:=@,%~\\".contains(c);
    Some(if path.chars().all(is_plain) { path.into() } else { in_quotes(path).into() })
}

/// A name as every shell of Unix takes it.
pub(crate) fn in_quotes(name: &str) -> String {
    format!("'{}'", name.replace('\'', r"'\''"))
}

/// A text with these options in each command that uses the database; `None` if there is none.
fn with_options(text: &str, options: &str) -> Option<String> {
    let mut parts = text.split(NAME);
    let mut named = parts.next()?.to_owned();
    let before = text.len();
    for part in parts {
        let is_command = part.starts_with(|c: char| c.is_ascii_lowercase());
        let before_set_up = ["doctor --legacy-url", "net --legacy-url"];
        let is_without = WITHOUT_DATABASE.iter().chain(&before_set_up).any(|name| part.starts_with(name));
        // On another machine the database has another name.
        let clause = named.rsplit([';', '.']).next().unwrap_or_default();
        let is_elsewhere = clause.contains("there: ");
        named += NAME;
        if is_command && !is_without && !is_elsewhere {
            named += options;
        }
        named += part;
    }
    (named.len() > before).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> String {
        with_options(text, "--db x.sqlite ").unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn commands_that_use_the_database_name_it_and_others_do_not() {
        for (text, shown) in [
            ("Run `oms-sync sync`.", "Run `oms-sync --db x.sqlite sync`."),
            (
                "`oms-sync log list`, oms-sync status",
                "`oms-sync --db x.sqlite log list`, oms-sync --db x.sqlite status",
            ),
            (
                "there: oms-sync explain a; here oms-sync sync",
                "there: oms-sync explain a; here oms-sync --db x.sqlite sync",
            ),
            (
                "at central, there: `oms-sync explain`, or `oms-sync log list`.",
                "at central, there: `oms-sync explain`, or `oms-sync log list`.",
            ),
            ("oms-sync inspect FILE", "oms-sync inspect FILE"),
            ("Without it: oms-sync net --legacy-url URL", "Without it: oms-sync net --legacy-url URL"),
            ("oms-sync --db there serve", "oms-sync --db there serve"),
        ] {
            assert_eq!(named(text), shown);
        }
    }

    /// Each text of the program that names a command of the database is changed, wherever it is printed.
    #[test]
    fn every_text_with_a_command_names_the_database() {
        let all = sentences::all();
        let texts = sentences::english().changed(&all, |_, text| with_options(text, "--db x.sqlite "));
        // In these a command is typed at the other end, or before there is a database.
        const ELSEWHERE: [&str; 7] = [
            "not_here",
            "not_here_own",
            "not_at_central",
            "not_taken_advice",
            "without_database",
            "files_lost",
            "other_site",
        ];
        let mut commands = 0;
        for template in &all {
            let text = texts.of(template.group, template.name).unwrap_or(template.english);
            for rest in text.split(NAME).skip(1) {
                let is_without = WITHOUT_DATABASE.iter().any(|name| rest.starts_with(name));
                let is_elsewhere = [template.name, template.group].iter().any(|name| ELSEWHERE.contains(name));
                let names_it = rest.starts_with("--db ") || is_without || is_elsewhere;
                assert!(names_it, "{}.{}: {text}", template.group, template.name);
                commands += 1;
            }
        }
        assert!(commands > 60, "{commands}");
    }

    #[test]
    fn paths_are_quoted_as_a_shell_takes_them() {
        let shown = |path| quoted(path).map(Cow::into_owned);
        assert_eq!(shown("/var/lib/a b.sqlite").as_deref(), Some("'/var/lib/a b.sqlite'"));
        assert_eq!(shown("it's.sqlite").as_deref(), Some(r"'it'\''s.sqlite'"));
        assert_eq!(shown("/var/lib/oms-sync/site.sqlite").as_deref(), Some("/var/lib/oms-sync/site.sqlite"));
        assert_eq!(shown("$(id).sqlite").as_deref(), Some("'$(id).sqlite'"));
        assert_eq!((shown("{db}"), shown("a\nb")), (None, None));
    }
}
