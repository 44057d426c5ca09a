//! Reports to a site of this library which of its records were refused or gave way to others, and why. Without that only
//! central's administrator would know.

use sha2::{Digest as _, Sha256};

use crate::central::Central;
use crate::error::{Error, Result};
use crate::protocol::hex;
use crate::protocol::v6::{Batch, PullRequest, RefusedRecord, ReportedRefusals};
use crate::record::SiteId;
use crate::storage::{Buffered, Quarantine, QuarantineCause, ReadTxn, Source};

/// The most records of the quarantine that are searched for one answer.
const SEARCHED_MAX: usize = 500;

/// The most records in one answer.
const REPORTED_MAX: usize = 20;

/// The most records that are followed until they are taken or refused.
const WAITING_MAX: usize = 20;

/// The most refused records that are followed until they are taken after all.
const REFUSED_MAX: usize = 100;

impl Central {
    /// Adds the records of the site that central did not take to the last batch of a pull, from where the site has noted them.
    /// The site says that itself, so nothing is lost with an answer. A site of Open mSupply gets none: it has no use for them.
    pub(in crate::central) fn report_refused(
        &self,
        site: SiteId,
        request: &PullRequest,
        batch: &mut Batch,
    ) -> Result<()> {
        let asked = request.refused_up_to.as_ref();
        let Some(noted) = asked.filter(|_| !request.is_dry_run && batch.is_last_batch) else { return Ok(()) };
        let txn = self.storage.read()?;
        let entry = |number: u64| {
            let mut found = txn.quarantined(number.saturating_sub(1), 1)?.into_iter();
            Ok::<_, Error>(found.find(|(row, _)| row.sequence == number))
        };
        let mut told = ReportedRefusals { up_to: noted.up_to, ..ReportedRefusals::default() };
        for number in noted.refused.iter().take(REFUSED_MAX) {
            if entry(*number)?
                .is_some_and(|(row, why)| row.incoming.source == Source::Site(site) && is_reported(why.cause))
            {
                told.refused.push(*number);
            }
        }
        let mut rows = Vec::new();
        for waiting in noted.waiting.iter().take(WAITING_MAX) {
            rows.extend(entry(*waiting)?);
        }
        rows.extend(txn.quarantined(noted.up_to, SEARCHED_MAX)?);
        for (row, why) in rows {
            let is_of_site = row.incoming.source == Source::Site(site);
            if is_of_site && is_reported(why.cause) && batch.refused.len() < REPORTED_MAX {
                told.refused.push(row.sequence);
                batch.refused.push(refused_record(txn.as_ref(), &row, &why)?);
            } else if is_of_site && is_reported(why.cause) && row.sequence > noted.up_to {
                // The next pull brings it, and the others.
                break;
            } else if is_of_site && why.cause != QuarantineCause::Ignored && told.waiting.len() < WAITING_MAX {
                told.waiting.push(row.sequence);
            }
            told.up_to = told.up_to.max(row.sequence);
        }
        batch.refused_up_to = Some(told);
        Ok(())
    }
}

/// What a site is told of a record. If another version won, that one is named: it may come with a later pull, or never, if the record
/// went to another site.
fn refused_record(txn: &dyn ReadTxn, row: &Buffered, why: &Quarantine) -> Result<RefusedRecord> {
    let (table, id) = (row.incoming.table.clone(), row.incoming.id.clone());
    let superseded = why.cause == QuarantineCause::Superseded;
    let (mut cursor, mut digest) = (None, None);
    if superseded {
        cursor = txn.written_at(&table, &id)?;
        digest = txn.record(&table, &id)?.map(|data| hex(&Sha256::digest(data.as_str())));
    }
    Ok(RefusedRecord { table, id, reason: why.reason.clone(), number: row.sequence, superseded, cursor, digest })
}

/// True for a decision that stands: what waits may still be taken.
fn is_reported(cause: QuarantineCause) -> bool {
    matches!(cause, QuarantineCause::Refused | QuarantineCause::Superseded)
}
