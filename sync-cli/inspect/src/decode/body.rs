//! The body of a message: finds its kind by its keys.

use serde_json::value::RawValue;
use sync_core::protocol::v5::Acknowledged;
use sync_core::protocol::v6::WireError;
use sync_core::record::Fields;
use sync_core::text_input::as_utf8;
use sync_core::{Error, Message, Result};

use super::decoded::{Decoded, shown, unknown};
use super::unpack::{json_part, unpacked};
use super::{answer, records, request, v7};
use crate::sentences::{decoded_kind as kinds, decoded_wrong as wrong, input_given as given};

pub(super) fn body(bytes: &[u8]) -> Result<Decoded> {
    let none = |why: Message| Err(Error::bad_input(why));
    // Only once: the protocol packs nothing twice.
    let whole = bytes.starts_with(&[0x1f, 0x8b]).then(|| unpacked(bytes)).transpose()?;
    let bytes = &*as_utf8(whole.as_deref().unwrap_or(bytes));
    if let Some(part) = json_part(bytes) {
        return Ok(request::upload(&String::from_utf8_lossy(part)));
    }
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    if text.is_empty() {
        return none(given::empty());
    }
    if text.starts_with('<') {
        return none(given::web_page());
    }
    if let Some(decoded) = answer::in_words(text) {
        return Ok(decoded);
    }
    let raw: Box<RawValue> = match serde_json::from_str(text) {
        Ok(raw) => raw,
        Err(error) if error.is_eof() => return none(given::cut_off(error.to_string())),
        Err(error) => return none(given::not_json(error.to_string())),
    };
    let mut decoded = of_kind(raw.get());
    if std::str::from_utf8(bytes).is_err() {
        decoded.wrong(wrong::not_utf8());
    }
    Ok(decoded)
}

/// Finds the kind of a message by its keys, which no two kinds share.
fn of_kind(json: &str) -> Decoded {
    let Some(fields) = Fields::parse(json) else {
        if let Ok(list) = serde_json::from_str::<Vec<Box<RawValue>>>(json) {
            return records::list(&list);
        }
        // The one error that is a plain text, and anything else.
        return match serde_json::from_str::<WireError>(json) {
            Ok(error) => answer::wire_error(&error),
            Err(_) => unknown(wrong::neither_object_nor_list()),
        };
    };
    let has = |key: &str| fields.get(key).is_some();
    let only = |key: &str| has(key) && fields.iter().count() == 1;
    if let Some(decoded) = v7::message(&fields) {
        return decoded;
    }
    let is_request = ["syncV5Settings", "sync_v5_settings", "isInitialised", "batchSize"].into_iter().any(has);
    if is_request || (has("cursor") && !has("record")) {
        request::request(json, &fields)
    } else if only("data") || only("error") {
        answer::answer(json)
    } else if has("end_cursor") || has("is_last_batch") || has("total_records") {
        records::v6_batch(json)
    } else if has("maxCursor") {
        records::central_records(json)
    } else if has("queueLength") {
        records::queue(&fields)
    } else if has("initialisationStatus") || has("siteId") {
        answer::site_info(json)
    } else if has("integrationStarted") {
        let mut decoded = Decoded::new(kinds::pushed_to_legacy());
        decoded.raw_fact("integration started", &fields, "integrationStarted");
        decoded
    } else if has("syncIDs") {
        acknowledged(json)
    } else if has("name_ID") && has("store_ID") {
        let mut decoded = Decoded::new(kinds::join_at_legacy());
        for (name, key) in [("record", "ID"), ("patient", "name_ID"), ("store", "store_ID")] {
            decoded.raw_fact(name, &fields, key);
        }
        decoded
    } else if has("tableName") || has("recordId") || has("record") {
        records::single(json)
    } else if has("code") && has("message") {
        let mut decoded = Decoded::new(kinds::legacy_status());
        decoded.raw_fact("code", &fields, "code");
        decoded.raw_fact("message", &fields, "message");
        decoded
    } else if fields.iter().count() == 0 {
        Decoded::new(kinds::asks_to_initialise())
    } else if let Ok(error) = serde_json::from_str::<WireError>(json) {
        answer::wire_error(&error)
    } else {
        unknown(wrong::no_known_key())
    }
}

fn acknowledged(json: &str) -> Decoded {
    let mut decoded = Decoded::new(kinds::acknowledged());
    if let Some(Acknowledged { sync_ids }) = decoded.read(json) {
        decoded.fact("records", sync_ids.len());
        decoded.fact("ids", shown(&sync_ids.join(", ")));
    }
    decoded
}
