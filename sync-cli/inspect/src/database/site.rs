//! The identity of a database, and its progress.

use std::collections::HashMap;

use serde::Serialize;
use sync_core::protocol::masked_url;
use sync_core::protocol::v6::release;
use sync_core::{Message, Result};

use super::open::{Database, failed};
use crate::sentences::inspection as says;

/// The settings of synchronisation. Neither the password nor the token secret is read.
pub(super) struct Settings(HashMap<String, String>);

impl Settings {
    pub(super) fn read(database: &Database) -> Result<Self> {
        let sql = "SELECT id, COALESCE(value_string, CAST(value_bigint AS TEXT), CAST(value_int AS TEXT), \
                   CAST(value_bool AS TEXT)) FROM key_value_store \
                   WHERE id NOT LIKE '%PASSWORD%' AND id NOT LIKE '%SECRET%'";
        let mut query = database.connection.prepare(sql).map_err(failed)?;
        let rows = query.query_map((), |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?))).map_err(failed)?;
        let mut settings = HashMap::new();
        for row in rows {
            if let (key, Some(value)) = row.map_err(failed)? {
                settings.insert(key, value);
            }
        }
        Ok(Self(settings))
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }

    pub(super) fn number(&self, key: &str) -> Option<i64> {
        self.0.get(key)?.parse().ok()
    }

    /// The names of the settings with this in them, in order.
    pub(super) fn names_with(&self, part: &str) -> Vec<String> {
        let mut names: Vec<String> = self.0.keys().filter(|name| name.contains(part)).cloned().collect();
        names.sort();
        names
    }

    /// This site's number.
    pub(super) fn site(&self) -> Option<i64> {
        self.number("SETTINGS_SYNC_SITE_ID")
    }

    /// The legacy server's number.
    pub(super) fn legacy(&self) -> i64 {
        self.number("SETTINGS_SYNC_CENTRAL_SERVER_SITE_ID").unwrap_or(-1)
    }
}

/// The role of a server. Open mSupply keeps it only in memory, so it is derived from traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The Open mSupply central server.
    Central,
    /// A remote site.
    Remote,
    /// No trace shows it.
    Unknown,
}

impl Part {
    /// The role in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Central => "Open mSupply central server",
            Self::Remote => "remote site",
            Self::Unknown => "not known yet",
        }
    }
}

/// True if Open mSupply 3.0 or later wrote the database last.
pub(super) fn is_of_release_3(database: &Database) -> bool {
    database_version(database).as_deref().and_then(release).is_some_and(|release| release >= (3, 0, 0))
}

/// The version of Open mSupply that wrote the database last; `None` if it is none of Open mSupply.
pub(super) fn database_version(database: &Database) -> Option<String> {
    let settings = database.has_table("key_value_store").then(|| Settings::read(database).ok()).flatten()?;
    settings.text("DATABASE_VERSION")
}

/// A store that is active on a site.
#[derive(Debug, Serialize)]
pub struct Store {
    /// Its id.
    #[serde(rename = "store_id")]
    pub id: String,
    /// Its code.
    pub code: String,
}

/// Who a site is.
#[derive(Debug, Serialize)]
pub struct SiteIdentity {
    /// Its number on the legacy server.
    pub site_id: Option<i64>,
    /// Its UUID on the legacy server.
    pub site_uuid: Option<String>,
    /// Its name on the legacy server.
    pub site_name: Option<String>,
    /// The legacy server's address.
    pub legacy_url: Option<String>,
    /// The number of the legacy server itself.
    pub legacy_site_id: Option<i64>,
}

impl SiteIdentity {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            site_id: settings.site(),
            site_uuid: settings.text("SETTINGS_SYNC_SITE_UUID"),
            site_name: settings.text("SETTINGS_SYNC_USERNAME"),
            legacy_url: settings.text("SETTINGS_SYNC_URL").as_deref().map(masked_url),
            legacy_site_id: settings.number("SETTINGS_SYNC_CENTRAL_SERVER_SITE_ID"),
        }
    }
}

/// The identity of a database.
#[derive(Debug, Serialize)]
pub struct SiteFacts {
    /// The release that last wrote the database.
    pub version: Option<String>,
    /// Its role.
    pub role: Part,
    /// The trace that shows the role.
    pub role_because: Message,
    /// Who it is.
    #[serde(flatten)]
    pub identity: SiteIdentity,
    /// The time between two cycles.
    pub interval_seconds: Option<i64>,
    /// True if synchronisation is switched off; such cycles do nothing and count as done.
    pub disabled: bool,
    /// `not_started`, `initialising` or `initialised`.
    pub initialisation: &'static str,
    /// The active stores.
    pub stores: Vec<Store>,
}

impl SiteFacts {
    pub(super) fn read(database: &Database, settings: &Settings) -> Result<Self> {
        let (role, role_because) = part(database, settings)?;
        let (rows, done) = (
            database.number("SELECT COUNT(*) FROM sync_log", ())?,
            database.number("SELECT COUNT(*) FROM sync_log WHERE finished_datetime IS NOT NULL", ())?,
        );
        Ok(Self {
            version: settings.text("DATABASE_VERSION"),
            role,
            role_because,
            identity: SiteIdentity::of(settings),
            interval_seconds: settings.number("SETTINGS_SYNC_INTERVAL_SECONDS"),
            disabled: settings.number("SETTINGS_SYNC_IS_DISABLED") == Some(1),
            initialisation: match (rows, done) {
                (0, _) => "not_started",
                (_, 0) => "initialising",
                _ => "initialised",
            },
            stores: stores(database, settings)?,
        })
    }
}

fn part(database: &Database, settings: &Settings) -> Result<(Part, Message)> {
    if settings.number("SYNC_PULL_CURSOR_V6").is_some() {
        return Ok((Part::Remote, says::has_read_from_central()));
    }
    let source = database.column("sync_buffer", "source_site_id");
    let sql = format!("SELECT COUNT(*) FROM sync_buffer WHERE {source} IS NOT NULL AND {source} <> ?1");
    if database.number(&sql, [settings.legacy()])? > 0 {
        return Ok((Part::Central, says::sites_have_pushed()));
    }
    let pulled = database.column("sync_log", "pull_v6_started_datetime");
    let sql = format!("SELECT COUNT(*) FROM sync_log WHERE finished_datetime IS NOT NULL AND {pulled} IS NULL");
    if database.number(&sql, ())? > 0 {
        return Ok((Part::Central, says::reads_from_no_central()));
    }
    Ok((Part::Unknown, says::no_cycle_completed()))
}

fn stores(database: &Database, settings: &Settings) -> Result<Vec<Store>> {
    if !database.has_table("store") {
        return Ok(Vec::new());
    }
    let mut query =
        database.connection.prepare("SELECT id, code FROM store WHERE site_id = ?1 ORDER BY code").map_err(failed)?;
    let rows = query.query_map([settings.site()], |row| Ok(Store { id: row.get(0)?, code: row.get(1)? }));
    rows.and_then(Iterator::collect).map_err(failed)
}

/// The progress in each direction.
#[derive(Debug, Serialize)]
pub struct Cursors {
    /// The last position received of the legacy server's central data.
    pub pull_central: Option<i64>,
    /// The next position to read of central's changelog.
    pub pull_v6: Option<i64>,
    /// The next position of this changelog to push to the legacy server.
    pub push: Option<i64>,
    /// The next position of this changelog to push to central.
    pub push_v6: Option<i64>,
    /// The newest position of this changelog.
    pub changelog_end: i64,
    /// Impossible values in a sound database.
    pub doubts: Vec<Message>,
}

impl Cursors {
    pub(super) fn read(database: &Database, settings: &Settings) -> Result<Self> {
        let changelog_end = database.number("SELECT MAX(cursor) FROM changelog", ())?;
        let (push, push_v6) = (settings.number("REMOTE_SYNC_PUSH_CURSOR"), settings.number("SYNC_PUSH_CURSOR_V6"));
        let mut doubts = Vec::new();
        for (name, cursor) in [("push", push), ("push V6", push_v6)] {
            if cursor.is_some_and(|cursor| cursor > changelog_end + 1) {
                doubts.push(says::cursor_beyond_end(name));
            }
        }
        let (pull_central, pull_v6) =
            (settings.number("CENTRAL_SYNC_PULL_CURSOR"), settings.number("SYNC_PULL_CURSOR_V6"));
        Ok(Self { pull_central, pull_v6, push, push_v6, changelog_end, doubts })
    }
}
