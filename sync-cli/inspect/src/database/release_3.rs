//! What a database of Open mSupply 3.x says about its synchronisation. Its tables have other columns than those of 2.x, so only the
//! settings are read.

use std::path::Path;

use serde::Serialize;
use sync_core::text::Localize;
use sync_core::{Message, Result};

use super::open::Database;
use super::site::{Settings, SiteIdentity};
use crate::sentences::release_3 as says;

/// The protocol by which a server of Open mSupply 3.x synchronises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaks {
    /// V5 and V6, as a site that was upgraded from 2.x does until the legacy server names an address for V7.
    V6,
    /// V7.
    V7,
}

/// The report on a database of Open mSupply 3.x.
#[derive(Debug, Serialize)]
pub struct Release3 {
    /// The file, as given.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// True if a copy was read, because a log was beside the file.
    pub read_from_copy: bool,
    /// The release that last wrote the database.
    pub version: String,
    /// The identity of the site.
    #[serde(flatten)]
    pub site: SiteIdentity,
    /// The protocol of its next cycle, as far as the settings show it.
    pub speaks: Speaks,
    /// That protocol in words.
    pub meaning: Message,
    /// Its progress in reading and sending.
    #[serde(rename = "cursors")]
    pub positions: Positions,
    /// The names of its settings of V7. Their values may be secret, and are not told.
    pub v7_settings: Vec<String>,
    /// What to do.
    pub advice: Message,
}

/// The progress in each direction. A site that changes to V7 goes on with those of V6.
#[derive(Debug, Serialize)]
pub struct Positions {
    /// The last position received of the legacy server's central data.
    pub pull_central: Option<i64>,
    /// The next position to read of central's changelog.
    pub pull_v6: Option<i64>,
    /// The next position of this changelog to push to the legacy server.
    pub push: Option<i64>,
    /// The next position of this changelog to push to central.
    pub push_v6: Option<i64>,
    /// The newest position of this changelog, if it can be read.
    pub changelog_end: Option<i64>,
}

impl Localize for Release3 {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        each(&mut self.meaning);
        each(&mut self.advice);
    }
}

impl Release3 {
    pub(super) fn read(path: &Path, database: &Database, version: String) -> Result<Self> {
        let settings = Settings::read(database)?;
        let v7_settings = settings.names_with("V7");
        let pull_v6 = settings.number("SYNC_PULL_CURSOR_V6");
        // A site that never read over V6 was set up with V7.
        let speaks = if v7_settings.is_empty() && pull_v6.is_some() { Speaks::V6 } else { Speaks::V7 };
        let (meaning, advice) = match speaks {
            Speaks::V6 => (says::speaks_v6(), says::serve_v6()),
            Speaks::V7 => (says::speaks_v7(), says::needs_release_3()),
        };
        Ok(Self {
            file: path.display().to_string(),
            bytes: path.metadata().map_or(0, |data| data.len()),
            read_from_copy: database.is_copy(),
            version,
            site: SiteIdentity::of(&settings),
            speaks,
            meaning,
            positions: Positions {
                pull_central: settings.number("CENTRAL_SYNC_PULL_CURSOR"),
                pull_v6,
                push: settings.number("REMOTE_SYNC_PUSH_CURSOR"),
                push_v6: settings.number("SYNC_PUSH_CURSOR_V6"),
                changelog_end: database.number("SELECT MAX(cursor) FROM changelog", ()).ok(),
            },
            v7_settings,
            advice,
        })
    }
}
