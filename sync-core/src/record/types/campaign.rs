//! `campaign`: campaigns.

use crate::record::datetime::{Date, DateTime};
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `campaign` (campaigns). Who edits it: open mSupply central server only (central-only mutations).
    ///
    /// Deletion: soft delete carried by an ordinary upsert.
    pub struct Campaign("campaign", CampaignId) {
        group: Campaigns,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Soft("deleted_datetime"),
        since: "2.8.0",
        fields: {
            id: CampaignId = "id",
            name: String = "name",
            start_date: Option<Date> = "start_date",
            end_date: Option<Date> = "end_date",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
        }
    }
}
