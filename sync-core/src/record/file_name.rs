//! Safe names: of a file on this disk, and for display and sending.

use sha2::{Digest as _, Sha256};

use crate::record::RecordId;

/// The most bytes of a cleaned name. Open mSupply prefixes an id of 36 bytes and a `_`, and disks allow 255.
const NAME_BYTES_MAX: usize = 150;

/// Names of devices on Windows, with anything after their first dot.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// The name of a file on this disk, made of its id alone. A lower-case UUID, as Open mSupply uses, is its own name; any
/// other id is hashed, so that `../`, a device, a NUL or ids that differ only in case do no harm. Its last two
/// characters are hex digits.
pub(crate) fn disk_name(id: &RecordId) -> String {
    let id = id.as_str();
    let is_uuid = uuid::Uuid::try_parse(id).is_ok_and(|uuid| uuid.hyphenated().to_string() == id);
    if is_uuid { id.to_owned() } else { format!("id-{:x}", Sha256::digest(id.as_bytes())) }
}

/// A name that any system accepts as that of one file in one folder, as similar to the given one as possible. File
/// names from peers go through this before any use except display.
pub fn safe_file_name(name: &str) -> String {
    let harmless = |c: char| if c.is_control() || r#"/\:*?"<>|"#.contains(c) { '_' } else { c };
    let name: String = name.chars().map(harmless).collect();
    // Windows drops dots and spaces at the end; a dot at the beginning hides a file.
    let name = name.trim_end_matches(['.', ' ']).trim_start_matches(['.', ' ']);
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let is_port = |prefix: &str| stem.strip_prefix(prefix).is_some_and(|rest| rest.chars().count() == 1);
    let is_device = DEVICES.contains(&stem.as_str()) || is_port("com") || is_port("lpt");
    let name = match name {
        "" => "file".to_owned(),
        name if is_device => format!("_{name}"),
        name => name.to_owned(),
    };
    shortened(&name)
}

/// The name cut to its limit, at a character, with its extension kept where that is short.
fn shortened(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let extension = name.rfind('.').map_or("", |dot| &name[dot..]);
    let extension = if extension.len() <= 10 { extension } else { "" };
    let mut end = NAME_BYTES_MAX - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", name[..end].trim_end_matches(['.', ' ']))
}

/// The most likely MIME type of a file with this name.
pub(crate) fn mime_type(name: &str) -> Option<&'static str> {
    let extension = name.rsplit_once('.')?.1.to_lowercase();
    Some(match extension.as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "csv" => "text/csv",
        "json" => "application/json",
        "zip" => "application/zip",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "mp4" => "video/mp4",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_disk_are_made_of_harmless_characters_and_never_meet() {
        let uuid = "0193a0c4-7c5e-7d4e-9b1a-3f2b1c0d9e8f";
        assert_eq!(disk_name(&RecordId::from(uuid)), uuid);
        let long = "x".repeat(10_000);
        let ids = ["../../etc/passwd", "/etc/passwd", "a\0b", "NUL", "con", "CON", "", ".", "..", "a", "A", &long];
        let upper = uuid.to_uppercase();
        let braced = format!("{{{uuid}}}");
        let mut names: Vec<String> =
            ids.into_iter().chain([upper.as_str(), &braced, uuid]).map(|id| disk_name(&id.into())).collect();
        for name in &names {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
            assert!(name.len() < 80 && !name.starts_with('-'), "{name}");
            assert!(name[name.len() - 2..].chars().all(|c| c.is_ascii_hexdigit()), "{name}");
        }
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn names_that_are_sent_and_shown() {
        for (given, safe) in [
            ("fridge door é.jpg", "fridge door é.jpg"),
            ("../../etc/passwd", "_.._etc_passwd"),
            (r"C:\Users\me\a.txt", "C__Users_me_a.txt"),
            ("a\0b\r\nc\".txt", "a_b__c_.txt"),
            ("NUL", "_NUL"),
            ("aux.jpg", "_aux.jpg"),
            ("com1.txt", "_com1.txt"),
            ("COM¹", "_COM¹"),
            ("community.txt", "community.txt"),
            ("nul .txt", "_nul .txt"),
            ("", "file"),
            ("...", "file"),
            (" . ", "file"),
            (".hidden", "hidden"),
            ("ends. ", "ends"),
        ] {
            assert_eq!(safe_file_name(given), safe, "{given:?}");
            assert_eq!(safe_file_name(safe), safe, "once is enough");
        }
        let long = safe_file_name(&format!("{}.jpeg", "é".repeat(500)));
        assert!(long.len() <= NAME_BYTES_MAX && long.ends_with("é.jpeg"), "{long}");
        assert!(safe_file_name(&format!("a.{}", "x".repeat(900))).len() <= NAME_BYTES_MAX);
    }
}
