//! Whether another copy of this site's database lives, as far as central or the watermark has seen it.

use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::role::Role;
use crate::storage::state::role;
use crate::storage::{ReadTxn, Storage, state};
use crate::text::Message;
use crate::text::sentences::doctor as say;

/// A report of another copy that is this old no longer counts.
const RECENT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Another copy of the database of this site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum OtherCopy {
    /// That one acts as this site, and central refuses this one.
    Continues {
        /// The name of the site.
        site: String,
        /// When that one pushed.
        since: String,
    },
    /// This one acts as the site, and central refused the other one in the last seven days.
    Refused {
        /// When central refused it last.
        refused_at: Timestamp,
    },
    /// The file was moved or copied here, and nothing has been pushed since: the original may still run.
    MayRun,
}

impl OtherCopy {
    /// What it means.
    pub fn says(&self) -> Message {
        match self {
            Self::Continues { site, since } => {
                Message::of(&Error::DatabaseCopied { site: site.clone(), since: since.clone() })
            }
            Self::Refused { refused_at } => say::copy_refused(*refused_at),
            Self::MayRun => say::file_came_here(),
        }
    }

    /// What to do.
    pub fn advice(&self) -> Message {
        match self {
            Self::Continues { .. } => Message::advice("database_copied"),
            Self::Refused { .. } => say::stop_the_other(),
            Self::MayRun => say::if_original_runs(),
        }
    }
}

/// The other copy of this database, if one was seen.
pub(crate) fn other_copy(storage: &dyn Storage, txn: &dyn ReadTxn, now: Timestamp) -> Result<Option<OtherCopy>> {
    if let Some(since) = state::COPY_GOES_ON.get(txn)? {
        return Ok(Some(OtherCopy::Continues { site: state::SITE_NAME.get(txn)?, since }));
    }
    let refused = state::COPY_REFUSED_AT.get(txn)?.filter(|at| now.since(*at) < RECENT);
    if let Some(refused_at) = refused {
        return Ok(Some(OtherCopy::Refused { refused_at }));
    }
    let came_here = storage.came_here() || state::FILE_CAME_HERE.get(txn)?.is_some();
    // A central server pushes nothing, so nothing would ever end the warning there.
    Ok((came_here && role(txn)? != Some(Role::Central)).then_some(OtherCopy::MayRun))
}
