//! Push: a site's records into the sync buffer, and integration once the last batch is there.

use super::{Central, Refused};
use crate::protocol::v6::{PushRequest, PushResult};
use crate::record::SiteId;
use crate::storage::{Incoming, Lost, Source};

impl Central {
    pub(super) fn push(&self, site: SiteId, request: PushRequest) -> Result<PushResult, Refused> {
        let records_pushed = request.batch.records.len() as u64;
        let is_last = request.batch.is_last_batch;
        let now = self.clock.now();
        let txn = self.storage.write()?;
        for element in request.batch.records {
            let record = element.record;
            let incoming = Incoming {
                source: Source::Site(site),
                table: record.table_name,
                id: record.record_id,
                action: record.action,
                data: record.record_data,
                quarantine: None,
            };
            txn.stage(&incoming, now)?;
        }
        if is_last {
            txn.request_integration(site, now)?;
        }
        let lost_history = Lost::all(txn.as_ref())?;
        txn.commit()?;
        if is_last {
            self.announce_work();
        }
        Ok(PushResult { records_pushed, lost_history })
    }
}
