//! Reports to a site of this library which of its records were refused or gave way to others, and why. Without that only
//! central's administrator would know.

use crate::central::Central;
use crate::error::Result;
use crate::protocol::v6::{Batch, PullRequest, RefusedRecord};
use crate::record::SiteId;
use crate::storage::{QuarantineCause, Source, state};

/// The most records of the quarantine that are searched for one answer.
const SEARCHED_MAX: usize = 500;

/// The most records in one answer.
const REPORTED_MAX: usize = 20;

/// The most data of other sites' records that is read again for each answer.
const READ_AGAIN_MAX: usize = 64 * 1024;

impl Central {
    /// Adds the records of the site that central did not take since the last report to the last batch of a pull. A site of Open
    /// mSupply gets none: it has no use for them.
    pub(in crate::central) fn report_refused(
        &self,
        site: SiteId,
        request: &PullRequest,
        batch: &mut Batch,
    ) -> Result<()> {
        if request.is_dry_run || request.push_chain.is_none() || !batch.is_last_batch {
            return Ok(());
        }
        let reported = state::REFUSED_TOLD_TO_SITE.of(site);
        let rows = {
            let txn = self.storage.read()?;
            txn.quarantined(reported.get(txn.as_ref())?, SEARCHED_MAX)?
        };
        let Some(last) = rows.last().map(|(row, _)| row.sequence) else { return Ok(()) };
        let bytes: usize = rows.iter().map(|(row, _)| row.incoming.data.as_str().len()).sum();
        let is_much = rows.len() == SEARCHED_MAX || bytes > READ_AGAIN_MAX;
        let of_site =
            rows.into_iter().filter(|(row, why)| row.incoming.source == Source::Site(site) && is_reported(why.cause));
        let mut reported_to = last;
        for (row, why) in of_site {
            if batch.refused.len() == REPORTED_MAX {
                // The next pull brings the others.
                break;
            }
            reported_to = row.sequence;
            batch.refused.push(RefusedRecord { table: row.incoming.table, id: row.incoming.id, reason: why.reason });
        }
        if batch.refused.len() < REPORTED_MAX {
            reported_to = last;
        }
        // A few records of other sites alone are no reason to write.
        if batch.refused.is_empty() && !is_much {
            return Ok(());
        }
        let txn = self.storage.write()?;
        reported.set(txn.as_ref(), reported_to)?;
        txn.commit()
    }
}

/// True for a decision that stands: what waits may still be taken.
fn is_reported(cause: QuarantineCause) -> bool {
    matches!(cause, QuarantineCause::Refused | QuarantineCause::Superseded)
}
