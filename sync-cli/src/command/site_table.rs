//! The tables of `site import`: the sites and stores to add, and the passwords that were made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use oms_sync_inspect::database::unreadable;
use serde::{Deserialize, Serialize};
use sync_core::central::{SiteRegistry, Store};
use sync_core::clock::Timestamp;
use sync_core::{Error, Message, Result};

use crate::input::{TEXT_MAX, unjoined_text_of};
use crate::sentences::input_given as given;

/// A line of the table: a site, with a store or without.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// Its place in the file, from 1 on.
    #[serde(skip)]
    pub line: u64,
    pub site: String,
    #[serde(default)]
    pub store_code: String,
    #[serde(default)]
    pub store_name: String,
}

/// A line of the passwords' file.
#[derive(Debug, Deserialize, Serialize)]
struct SitePassword {
    site: String,
    password: String,
    /// When it was made. A file of an earlier version has no such column.
    #[serde(default)]
    made_at: String,
}

/// The lines of a table.
pub(super) fn wanted(file: &Path) -> Result<Vec<Wanted>> {
    let lines: Vec<(u64, Wanted)> = lines(file, &unjoined_text_of(file, TEXT_MAX)?)?;
    Ok(lines.into_iter().map(|(line, wanted)| Wanted { line, ..wanted }).collect())
}

/// Checks every line by the rules of `site add` and `store add`, so that an import changes all or nothing. `stores` are those that are
/// there already: they keep their names.
///
/// # Errors
/// [`Error::BadInput`] with the first line that cannot be added.
pub(super) fn check(file: &Path, lines: &[Wanted], stores: &[Store]) -> Result<()> {
    let mut lines_of_codes: BTreeMap<&str, u64> = BTreeMap::new();
    for wanted in lines {
        let refused = |why: Message| Error::bad_input(given::in_line(file.display().to_string(), wanted.line, why));
        let (code, name) = (wanted.store_code.as_str(), wanted.store_name.as_str());
        if wanted.site.is_empty() || (code.is_empty() && !name.is_empty()) {
            return Err(refused(given::line_incomplete()));
        }
        SiteRegistry::check_name(&wanted.site).map_err(|error| refused(Message::of(&error)))?;
        if code.is_empty() {
            continue;
        }
        let known = stores.iter().find(|store| store.code == code);
        let name = known.map_or(name, |store| store.name.as_str());
        SiteRegistry::check_store(name, code).map_err(|error| refused(Message::of(&error)))?;
        if let Some(before) = lines_of_codes.insert(code, wanted.line) {
            return Err(refused(given::store_twice(code, before)));
        }
    }
    Ok(())
}

/// A password for each of these sites. They are new, and in a new file; only an import that was interrupted finds them in the file that it
/// wrote itself. So a file never holds passwords beside others that an administrator may have replaced since.
///
/// # Errors
/// [`Error::BadInput`]: the file is there, and lacks a password.
pub(super) fn passwords(file: &Path, sites: &BTreeSet<&str>, now: Timestamp) -> Result<BTreeMap<String, String>> {
    if sites.is_empty() {
        return Ok(BTreeMap::new());
    }
    if file.exists() {
        let known = lines::<SitePassword>(file, &unjoined_text_of(file, TEXT_MAX)?)?;
        let mut known: BTreeMap<_, _> = known.into_iter().map(|(_, line)| (line.site, line.password)).collect();
        if let Some(missing) = sites.iter().find(|site| !known.contains_key(**site)) {
            return Err(Error::bad_input(given::passwords_there(file.display().to_string(), quoted(missing))));
        }
        known.retain(|site, _| sites.contains(site.as_str()));
        return Ok(known);
    }
    let all: BTreeMap<_, _> = sites.iter().map(|site| ((*site).to_owned(), new_password())).collect();
    write(file, &all, now)?;
    Ok(all)
}

fn quoted(name: &str) -> String {
    format!("{name:?}")
}

/// The lines below the head, each with its number in the file.
fn lines<T: for<'de> Deserialize<'de>>(file: &Path, text: &str) -> Result<Vec<(u64, T)>> {
    // Tables of some countries are separated by semicolons.
    let head = text.lines().next().unwrap_or_default();
    let delimiter = if head.contains(';') && !head.contains(',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut read = || {
        let head = reader.headers()?.clone();
        let numbered = reader.records().map(|record| {
            let record = record?;
            let line = record.position().map_or(0, |position| line_at(text, position));
            Ok((line, record.deserialize(Some(&head))?))
        });
        numbered.collect::<Result<_, csv::Error>>()
    };
    read().map_err(|error| unreadable(file, error))
}

/// The line of a record: its position may be that of empty lines before it.
fn line_at(text: &str, position: &csv::Position) -> u64 {
    let rest = usize::try_from(position.byte()).ok().and_then(|byte| text.get(byte..)).unwrap_or_default();
    let skipped = rest.bytes().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| *byte == b'\n').count();
    position.line() + skipped as u64
}

/// Twenty random letters and digits (a hundred bits), without those that are easily confused, such as `l` and `1`.
fn new_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";
    // Of its 128 bits six are fixed, all in the bytes 6 and 8.
    let random = uuid::Uuid::new_v4().into_bytes();
    let more = uuid::Uuid::new_v4().into_bytes();
    let bytes = random.iter().chain(&more).enumerate().filter(|(at, _)| ![6, 8, 22, 24].contains(at));
    let letters = bytes.map(|(_, byte)| char::from(LETTERS[usize::from(byte % 32)])).take(20);
    let letters: Vec<char> = letters.collect();
    letters.chunks(5).map(|part| part.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// Writes the file beside its place first, so that an interruption loses no password.
fn write(file: &Path, all: &BTreeMap<String, String>, now: Timestamp) -> Result<()> {
    let failed =
        |error: std::io::Error| Error::Io { what: format!("writing {}", file.display()), source: error.into() };
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut writer = csv::Writer::from_writer(options.open(&new).map_err(failed)?);
    for (site, password) in all {
        let line = SitePassword { site: site.clone(), password: password.clone(), made_at: now.to_string() };
        writer.serialize(line).map_err(|error| failed(error.into()))?;
    }
    let mut file_written = writer.into_inner().map_err(|error| failed(error.into_error()))?;
    file_written.flush().and_then(|()| file_written.sync_all()).map_err(failed)?;
    std::fs::rename(&new, file).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_can_be_typed() {
        let made: BTreeSet<String> = (0..1000).map(|_| new_password()).collect();
        assert_eq!(made.len(), 1000);
        for password in made {
            assert_eq!(password.len(), 23, "{password}");
            assert!(password.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{password}");
        }
    }

    #[test]
    fn a_file_holds_the_passwords_of_one_import() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("passwords.csv");
        let sites = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
        let now = Timestamp::parse("2026-11-23T08:00:00Z").expect("a time");
        let passwords = |names: &[&'static str]| passwords(&file, &sites(names), now);
        let first = passwords(&["a", "b, c"]).expect("made");
        let text = std::fs::read_to_string(&file).expect("a file");
        assert_eq!(text.lines().next(), Some("site,password,made_at"));
        assert!(text.contains(",2026-11-23T08:00:00.000Z\n"), "{text}");
        assert_eq!(passwords(&["b, c"]).expect("read")["b, c"], first["b, c"], "an interrupted import goes on");
        let refused = passwords(&["b, c", "d"]).expect_err("another import").to_string();
        assert!(refused.contains("\"d\"") && refused.contains("another file"), "{refused}");
        assert!(passwords(&[]).expect("nothing to make").is_empty());
        assert_eq!(std::fs::read_to_string(&file).expect("a file"), text, "nothing is written over");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o077, 0);
        }
    }

    #[test]
    fn a_table_of_a_spreadsheet_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sites.csv");
        let read = |text: &str| {
            std::fs::write(&file, text).expect("written");
            let lines = wanted(&file)?;
            check(&file, &lines, &[])?;
            Ok::<_, Error>(lines.into_iter().map(|l| (l.site, l.store_code, l.store_name)).collect::<Vec<_>>())
        };
        let line = |site: &str, code: &str, name: &str| (site.to_owned(), code.to_owned(), name.to_owned());
        let expected = vec![line("clinic", "C", "Clinic, north"), line("depot", "", "")];
        for text in [
            "site,store_code,store_name\nclinic,C,\"Clinic, north\"\ndepot,,\n",
            "\u{feff}site;region;store_code;store_name\r\nclinic;north;C;Clinic, north\r\ndepot;;;\r\n",
        ] {
            assert_eq!(read(text).expect("a table"), expected, "{text:?}");
        }
        assert_eq!(read("name\nclinic\n").expect_err("no site").code(), "bad_input");
        for (bad, why) in [
            ("a,A,x\n,C,Clinic\n", "line 3: a line needs a site"),
            ("a,,x\n", "line 2: a line needs a site"),
            ("a,C,x\nb,C,x\n", "line 3: the store C is in line 2 already"),
            ("a,C,x\na,C,x\n", "line 3: the store C is in line 2 already"),
            ("a,C,\n", "line 2: a store's name, code and id have 1 to 255 bytes"),
            ("a:b,,\n", "line 2: \"a:b\" is no name of a site"),
            ("a,A,x\n\nb,SM,x\n", "line 4: a store cannot have the code SM"),
            ("a,A,x\r\nb,SM,x\r\n", "line 3: a store cannot have the code SM"),
        ] {
            let refused = read(&format!("site,store_code,store_name\n{bad}")).expect_err(bad);
            assert!(refused.code() == "bad_input" && refused.to_string().contains(why), "{bad:?}: {refused}");
        }
    }
}
