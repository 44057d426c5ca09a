//! The tables of `site import`: the sites and stores to add, and the passwords that were made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use oms_sync_inspect::database::unreadable;
use serde::{Deserialize, Serialize};
use sync_core::{Error, Result};

use crate::input::{TEXT_MAX, unjoined_text_of};
use crate::sentences::input_given as given;

/// A line of the table: a site, with a store or without.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
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
}

/// The lines of a table.
pub(super) fn wanted(file: &Path) -> Result<Vec<Wanted>> {
    let lines: Vec<Wanted> = lines(file, &unjoined_text_of(file, TEXT_MAX)?)?;
    let mut sites_of_codes: BTreeMap<&str, &str> = BTreeMap::new();
    for line in &lines {
        if line.site.is_empty() || (line.store_code.is_empty() && !line.store_name.is_empty()) {
            return Err(Error::bad_input(given::line_incomplete(file.display().to_string())));
        }
        let other = sites_of_codes.insert(&line.store_code, &line.site).filter(|_| !line.store_code.is_empty());
        if other.is_some_and(|other| other != line.site) {
            return Err(Error::bad_input(given::store_on_two_sites(file.display().to_string(), &line.store_code)));
        }
    }
    Ok(lines)
}

/// A password for each of these sites: the one that the file has, or a new one. The file is written again if there are new ones.
pub(super) fn passwords(file: &Path, sites: &BTreeSet<&str>) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    if file.exists() {
        let known = lines::<SitePassword>(file, &unjoined_text_of(file, TEXT_MAX)?)?;
        all.extend(known.into_iter().map(|line| (line.site, line.password)));
    }
    let missing: Vec<&str> = sites.iter().copied().filter(|site| !all.contains_key(*site)).collect();
    if !missing.is_empty() {
        all.extend(missing.into_iter().map(|site| (site.to_owned(), new_password())));
        write(file, &all)?;
    }
    all.retain(|site, _| sites.contains(site.as_str()));
    Ok(all)
}

fn lines<T: for<'de> Deserialize<'de>>(file: &Path, text: &str) -> Result<Vec<T>> {
    // Tables of some countries are separated by semicolons.
    let head = text.lines().next().unwrap_or_default();
    let delimiter = if head.contains(';') && !head.contains(',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    reader.deserialize().collect::<Result<_, csv::Error>>().map_err(|error| unreadable(file, error))
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
fn write(file: &Path, all: &BTreeMap<String, String>) -> Result<()> {
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
        let line = SitePassword { site: site.clone(), password: password.clone() };
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
    fn a_password_that_was_written_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("passwords.csv");
        let sites = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
        let first = passwords(&file, &sites(&["a", "b, c"])).expect("made");
        let second = passwords(&file, &sites(&["b, c", "d"])).expect("made");
        assert_eq!(first["b, c"], second["b, c"]);
        assert_eq!(passwords(&file, &sites(&["a"])).expect("read")["a"], first["a"], "it is still in the file");
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
            wanted(&file)
                .map(|lines| lines.into_iter().map(|l| (l.site, l.store_code, l.store_name)).collect::<Vec<_>>())
        };
        let line = |site: &str, code: &str, name: &str| (site.to_owned(), code.to_owned(), name.to_owned());
        let expected = vec![line("clinic", "C", "Clinic, north"), line("depot", "", "")];
        for text in [
            "site,store_code,store_name\nclinic,C,\"Clinic, north\"\ndepot,,\n",
            "\u{feff}site;region;store_code;store_name\r\nclinic;north;C;Clinic, north\r\ndepot;;;\r\n",
        ] {
            assert_eq!(read(text).expect("a table"), expected, "{text:?}");
        }
        for bad in [
            "name\nclinic\n",
            "site,store_code,store_name\n,C,Clinic\n",
            "site,store_code,store_name\na,C,x\nb,C,x\n",
            "site,store_code,store_name\na,,x\n",
        ] {
            assert_eq!(read(bad).expect_err(bad).code(), "bad_input", "{bad:?}");
        }
    }
}
