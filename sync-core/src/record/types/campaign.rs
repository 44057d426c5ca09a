//! `campaign`: campaigns.

use crate::record::datetime::{Date, DateTime};
use crate::record::record_type::{Deletion, Scope, record_type};

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
        scope: Scope::None,
        after: [],
        since: "2.8.0",
        key: "id",
        fields: {
            /// Primary key; equals the envelope recordId.
            id: CampaignId = "id",
            /// Name.
            name: String = "name",
            /// Start date.
            start_date: Option<Date> = "start_date",
            /// End date.
            end_date: Option<Date> = "end_date",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
        }
    }
}
