//! Site info: the identity of a site, and the address of the central server (`protocol-v5` §4).

use serde::{Deserialize, Serialize};

use super::idle_check::IdleAnswers;
use crate::protocol::v6::if_it_is_ours;
use crate::record::SiteId;

/// The answer to `GET /sync/v5/site`. Keys that the cycle does not need may be missing, and an unknown status is kept
/// (weak point B19).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteInfo {
    /// The site's own UUID; must never change for a database.
    pub id: String,
    /// The site's number.
    pub site_id: SiteId,
    /// The site's code.
    #[serde(default)]
    pub code: String,
    /// The site's name.
    #[serde(default)]
    pub name: String,
    /// The state of the site's initialisation.
    pub initialisation_status: InitialisationStatus,
    /// True if this site is the Open mSupply central server.
    #[serde(default)]
    pub is_om_supply_central_server: bool,
    /// The address of the Open mSupply central server; may be empty.
    #[serde(default)]
    pub om_supply_central_server_url: String,
    /// The number of the legacy server's own site; missing before v2.9.0.
    #[serde(default, rename = "mSupplyCentralSiteId")]
    pub msupply_central_site_id: Option<SiteId>,
    /// The answers to the requests that follow, if the site asked with a header and nothing is new. Only in this project.
    #[serde(default, deserialize_with = "if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub idle_answers: Option<IdleAnswers>,
}

/// The state of a site's initialisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "each is its spelling on the wire")]
pub enum InitialisationStatus {
    New,
    Started,
    Completed,
    Error,
    /// A status unknown to this version.
    #[serde(untagged)]
    Unknown(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_spec() {
        let json = r#"{"id":"5F2C0F6E9A7B4C1D8E3F0A1B2C3D4E5F","siteId":107,"code":"D07","name":"District 07","initialisationStatus":"completed","isOmSupplyCentralServer":false,"omSupplyCentralServerUrl":"https://oms.example.org","mSupplyCentralSiteId":1}"#;
        let info: SiteInfo = serde_json::from_str(json).unwrap();
        assert_eq!(info.site_id, SiteId(107));
        assert_eq!(info.initialisation_status, InitialisationStatus::Completed);
        assert_eq!(serde_json::to_string(&info).unwrap(), json);
    }

    #[test]
    fn tolerant_of_what_the_cycle_can_do_without() {
        let info: SiteInfo =
            serde_json::from_str(r#"{"id":"x","siteId":1,"initialisationStatus":"paused","syncVersion":"v7"}"#)
                .unwrap();
        assert_eq!(info.initialisation_status, InitialisationStatus::Unknown("paused".to_owned()));
        assert_eq!(info.msupply_central_site_id, None);
        assert!(serde_json::from_str::<SiteInfo>(r#"{"siteId":1,"initialisationStatus":"new"}"#).is_err(), "no id");
    }
}
