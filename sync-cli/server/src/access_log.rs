//! The access log: a line for each request with its result. It contains no secret: from the client it takes only the
//! method, the path without its query, and the request id.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Write, stderr};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync_core::Error;
use sync_core::clock::Timestamp;
use sync_core::record::SiteId;

use crate::sentences::input_given::access_log_unwritable;

/// The longest path in a line.
const PATH_MAX: usize = 200;

/// A log with a line for each request.
pub struct AccessLog {
    /// `None` for standard error.
    path: Option<PathBuf>,
    writer: Mutex<Box<dyn Write + Send>>,
}

impl AccessLog {
    /// Appends to this file, which is created if needed; `-` is standard error.
    ///
    /// # Errors
    /// [`Error::BadInput`]: the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path == Path::new("-") {
            return Ok(Self { path: None, writer: Mutex::new(Box::new(stderr())) });
        }
        let unwritable = |error: std::io::Error| access_log_unwritable(path.display().to_string(), error.to_string());
        let file = appending(path).map_err(|error| Error::bad_input(unwritable(error)))?;
        Ok(Self { path: Some(path.to_owned()), writer: Mutex::new(Box::new(file)) })
    }

    /// Opens the file again by its name, after something like `logrotate` has renamed it. If that fails, the open file stays in use.
    pub fn reopen(&self) {
        if let Some(file) = self.path.as_deref().and_then(|path| appending(path).ok()) {
            *self.writer() = Box::new(file);
        }
    }

    pub(super) fn write(&self, line: &Line<'_>) {
        // An unwritable log is no reason to stop serving.
        let _ = self.writer().write_all(line.text().as_bytes());
    }

    fn writer(&self) -> MutexGuard<'_, Box<dyn Write + Send>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn appending(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// The content of a line.
pub(super) struct Line<'a> {
    pub at: Timestamp,
    pub from: IpAddr,
    pub method: &'a str,
    pub path: &'a str,
    pub site: Option<SiteId>,
    pub status: u16,
    /// The kind of error in an answer with status 200.
    pub error: Option<&'static str>,
    pub records: u64,
    /// Bytes of the request body as received, and of the response body before compression.
    pub bytes: (u64, u64),
    pub took: Duration,
    pub id: &'a str,
}

impl Line<'_> {
    fn text(&self) -> String {
        // Heads cannot hold control characters, but a line must stay one in any case.
        let shown = |text: &str| -> String {
            text.chars().take(PATH_MAX).map(|c| if c.is_ascii_graphic() && c != '"' { c } else { '?' }).collect()
        };
        let mut text = format!(
            "time={} from={} method={} path={} status={}",
            self.at,
            self.from,
            shown(self.method),
            shown(self.path),
            self.status
        );
        let mut add = |key: &str, value: &dyn std::fmt::Display| {
            let _ = write!(text, " {key}={value}");
        };
        if let Some(site) = self.site {
            add("site", &site);
        }
        if let Some(error) = self.error {
            add("error", &error);
        }
        add("records", &self.records);
        add("in", &self.bytes.0);
        add("out", &self.bytes.1);
        add("ms", &format!("{:.1}", self.took.as_secs_f64() * 1e3));
        add("id", &self.id);
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str) -> Line<'_> {
        Line {
            at: Timestamp::from_unix_millis(0),
            from: IpAddr::from([127, 0, 0, 1]),
            method: "GET",
            path,
            site: Some(SiteId(7)),
            status: 404,
            error: None,
            records: 0,
            bytes: (0, 0),
            took: Duration::from_millis(2),
            id: "i",
        }
    }

    #[test]
    fn a_renamed_file_is_left_once_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, renamed) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let log = AccessLog::open(&path).unwrap();
        let lines = |path: &Path| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());
        log.write(&line("/before"));
        std::fs::rename(&path, &renamed).unwrap();
        log.write(&line("/renamed"));
        log.reopen();
        log.write(&line("/after"));
        assert_eq!((lines(&renamed), lines(&path)), (2, 1));
    }

    #[test]
    fn a_line_is_one_line_whatever_is_asked() {
        let long = "/x".repeat(1000);
        for path in ["/a\nb", "/a \"b", "/é", &long] {
            let text = line(path).text();
            assert!(text.ends_with(" records=0 in=0 out=0 ms=2.0 id=i\n") && text.contains(" site=7 "), "{text}");
            assert!(text.lines().count() == 1 && text.len() < 400 && text.split(' ').count() == 11, "{text}");
        }
    }
}
