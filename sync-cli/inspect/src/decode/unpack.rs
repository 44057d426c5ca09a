//! The packing of a body: gzip, and the parts of an upload.

use std::io::Read as _;

use sync_core::{Error, Message, Result};

use crate::sentences::input_given as given;

/// The most bytes to unpack: more than any end of the protocol accepts.
const UNPACKED_MAX: u64 = 256 * 1024 * 1024;

/// Unpacks gzip.
pub(super) fn unpacked(bytes: &[u8]) -> Result<Vec<u8>> {
    let bad = |why: Message| Err(Error::bad_input(why));
    let mut all = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(UNPACKED_MAX + 1);
    match reader.read_to_end(&mut all) {
        Err(error) => bad(given::gzip_unreadable(error.to_string())),
        Ok(_) if all.len() as u64 > UNPACKED_MAX => bad(given::gzip_too_large(UNPACKED_MAX)),
        Ok(_) => Ok(all),
    }
}

/// The JSON part of an upload, if the body begins like one.
pub(super) fn json_part(bytes: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"name=\"json_part\"";
    let find = |within: &[u8], what: &[u8]| within.windows(what.len()).position(|window| window == what);
    let after_name = bytes.starts_with(b"--").then(|| find(bytes, NAME)).flatten()? + NAME.len();
    let content = after_name + find(&bytes[after_name..], b"\r\n\r\n")? + 4;
    let length = find(&bytes[content..], b"\r\n--")?;
    Some(&bytes[content..content + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_is_json() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"file_part\"; filename=\"x\"\r\n\r\nname=\r\n--b\r\n\
            Content-Disposition: form-data; name=\"json_part\"\r\nContent-Type: application/json\r\n\r\n{\"a\":1}\r\n--b--";
        assert_eq!(json_part(body), Some(&b"{\"a\":1}"[..]));
        assert_eq!(json_part(b"--b\r\nname=\"json_part\"\r\n\r\n{\"a\":1}"), None);
        assert_eq!(json_part(b"{}"), None);
    }
}
