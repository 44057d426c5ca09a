//! Reads `multipart/form-data` part by part from a stream, with only a piece of it in memory.

use std::io::{self, Read};

/// Bytes that are read at a time.
const PIECE: usize = 64 * 1024;
/// The most parts of one body: an upload has two.
const PARTS_MAX: u32 = 32;
/// The most bytes of the headers of a part.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// The most bytes that are read and dropped.
const DRAINED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The longest boundary (RFC 2046).
const BOUNDARY_BYTES_MAX: usize = 70;

/// Why a body cannot be read to its end.
#[derive(Debug)]
pub(crate) enum MultipartError {
    /// It ends too early, or cannot be received.
    CutOff,
    /// It has too many bytes.
    TooLarge,
    /// It is not multipart.
    Malformed,
}

/// The headers of a part.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PartHead {
    pub name: String,
    pub filename: Option<String>,
    pub content_type: Option<String>,
}

/// A body that is being read.
pub(crate) struct Multipart<'b> {
    body: &'b mut dyn Read,
    /// `\r
    /// --` and the boundary. The first one has no line end before it, so the buffer starts with one.
    delimiter: Vec<u8>,
    buffer: Vec<u8>,
    /// How far the buffer was used.
    used: usize,
    left: u64,
    parts: u32,
}

/// The boundary in a content type; `None` if it is not multipart.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut pairs = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let (_, boundary) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    let boundary = boundary.trim().trim_matches('"');
    (!boundary.is_empty() && boundary.len() <= BOUNDARY_BYTES_MAX).then_some(boundary)
}

impl<'b> Multipart<'b> {
    /// Reads a body of at most so many bytes.
    pub(crate) fn new(boundary: &str, body: &'b mut dyn Read, bytes_max: u64) -> Self {
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        Self { body, delimiter, buffer: b"\r\n".to_vec(), used: 0, left: bytes_max, parts: 0 }
    }

    /// Skips the rest of this part and goes to the next one; `None` after the last.
    pub(crate) fn next_part(&mut self) -> Result<Option<PartHead>, MultipartError> {
        while self.content()?.is_some() {}
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(MultipartError::Malformed);
        }
        self.used += self.delimiter.len();
        let line = self.line()?;
        if line.starts_with(b"--") {
            return Ok(None);
        }
        if !line.trim_ascii().is_empty() {
            return Err(MultipartError::Malformed);
        }
        let mut head = PartHead::default();
        let mut bytes = 0;
        loop {
            let line = self.line()?;
            bytes += line.len();
            if line.is_empty() {
                return Ok(Some(head));
            }
            if bytes > HEAD_BYTES_MAX {
                return Err(MultipartError::Malformed);
            }
            let line = String::from_utf8_lossy(&line);
            let (name, value) = line.split_once(':').ok_or(MultipartError::Malformed)?;
            match name.trim().to_ascii_lowercase().as_str() {
                "content-type" => head.content_type = Some(value.trim().to_owned()),
                "content-disposition" => {
                    head.name = parameter(value, "name").unwrap_or_default();
                    head.filename = parameter(value, "filename");
                }
                _ => {}
            }
        }
    }

    /// The next bytes of this part; `None` at its end.
    pub(crate) fn content(&mut self) -> Result<Option<Vec<u8>>, MultipartError> {
        loop {
            let ready = &self.buffer[self.used..];
            let end = match find(ready, &self.delimiter) {
                Some(0) => return Ok(None),
                Some(at) => at,
                // The end of the buffer may be the beginning of a delimiter.
                None => ready.len().saturating_sub(self.delimiter.len() - 1),
            };
            if end > 0 {
                let content = ready[..end].to_vec();
                self.used += end;
                return Ok(Some(content));
            }
            self.fill()?;
        }
    }

    /// A line without its end.
    fn line(&mut self) -> Result<Vec<u8>, MultipartError> {
        loop {
            let ready = &self.buffer[self.used..];
            // A closing delimiter may be the very end of the body.
            if ready.starts_with(b"--") {
                return Ok(b"--".to_vec());
            }
            match find(ready, b"\r\n") {
                Some(end) if ready.len() > 1 => {
                    let line = ready[..end].to_vec();
                    self.used += end + 2;
                    return Ok(line);
                }
                _ if ready.len() > HEAD_BYTES_MAX => return Err(MultipartError::Malformed),
                _ => self.fill()?,
            }
        }
    }

    /// Reads the rest, within limits, and drops it: only then does the sender read the answer.
    pub(crate) fn drain(mut self) {
        self.left = DRAINED_BYTES_MAX;
        while self.fill().is_ok() {
            self.used = self.buffer.len();
        }
    }

    /// Reads some more.
    fn fill(&mut self) -> Result<(), MultipartError> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let before = self.buffer.len();
        self.buffer.resize(before + PIECE, 0);
        let read = loop {
            match self.body.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(read) if read > 0 => break read,
                _ => {
                    self.buffer.truncate(before);
                    return Err(MultipartError::CutOff);
                }
            }
        };
        self.buffer.truncate(before + read);
        self.left = self.left.checked_sub(read as u64).ok_or(MultipartError::TooLarge)?;
        Ok(())
    }
}

fn find(within: &[u8], wanted: &[u8]) -> Option<usize> {
    let (first, mut from) = (*wanted.first()?, 0);
    while let Some(at) = within[from..].iter().position(|byte| *byte == first).map(|at| from + at) {
        if within[at..].starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// A parameter of a header, with quotes and escapes.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (text, behind) = match after.trim_start().strip_prefix('"') {
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
            Some(quoted) => {
                let (mut text, mut chars) = (String::new(), quoted.char_indices());
                let end = loop {
                    match chars.next()? {
                        (at, '"') => break at + 1,
                        (_, '\\') => text.push(chars.next()?.1),
                        (_, other) => text.push(other),
                    }
                };
                (text, &quoted[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(text);
        }
        rest = behind.trim_start().strip_prefix(';')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a few bytes at a time.
    struct Slow<'b>(&'b [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = into.len().min(self.1);
            self.0.read(&mut into[..most])
        }
    }

    type ReadPart = (PartHead, Vec<u8>);

    fn read(body: &[u8], step: usize, max: u64) -> Result<Vec<ReadPart>, MultipartError> {
        let mut slow = Slow(body, step);
        let mut multipart = Multipart::new("b0undary", &mut slow, max);
        let mut parts = Vec::new();
        while let Some(head) = multipart.next_part()? {
            let mut content = Vec::new();
            while let Some(bytes) = multipart.content()? {
                content.extend(bytes);
            }
            parts.push((head, content));
        }
        Ok(parts)
    }

    const BODY: &[u8] = b"--b0undary\r\nContent-Disposition: form-data; name=\"json_part\"\r\n\
        content-type: application/json\r\n\r\n{}\r\n--b0undary\r\n\
        Content-Disposition: form-data; name=file_part; filename=\"a \\\"b\\\"; c.txt\"\r\n\r\n\
        \r\n--b0undar\r\r\n--\r\n\r\n--b0undary--\r\n";

    #[test]
    fn parts_come_whole_however_the_bytes_arrive() {
        let expected = |parts: &[ReadPart]| {
            assert_eq!(parts.len(), 2);
            assert_eq!((parts[0].0.name.as_str(), parts[0].1.as_slice()), ("json_part", b"{}".as_slice()));
            assert_eq!(parts[0].0.content_type.as_deref(), Some("application/json"));
            assert_eq!((parts[1].0.name.as_str(), parts[1].0.content_type.as_deref()), ("file_part", None));
            assert_eq!(parts[1].0.filename.as_deref(), Some("a \"b\"; c.txt"));
            assert_eq!(parts[1].1, b"\r\n--b0undar\r\r\n--\r\n", "what looks like a boundary is content");
        };
        for step in 1..BODY.len() {
            expected(&read(BODY, step, 10_000).unwrap());
        }
    }

    #[test]
    fn a_body_cut_at_any_byte_is_not_whole() {
        let closed = BODY.len() - b"--\r\n".len() + 2;
        for end in 0..closed {
            for step in [1, 7, 1000] {
                assert!(matches!(read(&BODY[..end], step, 10_000), Err(MultipartError::CutOff)), "{end}");
            }
        }
        assert!(read(&BODY[..closed], 1, 10_000).is_ok(), "a missing line end behind the last boundary is no loss");
    }

    #[test]
    fn what_is_too_large_or_something_else_is_told() {
        let length = BODY.len() as u64;
        assert!(read(BODY, 1000, length).is_ok());
        assert!(matches!(read(BODY, 1000, length - 1), Err(MultipartError::TooLarge)));
        assert!(matches!(read(b"--b0undaryX\r\n\r\n", 9, 99), Err(MultipartError::Malformed)));
        assert!(matches!(read(b"--b0undary\r\nno colon\r\n\r\n", 9, 99), Err(MultipartError::Malformed)));
        let parts = |number| b"--b0undary\r\n\r\n\r\n".repeat(number);
        assert!(matches!(read(&parts(1000), 99, 99_999), Err(MultipartError::Malformed)));
        let endless = [b"--b0undary\r\n".as_slice(), &[b'x'; 20_000]].concat();
        assert!(matches!(read(&endless, 999, 99_999), Err(MultipartError::Malformed)));
        assert_eq!(boundary("multipart/form-data; boundary=b0undary"), Some("b0undary"));
        assert_eq!(boundary("Multipart/Form-Data; charset=x; Boundary=\"b 1\""), Some("b 1"));
        for none in ["multipart/form-data", "application/json; boundary=x", "multipart/form-data; boundary=", ""] {
            assert_eq!(boundary(none), None, "{none}");
        }
    }
}
