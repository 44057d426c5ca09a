//! `name-store-join`: a site makes a patient visible in one of its stores.

use super::{Central, Noted, Question, Refused};
use crate::apply::{self, Origin};
use crate::protocol::v6::{NameStoreJoinRequest, WireError};
use crate::record::{RecordData, RecordId, SiteId, TableName};
use crate::transport::{HttpRequest, HttpResponse};

impl Central {
    /// Answers 200 without a body, or 500 with a text: this question alone has no envelope (`protocol-v6` §8.7).
    pub(super) fn name_store_join(&self, request: &HttpRequest, noted: &Noted) -> HttpResponse {
        noted.question.set(Question::NameStoreJoin);
        let question: NameStoreJoinRequest = match self.read(request) {
            Ok(question) => question,
            Err(response) => return response,
        };
        let joined = self.admit(noted, &question.sync_v5_settings).map_err(Refused::from).and_then(|site| {
            noted.came_in(site, &question.sync_v5_settings);
            self.join(site, &question)
        });
        match joined {
            Ok(()) => HttpResponse { status: 200, headers: Vec::new(), body: Vec::new() },
            Err(Refused(WireError::OtherServerError(text))) => HttpResponse::text(500, text),
            Err(_) => HttpResponse::text(500, "Internal error: Error adding patient visibility"),
        }
    }

    fn join(&self, site: SiteId, question: &NameStoreJoinRequest) -> Result<(), Refused> {
        let wrong = |why: &str| {
            Err(Refused(WireError::OtherServerError(format!("Internal error: Error adding patient visibility: {why}"))))
        };
        let NameStoreJoinRequest { id, name_id, store_id, .. } = question;
        if id.as_str().is_empty() || id.as_str().len() > RecordId::BYTES_MAX {
            return wrong("the id of the join is empty or too long");
        }
        let txn = self.storage.write()?;
        if !txn.stores_of_site(site)?.contains(store_id) {
            return wrong("the store is not active on this site");
        }
        if !txn.has_record(&TableName::from("name"), &RecordId::from(name_id.as_str()))? {
            return wrong("the patient is not known here yet; sync, and try again");
        }
        if txn.is_visible(name_id, std::slice::from_ref(store_id))? {
            return Ok(());
        }
        let table = TableName::from("name_store_join");
        let data = RecordData::of(&serde_json::json!({
            "ID": id, "name_ID": name_id, "store_ID": store_id, "inactive": false,
        }));
        if let Some(held) = txn.record(&table, id)?
            && apply::scope(txn.as_ref(), &table, &held)? != (Some(store_id.clone()), Some(name_id.clone()))
        {
            return wrong("another join has this id");
        }
        apply::upsert_at_central(txn.as_ref(), &table, id, &data, Origin::Sync(Some(site)), self.clock.now())?;
        txn.wake_waiting(&table, id)?;
        txn.commit()?;
        self.announce_work();
        Ok(())
    }
}
