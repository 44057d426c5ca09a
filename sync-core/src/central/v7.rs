//! Tells sites of Open mSupply 3.x which protocol this server speaks. A fresh 3.x site asks only for V7; an upgraded one
//! goes on with V5 and V6 until an answer in V5 tells it to change over.

use serde_json::json;

use crate::central::handled_request::Endpoint;
use crate::central::request_log::RequestTrace;
use crate::protocol::v6::{V6_VERSION_MAX, V6_VERSION_MIN};
use crate::transport::HttpResponse;

/// What every path of V7 starts with.
pub(super) const PREFIX: &str = "central/sync_v7/";

/// Refuses any request of V7, whoever asks, in the envelope of V7. `Other` is the one error there that has a text, which
/// the site shows to its user.
pub(super) fn refused(trace: &RequestTrace) -> HttpResponse {
    trace.endpoint.set(Endpoint::V7);
    trace.error.set(Some("other"));
    let said = format!(
        "This central server speaks the sync protocol V6 (versions {V6_VERSION_MIN} to {V6_VERSION_MAX}) of Open \
         mSupply 2.x, and not V7, which a new site of Open mSupply 3.x needs. Nothing was changed. Set this site up with \
         Open mSupply 2.x, or ask your administrator for the address of a 3.x central server"
    );
    HttpResponse::json(200, json!({ "Err": { "Other": said } }).to_string().into_bytes())
}
