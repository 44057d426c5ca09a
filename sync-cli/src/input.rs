//! Files from people, and standard input. Each read has a limit of bytes, and a pipe also a limit of time, because a path on the command
//! line may lead to a device that never ends or to a pipe without a writer.

use std::fs::File;
use std::io::{BufRead, Error as IoError, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use oms_sync_inspect::database::unreadable;
use sync_core::text_input::read_text;
use sync_core::{Error, Result};

use crate::sentences::input_given as given;
use crate::signals::interrupted;

/// The most bytes of a password, with all that is around it.
pub(crate) const PASSWORD_MAX: u64 = 64 * 1024;

/// The most bytes of settings, certificates, texts and tables.
pub(crate) const TEXT_MAX: u64 = 16 * 1024 * 1024;

/// The most bytes of records and messages.
pub(crate) const RECORDS_MAX: u64 = 1024 * 1024 * 1024;

/// Its name in messages.
const STANDARD_INPUT: &str = "standard input";

/// How long a pipe may be silent: a password manager behind it may ask for its own password first.
const PIPE_ANSWERS: Duration = Duration::from_secs(60);

/// Standard input up to the end of its first line, in any encoding. It does not wait for more.
pub(crate) fn first_line_of_input() -> Result<Vec<u8>> {
    let failed = |error: IoError| unreadable(Path::new(STANDARD_INPUT), error);
    short_first_line(std::io::stdin().lock()).map_err(failed)
}

/// The first line, if it is not longer than a password.
fn short_first_line(input: impl BufRead) -> std::io::Result<Vec<u8>> {
    let line = first_line_of(&mut input.take(PASSWORD_MAX))?;
    if line.len() as u64 == PASSWORD_MAX { Err(too_large(PASSWORD_MAX)) } else { Ok(line) }
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

/// The text of a file from a person, or of standard input for `-`, of at most so many bytes.
pub(crate) fn text_of(path: &Path, max: u64) -> Result<String> {
    text(path, &bytes_of(path, max)?)
}

/// The same for a table or for records. A byte order mark within it is that of a second file, which somebody put behind the first: its first
/// line would be read wrong.
pub(crate) fn unjoined_text_of(path: &Path, max: u64) -> Result<String> {
    let text = text_of(path, max)?;
    let begins_a_file = |(at, _): &(usize, &str)| {
        let before = text[..*at].trim_end_matches([' ', '\t']);
        before.is_empty() || before.ends_with(['\n', '\r', '}', ']'])
    };
    let mark = text.match_indices('\u{feff}').find(begins_a_file);
    let Some((at, _)) = mark else { return Ok(text) };
    let line = 1 + text[..at].matches('\n').count();
    Err(Error::bad_input(given::joined_files(name_of(path), line)))
}

fn name_of(path: &Path) -> String {
    if path == Path::new("-") { STANDARD_INPUT.to_owned() } else { path.display().to_string() }
}

/// The bytes of a file, or of standard input for `-`, at most so many.
pub(crate) fn bytes_of(path: &Path, max: u64) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        return at_most(std::io::stdin().lock(), max).map_err(|error| unreadable(Path::new(STANDARD_INPUT), error));
    }
    bytes_of_file(path, max).map_err(|error| match error.kind() {
        ErrorKind::Interrupted => Error::Cancelled,
        _ => unreadable(path, error),
    })
}

/// The bytes of a file or a pipe, at most so many.
pub(crate) fn bytes_of_file(path: &Path, max: u64) -> std::io::Result<Vec<u8>> {
    // The kind of the file is checked before it is opened, because opening a pipe waits for a writer.
    let kind = std::fs::metadata(path)?.file_type();
    match kind {
        kind if kind.is_file() => at_most(File::open(path)?, max),
        kind if is_pipe(kind) => bytes_of_pipe(path.to_owned(), max, PIPE_ANSWERS),
        kind if kind.is_dir() => Err(ErrorKind::IsADirectory.into()),
        _ => Err(IoError::other("it is neither a file nor a pipe")),
    }
}

#[cfg(unix)]
fn is_pipe(kind: std::fs::FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&kind)
}

#[cfg(not(unix))]
fn is_pipe(_: std::fs::FileType) -> bool {
    false
}

/// Reads a pipe on a thread, which may wait for ever and ends with the program.
fn bytes_of_pipe(path: PathBuf, max: u64, time: Duration) -> std::io::Result<Vec<u8>> {
    let (gives, takes) = channel();
    std::thread::spawn(move || gives.send(File::open(path).and_then(|pipe| at_most(pipe, max))));
    let began = Instant::now();
    loop {
        match takes.recv_timeout(Duration::from_millis(100)) {
            Ok(read) => return read,
            Err(RecvTimeoutError::Disconnected) => return Err(ErrorKind::BrokenPipe.into()),
            Err(RecvTimeoutError::Timeout) if interrupted() => return Err(ErrorKind::Interrupted.into()),
            Err(RecvTimeoutError::Timeout) if began.elapsed() < time => {}
            Err(RecvTimeoutError::Timeout) => {
                let seconds = time.as_secs();
                return Err(IoError::other(format!("it is a pipe, and its content did not come within {seconds} s")));
            }
        }
    }
}

/// All that is read, if it is not more.
fn at_most(from: impl Read, max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max { Err(too_large(max)) } else { Ok(bytes) }
}

fn too_large(max: u64) -> IoError {
    let size = match max {
        small if small < 1 << 20 => format!("{} KiB", small >> 10),
        large => format!("{} MiB", large >> 20),
    };
    IoError::other(format!("it has more than {size}"))
}

/// The text of bytes from a person, in any encoding.
pub(crate) fn text(from: &Path, bytes: &[u8]) -> Result<String> {
    let text = read_text(bytes).map_err(|why| unreadable(from, why))?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use sync_core::text_input::first_line;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_never_ends_or_never_comes_is_given_up() {
        let refused = |read: std::io::Result<Vec<u8>>| read.expect_err("it is refused").to_string();
        assert_eq!(refused(bytes_of_file(Path::new("/dev/zero"), 9)), "it is neither a file nor a pipe");
        assert_eq!(refused(at_most(std::io::repeat(b'x'), 2048)), "it has more than 2 KiB");
        assert_eq!(at_most(&b"four"[..], 4).expect("it fits"), b"four");
        assert_eq!(
            refused(short_first_line(std::io::BufReader::new(std::io::repeat(b'x')))),
            "it has more than 64 KiB"
        );

        let folder = tempfile::tempdir().expect("a folder");
        let pipe = |name: &str| {
            let pipe = folder.path().join(name);
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
            pipe
        };
        let (began, time) = (Instant::now(), Duration::from_secs(1));
        assert!(refused(bytes_of_pipe(pipe("silent"), 9, time)).contains("did not come within 1 s"));
        assert!(began.elapsed() < Duration::from_secs(5));
        let pipe = pipe("of a password manager");
        let to = pipe.clone();
        let writes = std::thread::spawn(move || std::fs::write(to, "secret"));
        assert_eq!(bytes_of_file(&pipe, 9).expect("it comes"), b"secret");
        writes.join().expect("it ends").expect("written");
    }

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
