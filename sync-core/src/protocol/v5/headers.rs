//! Headers and authentication of every V5 request (`protocol-v5` §2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::protocol::{AppIdentity, PasswordHash};

/// The V5 API version that a site sends (v2.13.0 to v2.19.00).
pub const V5_VERSION: u32 = 14;

/// Names of the headers.
pub mod header {
    /// Basic site name and password hash.
    pub const AUTHORIZATION: &str = "authorization";
    /// The hardware id of the machine.
    pub const SITE_UUID: &str = "msupply-site-uuid";
    /// The application's version.
    pub const APP_VERSION: &str = "app-version";
    /// The application's name.
    pub const APP_NAME: &str = "app-name";
    /// The V5 API version.
    pub const VERSION: &str = "version";
}

/// The caller in V5 headers.
#[derive(Clone, PartialEq, Eq)]
pub struct SiteHeaders {
    /// The site's name.
    pub site_name: String,
    /// The hash of its password.
    pub password: PasswordHash,
    /// The hardware id of the machine.
    pub hardware_id: String,
    /// The application.
    pub app: AppIdentity,
    /// The V5 API version.
    pub version: u32,
}

impl std::fmt::Debug for SiteHeaders {
    /// Shows name and application only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SiteHeaders")
            .field("site_name", &self.site_name)
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

impl SiteHeaders {
    /// The headers of a request.
    pub fn to_headers(&self) -> Vec<(String, String)> {
        let login = STANDARD.encode(format!("{}:{}", self.site_name, self.password.expose()));
        [
            (header::AUTHORIZATION, format!("Basic {login}")),
            (header::SITE_UUID, self.hardware_id.clone()),
            (header::APP_VERSION, self.app.version.clone()),
            (header::APP_NAME, self.app.name.clone()),
            (header::VERSION, self.version.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Reads the headers of a request; `None` without readable Basic credentials. Other headers may be missing.
    pub fn from_headers<'a>(find: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let login = find(header::AUTHORIZATION)?;
        let encoded = login.get(..6).filter(|scheme| scheme.eq_ignore_ascii_case("basic ")).map(|_| &login[6..])?;
        let login = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (site_name, hash) = login.split_once(':')?;
        let text = |name| find(name).unwrap_or_default().to_owned();
        Some(Self {
            site_name: site_name.to_owned(),
            password: PasswordHash::from_hex(hash),
            hardware_id: text(header::SITE_UUID),
            app: AppIdentity { version: text(header::APP_VERSION), name: text(header::APP_NAME) },
            version: find(header::VERSION).and_then(|v| v.trim().parse().ok()).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the spec.
    #[test]
    fn basic_authentication() {
        let headers = SiteHeaders {
            site_name: "district-07".to_owned(),
            password: PasswordHash::of_password("river-gate"),
            hardware_id: "7c1f0b52e9d14a6f8e3a5d21c0b9f6aa".to_owned(),
            app: AppIdentity::default(),
            version: V5_VERSION,
        };
        let sent = headers.to_headers();
        assert_eq!(
            sent[0].1,
            "Basic ZGlzdHJpY3QtMDc6YTM0YmY3MTc4ZjdiZmRhMjFmOWEzNDY0MDY4NDIyZGNlNTMyYWRmZTk0ZTI2ZmI5ZDRjM2E3OWYwMTRiNGY3OA=="
        );
        let find = |name: &str| sent.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(SiteHeaders::from_headers(find), Some(headers));
    }

    #[test]
    fn no_credentials() {
        for login in ["", "Basic", "Bearer abc", "Basic !!!", "Basic bm9jb2xvbg==", "Bäsic x"] {
            assert_eq!(
                SiteHeaders::from_headers(|name| (name == header::AUTHORIZATION).then_some(login)),
                None,
                "{login}"
            );
        }
    }
}
