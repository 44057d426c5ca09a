//! From flags to the library's parts.

use std::io::{BufRead, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oms_sync_inspect::database::unreadable;
use sync_core::files::Files;
use sync_core::protocol::PasswordHash;
use sync_core::storage::{SqliteStorage, Storage, key};
use sync_core::text_input::{first_line, read_text};
use sync_core::transport::Timeouts;
use sync_core::{Clock, Error, Records, Result, Role, Site, SystemClock};

use crate::args::{Args, Password};
use crate::limits::Limits;
use crate::output::Output;
use crate::sentences::input_given as given;

/// An opened database with the parts over it.
pub(crate) struct Parts {
    pub storage: Arc<SqliteStorage>,
    pub clock: Arc<dyn Clock>,
    /// The folder with the bytes of files.
    pub folder: PathBuf,
    /// Limits of batches.
    pub limits: Limits,
}

impl Parts {
    /// Opens the database, and makes it if there is none.
    pub(crate) fn open_or_make(args: &Args, out: &Output) -> Result<Self> {
        Self::over(SqliteStorage::open(&args.db)?, args, out)
    }

    /// Opens the database, which must be there.
    pub(crate) fn open(args: &Args, out: &Output) -> Result<Self> {
        Self::over(SqliteStorage::open_existing(&args.db)?, args, out)
    }

    /// The same for a command that only reads: a database that may not be written is read all the same.
    pub(crate) fn open_to_read(args: &Args, out: &Output) -> Result<Self> {
        match SqliteStorage::open_existing(&args.db) {
            Err(Error::DatabaseReadOnly { .. }) => Self::over(SqliteStorage::open_to_read(&args.db)?, args, out),
            opened => Self::over(opened?, args, out),
        }
    }

    fn over(storage: SqliteStorage, args: &Args, out: &Output) -> Result<Self> {
        let folder = args.files.clone().unwrap_or_else(|| folder_of(&args.db, storage.path()));
        let limits = Limits::of_environment()?;
        let parts = Self { storage: Arc::new(storage), clock: Arc::new(SystemClock::new()), folder, limits };
        out.central_bar(parts.role()?);
        Ok(parts)
    }

    /// The part that the database plays, once that is known.
    pub(crate) fn role(&self) -> Result<Option<Role>> {
        Ok(match self.storage.read()?.state(key::ROLE)?.as_deref() {
            Some("central") => Some(Role::Central),
            Some("remote") => Some(Role::Remote),
            _ => None,
        })
    }

    /// The site over real HTTP.
    pub(crate) fn site(&self) -> Site {
        let transport = Arc::new(self.limits.transport(&Timeouts::default()));
        Site::new(self.storage.clone(), transport, self.clock.clone()).with_config(self.limits.config.clone())
    }

    /// The files beside the database.
    pub(crate) fn files(&self) -> Files {
        Files::new(self.storage.clone(), self.clock.clone(), &self.folder)
    }

    pub(crate) fn records(&self) -> Records {
        Records::new(self.storage.clone(), self.clock.clone())
    }
}

/// The folder of files of a database, beside its file and not beside a symbolic link to it. One that a version before kept
/// beside the link is brought there; on another disk it stays where it is.
fn folder_of(given: &Path, real: &Path) -> PathBuf {
    let (before, now) = (Files::folder_of(given), Files::folder_of(real));
    let is_before = before.is_dir() && !now.exists();
    if is_before && std::fs::rename(&before, &now).is_err() { before } else { now }
}

/// Takes the password of a site from where the flags say, then from the environment, then from a hidden prompt.
pub(crate) fn password(from: &Password, site: &str, out: &Output) -> Result<PasswordHash> {
    let text = if let Some(path) = &from.password_file {
        text_of(path)?
    } else if from.password_stdin {
        text(Path::new("-"), &first_line_of_input()?)?
    } else if let Some(value) = std::env::var_os("OMS_SYNC_PASSWORD") {
        text(Path::new("OMS_SYNC_PASSWORD"), value.as_encoded_bytes())?
    } else if std::io::stdin().is_terminal() {
        rpassword::prompt_password(out.texts.say(&given::password_prompt(format!("{site:?}"))) + " ")
            .map_err(|error| Error::Io { what: "reading the password".to_owned(), source: error.into() })?
    } else {
        String::new()
    };
    // A variable that was set from a file of Windows keeps the end of its line.
    match first_line(&text) {
        "" => Err(Error::bad_input(given::no_password())),
        password => Ok(PasswordHash::of_password(password)),
    }
}

/// Standard input up to the end of its first line, in whatever encoding. What follows is not waited for.
fn first_line_of_input() -> Result<Vec<u8>> {
    let io = |error: std::io::Error| Error::Io { what: "reading the password".to_owned(), source: error.into() };
    first_line_of(&mut std::io::stdin().lock()).map_err(io)
}

/// In UTF-16 a byte that ends a line of other text may be half of a letter, and the end of a line has another half.
fn first_line_of(input: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let begun = line.len();
        input.read_until(b'\n', &mut line)?;
        let order = match line[..] {
            [0xff, 0xfe, ..] | [_, 0, ..] => Some(0),
            [0xfe, 0xff, ..] | [0, _, ..] => Some(1),
            _ => None,
        };
        let Some(low) = order.filter(|_| line.len() > begun) else { return Ok(line) };
        if line.len() % 2 == 1 {
            input.take(1).read_to_end(&mut line)?;
        }
        let unit = &line[line.len().saturating_sub(2)..];
        if line.len() % 2 == 1 || (unit[low], unit[1 - low]) == (b'\n', 0) {
            return Ok(line);
        }
    }
}

/// The text of a file that a person wrote, or of standard input where it is `-`.
pub(crate) fn text_of(path: &Path) -> Result<String> {
    text(path, &bytes_of(path)?)
}

/// The bytes of a file, or of standard input where it is `-`.
pub(crate) fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    if path != Path::new("-") {
        return std::fs::read(path).map_err(|error| unreadable(path, error));
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Error::Io { what: "reading standard input".to_owned(), source: error.into() })?;
    Ok(bytes)
}

fn text(from: &Path, bytes: &[u8]) -> Result<String> {
    let text = read_text(bytes).map_err(|why| unreadable(from, why))?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_input_ends_where_its_text_does() {
        let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        // U+0A41 and U+0A0A, of the letters of Punjab, have the byte of a line end in them, and Cyrillic has no zero byte.
        for text in ["secret", "пароль", "\u{a41}\u{a0a}a", "\u{100a}\u{a0a}", "a"] {
            for line in [text.to_owned(), format!("{text}\n"), format!("{text}\r\n"), format!("{text}\nmore\n")] {
                let marked = |mark: &[u8], bytes: Vec<u8>| [mark, &bytes].concat();
                let mut all = vec![
                    line.as_bytes().to_vec(),
                    marked(&[0xff, 0xfe], little(&line)),
                    marked(&[0xfe, 0xff], big(&line)),
                ];
                if text.is_ascii() {
                    all.extend([little(&line), big(&line)]);
                }
                for bytes in all {
                    let read = first_line_of(&mut &bytes[..]).expect("memory");
                    assert_eq!(first_line(&super::text(Path::new("-"), &read).expect("text")), text, "{bytes:?}");
                }
            }
        }
        assert_eq!(first_line_of(&mut &b"a\nb"[..]).expect("memory"), b"a\n", "what follows is not waited for");
        assert_eq!(first_line_of(&mut &b""[..]).expect("memory"), b"");
    }
}
