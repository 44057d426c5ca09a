//! Tells a site of this project which of its records were refused, and why: otherwise only central's administrator would know.

use crate::central::Central;
use crate::error::Result;
use crate::protocol::v6::{Batch, PullRequest, RefusedRecord};
use crate::record::SiteId;
use crate::storage::{QuarantineCause, Source, state};

/// The most records of the quarantine that one answer looks at, and names.
const LOOKED_AT: usize = 500;
const NAMED: usize = 20;

impl Central {
    /// Adds the records of the site that were refused since it was told last to the last batch of a pull. A site of Open
    /// mSupply gets none: it has no use for them.
    pub(in crate::central) fn tell_of_refused(
        &self,
        site: SiteId,
        request: &PullRequest,
        batch: &mut Batch,
    ) -> Result<()> {
        if request.is_dry_run || request.push_chain.is_none() || !batch.is_last_batch {
            return Ok(());
        }
        let told = state::REFUSED_TOLD_TO_SITE.of(site);
        let rows = {
            let txn = self.storage.read()?;
            txn.quarantined(told.get(txn.as_ref())?, LOOKED_AT)?
        };
        let Some(last) = rows.last().map(|(row, _)| row.sequence) else { return Ok(()) };
        let is_full = rows.len() == LOOKED_AT;
        let of_site = rows
            .into_iter()
            .filter(|(row, why)| row.incoming.source == Source::Site(site) && why.cause == QuarantineCause::Refused);
        let named = of_site.take(NAMED).map(|(row, why)| RefusedRecord {
            table: row.incoming.table,
            id: row.incoming.id,
            reason: why.reason,
        });
        batch.refused = named.collect();
        // Records of other sites alone are no reason to write.
        if batch.refused.is_empty() && !is_full {
            return Ok(());
        }
        let txn = self.storage.write()?;
        told.set(txn.as_ref(), last)?;
        txn.commit()
    }
}
