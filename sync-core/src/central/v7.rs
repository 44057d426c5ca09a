//! Refuses V7, the protocol of Open mSupply 3.x, and says which protocol this server speaks. A new 3.x site speaks only V7; an
//! upgraded one stays with V5 and V6 until an answer in V5 says otherwise.

use serde_json::json;

use crate::central::handled_request::Endpoint;
use crate::central::request_log::RequestTrace;
use crate::protocol::v6::{V6_VERSION_MAX, V6_VERSION_MIN};
use crate::site::release_3::SPEAKS_V6;
use crate::transport::HttpResponse;

/// The beginning of every path of V7.
pub(super) const PREFIX: &str = "central/sync_v7/";

/// Refuses any request of V7, in the envelope of V7. Of its errors only `Other` has a text, which the site shows to its
/// user.
pub(super) fn refused(trace: &RequestTrace) -> HttpResponse {
    trace.endpoint.set(Endpoint::V7);
    trace.error.set(Some("other"));
    let said = format!(
        "{SPEAKS_V6} (versions {V6_VERSION_MIN} to {V6_VERSION_MAX}) of Open \
         mSupply 2.x, and not V7, which a new site of Open mSupply 3.x needs. Nothing was changed. Set this site up with \
         Open mSupply 2.x, or ask your administrator for the address of a 3.x central server"
    );
    HttpResponse::json(200, json!({ "Err": { "Other": said } }).to_string().into_bytes())
}
