//! The response with a file, or a part of it (`protocol-v6` §8.6).

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::time::UNIX_EPOCH;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::record::file_name::{mime_type, safe_file_name};
use crate::transport::{HttpRequest, StreamedResponse};

/// The bytes of a file, or the range that the request names.
pub(crate) fn file_response(request: &HttpRequest, name: &str, mut file: File) -> io::Result<StreamedResponse> {
    let metadata = file.metadata()?;
    let total = metadata.len();
    let written = metadata.modified()?;
    let nanos = written.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let etag = format!("\"{total:x}-{nanos:x}\"");
    let mut headers = vec![("etag".to_owned(), etag.clone()), ("accept-ranges".to_owned(), "bytes".to_owned())];
    let date =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    if let Ok(date) = OffsetDateTime::from(written).format(date) {
        headers.push(("last-modified".to_owned(), date));
    }
    let nothing = |status: u16, headers| Ok(StreamedResponse { status, headers, body: Box::new(io::empty()) });
    let names = |header: &str| {
        request.header(header).map(|tags| tags.trim() == "*" || tags.split(',').any(|tag| tag.trim() == etag))
    };
    if names("if-match") == Some(false) {
        return nothing(412, headers);
    }
    if names("if-none-match") == Some(true) {
        return nothing(304, headers);
    }
    let (status, from, to) = match request.header("range").map(|range| wanted(range, total)) {
        None | Some(ByteRange::Whole) => (200, 0, total),
        Some(ByteRange::Part(from, to)) => {
            headers.push(("content-range".to_owned(), format!("bytes {from}-{}/{total}", to - 1)));
            (206, from, to)
        }
        Some(ByteRange::Nothing) => {
            headers.push(("content-range".to_owned(), format!("bytes */{total}")));
            return nothing(416, headers);
        }
    };
    let name = safe_file_name(name);
    headers.push(("content-type".to_owned(), content_type(&name)));
    headers.push(("content-disposition".to_owned(), disposition(&name)));
    headers.push(("content-length".to_owned(), (to - from).to_string()));
    file.seek(SeekFrom::Start(from))?;
    Ok(StreamedResponse { status, headers, body: Box::new(file.take(to - from)) })
}

enum ByteRange {
    Whole,
    Part(u64, u64),
    Nothing,
}

/// A single range of bytes; several ranges, and invalid ones, are ignored.
fn wanted(range: &str, total: u64) -> ByteRange {
    let span = range.trim().strip_prefix("bytes=").and_then(|span| span.trim().split_once('-'));
    let Some((first, last)) = span else { return ByteRange::Whole };
    let (from, to) = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(from), Ok(last)) if last >= from => (from, last.saturating_add(1).min(total)),
        (Ok(from), Err(_)) if last.trim().is_empty() => (from, total),
        (Err(_), Ok(back)) if first.trim().is_empty() => (total.saturating_sub(back), total),
        _ => return ByteRange::Whole,
    };
    if from < to { ByteRange::Part(from, to) } else { ByteRange::Nothing }
}

fn content_type(name: &str) -> String {
    match mime_type(name) {
        Some(kind) if kind.starts_with("text/") => format!("{kind}; charset=utf-8"),
        Some(kind) => kind.to_owned(),
        None => "application/octet-stream".to_owned(),
    }
}

fn disposition(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let mut text = format!("inline; filename=\"{plain}\"");
    if plain != name {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        let escape = |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        text.push_str("; filename*=UTF-8''");
        text.extend(name.bytes().map(escape));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, expected) in [
            ("bytes=10-", Some((10, 26))),
            ("bytes=0-0", Some((0, 1))),
            ("bytes=10-99", Some((10, 26))),
            ("bytes=-5", Some((21, 26))),
            ("bytes=-99", Some((0, 26))),
            ("bytes=25-25", Some((25, 26))),
        ] {
            let ByteRange::Part(from, to) = wanted(range, 26) else { panic!("{range}") };
            assert_eq!(Some((from, to)), expected, "{range}");
        }
        for range in ["bytes=26-", "bytes=99-100", "bytes=-0"] {
            assert!(matches!(wanted(range, 26), ByteRange::Nothing), "{range}");
        }
        for range in ["bytes=5-3", "bytes=0-1,3-4", "lines=1-2", "bytes=x-y", "bytes=-", ""] {
            assert!(matches!(wanted(range, 26), ByteRange::Whole), "{range}");
        }
        assert!(matches!(wanted("bytes=0-", 0), ByteRange::Nothing));
    }

    #[test]
    fn names_in_headers() {
        assert_eq!(disposition("a photo.txt"), "inline; filename=\"a photo.txt\"");
        assert_eq!(disposition("é.txt"), "inline; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt");
    }
}
