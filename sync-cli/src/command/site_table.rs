//! The tables of `site import`: the sites and stores to add, and the passwords that were made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use oms_sync_inspect::database::unreadable;
use serde::{Deserialize, Serialize};
use sync_core::central::{SiteRegistry, Store};
use sync_core::clock::Timestamp;
use sync_core::record::StoreId;
use sync_core::text::similar;
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

/// The columns of a table that are read.
const COLUMNS: [&str; 3] = ["site", "store_code", "store_name"];

/// The lines of a table, and the names of the columns that are not read.
///
/// # Errors
/// [`Error::BadInput`]: a line is wrong, or the name of a column resembles one that is read, which it would not be.
pub(super) fn wanted(file: &Path) -> Result<(Vec<Wanted>, Vec<String>)> {
    let mut unread = Vec::new();
    let text = unjoined_text_of(file, TEXT_MAX)?;
    let lines: Vec<(u64, Wanted)> = lines(file, &text, &["site"], |column, line| {
        let lower = column.to_lowercase().replace([' ', '-'], "_");
        let resembles = COLUMNS.into_iter().find(|known| *known == lower);
        if let Some(meant) = resembles.or_else(|| similar(&lower, COLUMNS.into_iter())) {
            let said = given::column_meant(file.display().to_string(), line, quoted(column), meant);
            return Err(Error::bad_input(said));
        }
        unread.push(column.to_owned());
        Ok(())
    })?;
    Ok((lines.into_iter().map(|(line, wanted)| Wanted { line, ..wanted }).collect(), unread))
}

/// The list of a central server as it is before an import.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub stores: Vec<Store>,
    /// The names of the sites by their numbers.
    pub sites: BTreeMap<i64, String>,
}

impl Listed {
    /// The site of a store; the number of one that was removed.
    fn site_of(&self, store: &Store) -> Option<String> {
        store.site.map(|id| self.sites.get(&id).cloned().unwrap_or_else(|| id.to_string()))
    }

    /// The store that a line is about, if it is there already.
    ///
    /// # Errors
    /// Several stores have the code, and none of them is on the site of the line, so the line does not say which one is meant.
    fn store_of(&self, line: &Wanted) -> std::result::Result<Option<&Store>, Message> {
        let all: Vec<&Store> = self.stores.iter().filter(|store| store.code == line.store_code).collect();
        if let [] | [_] = all[..] {
            return Ok(all.first().copied());
        }
        let is_there = |store: &&&Store| self.site_of(store).as_deref() == Some(line.site.as_str());
        if let Some(store) = all.iter().find(is_there) {
            return Ok(Some(store));
        }
        let named = all.iter().map(|store| match self.site_of(store) {
            Some(site) => given::store_of_site(store.id.as_str(), quoted(&store.name), quoted(&site)).to_string(),
            None => given::store_of_no_site(store.id.as_str(), quoted(&store.name)).to_string(),
        });
        Err(given::code_ambiguous(line.store_code.as_str(), named.collect::<Vec<_>>().join(", ")))
    }
}

/// What an import does with a store.
#[derive(Debug)]
pub(super) enum StoreChange {
    New,
    Moved {
        id: StoreId,
        name: String,
        /// The site that it leaves.
        from: Option<String>,
    },
}

/// What an import changes.
#[derive(Debug, Default)]
pub(super) struct Planned<'w> {
    pub stores: Vec<(&'w Wanted, StoreChange)>,
    /// The stores whose name differs from that in their line. An import renames none.
    pub names_kept: Vec<(&'w Wanted, Store)>,
}

/// Checks every line by the rules of `site add` and `store add`, so that an import changes all or nothing. Stores that are there already
/// keep their names.
///
/// # Errors
/// [`Error::BadInput`] with the first line that cannot be added.
pub(super) fn plan<'w>(file: &Path, lines: &'w [Wanted], listed: &Listed) -> Result<Planned<'w>> {
    let mut lines_of_codes: BTreeMap<&str, u64> = BTreeMap::new();
    let mut planned = Planned::default();
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
        let known = listed.store_of(wanted).map_err(refused)?;
        let kept = known.map_or(name, |store| store.name.as_str());
        SiteRegistry::check_store(kept, code).map_err(|error| refused(Message::of(&error)))?;
        if let Some(before) = lines_of_codes.insert(code, wanted.line) {
            return Err(refused(given::store_twice(code, before)));
        }
        let Some(store) = known else {
            planned.stores.push((wanted, StoreChange::New));
            continue;
        };
        if !name.is_empty() && name != store.name {
            planned.names_kept.push((wanted, store.clone()));
        }
        let from = listed.site_of(store);
        if from.as_deref() != Some(wanted.site.as_str()) {
            let change = StoreChange::Moved { id: store.id.clone(), name: store.name.clone(), from };
            planned.stores.push((wanted, change));
        }
    }
    Ok(planned)
}

/// Checks that the passwords do not go into the table itself.
///
/// # Errors
/// [`Error::BadInput`]: both are one file.
pub(super) fn check_files(table: &Path, passwords: &Path) -> Result<()> {
    let real = |path: &Path| path.canonicalize().ok();
    match real(passwords).is_some_and(|file| Some(file) == real(table)) {
        true => Err(Error::bad_input(given::passwords_in_table(passwords.display().to_string()))),
        false => Ok(()),
    }
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
        let known =
            lines::<SitePassword>(file, &unjoined_text_of(file, TEXT_MAX)?, &["site", "password"], |_, _| Ok(()))?;
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

/// The lines below the head, each with its number in the file. The head must name these columns; `other` receives each column that is none of
/// [`COLUMNS`], with the line of the head.
fn lines<T: for<'de> Deserialize<'de>>(
    file: &Path,
    text: &str,
    columns: &[&str],
    mut other: impl FnMut(&str, u64) -> Result<()>,
) -> Result<Vec<(u64, T)>> {
    // Tables of some countries are separated by semicolons.
    let head = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
    let delimiter = if head.contains(';') && !head.contains(',') { b';' } else { b',' };
    // Lines of another length are found below, in words.
    let mut builder = csv::ReaderBuilder::new();
    let mut reader = builder.delimiter(delimiter).trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let head = reader.headers().map_err(|error| unreadable(file, error))?.clone();
    let shown = || file.display().to_string();
    if let Some(missing) = columns.iter().copied().find(|column| !head.iter().any(|name| name == *column)) {
        if head.iter().all(str::is_empty) {
            return Err(Error::bad_input(given::no_head(shown(), missing)));
        }
        let line = head.position().map_or(1, |position| line_at(text, position));
        let names = head.iter().collect::<Vec<_>>().join(", ");
        return Err(Error::bad_input(given::column_missing(shown(), line, missing, names)));
    }
    let head_line = head.position().map_or(1, |position| line_at(text, position));
    head.iter().filter(|name| !COLUMNS.contains(name)).try_for_each(|name| other(name, head_line))?;
    let numbered = reader.records().map(|record| {
        let record = record.map_err(|error| unreadable(file, error))?;
        let line = record.position().map_or(0, |position| line_at(text, position));
        if record.len() != head.len() {
            let why = given::line_of_columns(record.len(), head.len());
            return Err(Error::bad_input(given::in_line(shown(), line, why)));
        }
        let fields = record.deserialize(Some(&head)).map_err(|error| unreadable(file, error))?;
        Ok((line, fields))
    });
    numbered.collect()
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
            let (lines, _) = wanted(&file)?;
            plan(&file, &lines, &Listed::default())?;
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
