//! Recognises messages of V7, the protocol of Open mSupply 3.x, and says what they mean for sites of 2.x. Tokens and
//! passwords are never shown.

use sync_core::record::Fields;

use super::decoded::{Decoded, shown};
use crate::sentences::{decoded_kind as kinds, decoded_means as means};

/// A message of V7 by its keys, which no message of V5 or V6 has.
pub(super) fn message(fields: &Fields<'_>) -> Option<Decoded> {
    let has = |key: &str| fields.get(key).is_some();
    let only = |key: &str| has(key) && fields.iter().count() == 1;
    let is_refusal = only("Err");
    let asks_for_token = has("passwordSha256") && has("hardwareId");
    if !(is_refusal || only("Ok") || asks_for_token || has("lastCursorInBatch")) {
        return None;
    }
    let mut decoded = Decoded::new(kinds::v7());
    if let Some(error) = fields.get("Err").filter(|_| is_refusal) {
        decoded.fact("means", means::v7_refusal());
        decoded.fact("as sent", shown(error.get()));
        return Some(decoded);
    }
    decoded.fact("means", means::v7_message());
    for key in ["siteId", "lastCursorInBatch", "remaining", "maxCursor", "name"] {
        if has(key) {
            decoded.raw_fact(known(key), fields, key);
        }
    }
    Some(decoded)
}

/// How a key is called among the facts.
fn known(key: &str) -> &'static str {
    match key {
        "siteId" => "site",
        "lastCursorInBatch" => "end cursor",
        "remaining" => "records left",
        "maxCursor" => "newest position",
        _ => "site name",
    }
}
