//! The credentials object inside every V6 request (`protocol-v6` §4.1).

use std::fmt;

use serde::{Deserialize, Serialize};

/// The caller. All seven keys are required strings.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The site's address of the legacy server; central ignores it.
    pub server_url: String,
    /// The site's name.
    pub username: String,
    /// Lower-case hex SHA-256 of the site's password; as powerful as the password.
    pub password_sha256: String,
    /// The hardware id of the calling machine.
    pub site_uuid: String,
    /// The application's version, such as `2.19.0`.
    pub app_version: String,
    /// The application's name.
    pub app_name: String,
    /// The V5 API version of the site, as text.
    pub sync_version: String,
}

impl fmt::Debug for Credentials {
    /// Shows the name and versions only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("app_version", &self.app_version)
            .finish_non_exhaustive()
    }
}
