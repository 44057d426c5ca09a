//! `contact_form`: messages & contact forms.

use crate::record::datetime::DateTime;
use crate::record::enums::ContactType;
use crate::record::id::{RecordId, StoreId};
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `contact_form` (messages & contact forms). Who edits it: any site, for one of its own stores;
    /// write-once, so a write of another version of one is refused. Central turns it into an e-mail.
    ///
    /// Deletion: never deleted.
    pub struct ContactForm("contact_form", ContactFormId) {
        group: ContactForms,
        style: RemoteToCentral,
        pulled: false,
        pushed: true,
        writers: StoreSite,
        deletion: Deletion::Never,
        scope: Scope::Store("store_id"),
        after: ["user", "store"],
        since: "2.5.0",
        fields: {
            id: ContactFormId = "id",
            reply_email: String = "reply_email",
            /// Text.
            body: String = "body",
            created_datetime: DateTime = "created_datetime",
            user_id: RecordId = "user_id",
            username: String = "username",
            /// Store of the user who wrote it.
            store_id: StoreId = "store_id",
            contact_type: ContactType = "contact_type",
        }
    }
}
