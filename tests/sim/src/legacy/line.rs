//! What travels between the sites and the legacy server.

use serde::Deserialize;
use sync_core::protocol::v6::Action;
use sync_core::record::RecordData;
use sync_core::storage::Source;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_testkit::legacy_server::LegacyRecord;

use super::{Legacy, name};
use crate::ledger::Key;
use crate::lock;
use crate::network::unzipped;
use crate::promises::{Promise, short, shown};
use crate::run::Sim;

#[derive(Deserialize)]
struct Acknowledged {
    #[serde(rename = "syncIDs")]
    ids: Vec<String>,
}

#[derive(Deserialize)]
struct PushedVersion {
    data: Vec<PushedRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PushedRecord {
    table_name: String,
    record_id: String,
    action: Action,
    record_data: RecordData,
}

impl Sim {
    /// Hands a request to the legacy server.
    pub(crate) fn deliver_to_legacy(
        &self,
        legacy: &Legacy,
        site: usize,
        request: &HttpRequest,
    ) -> Result<HttpResponse, TransportError> {
        if request.url.ends_with("/acknowledged_records") {
            self.check_acknowledged(legacy, site, request);
        }
        let answer = legacy.server.send(request);
        self.note(|| {
            let text = |body: &[u8]| String::from_utf8_lossy(body).chars().take(2000).collect::<String>();
            let said = match &answer {
                Ok(response) => format!("{} {}", response.status, text(&response.body)),
                Err(error) => error.to_string(),
            };
            let asked = if request.body.is_empty() { String::new() } else { text(&unzipped(request)) };
            format!("{} at the legacy server: {request:?} {asked} -> {said}", self.ends[site].name)
        });
        if answer.as_ref().is_ok_and(|response| response.status == 413) {
            self.was_too_large_for_legacy(site, &unzipped(request));
        }
        answer
    }

    /// Tells the judge that a pushed record was called too large, if it stood alone in its request.
    pub(crate) fn was_too_large_for_legacy(&self, site: usize, body: &[u8]) {
        let Ok(PushedVersion { data }) = serde_json::from_slice(body) else { return };
        if let [PushedRecord { table_name, record_id, action, record_data }] = data.as_slice() {
            let content = (*action != Action::Delete).then(|| record_data.as_str().to_owned());
            lock(&self.ledger).was_too_large(site, (table_name.clone(), record_id.clone()), content);
        }
    }

    /// What a site acknowledges is durably there: as it came, or set aside, or as a host there wrote it.
    fn check_acknowledged(&self, legacy: &Legacy, site: usize, request: &HttpRequest) {
        let Ok(Acknowledged { ids }) = serde_json::from_slice(&unzipped(request)) else { return };
        // As it was sent, which may be another version than there is now.
        let sent = legacy.server.sent(&name(site)).into_iter().filter(|sent| ids.contains(&sent.sync_out_id));
        let records: Vec<LegacyRecord> = sent.map(|sent| sent.record).collect();
        for (place, record) in records.iter().enumerate() {
            let is_said_again = |later: &LegacyRecord| {
                later.action != Action::Merge && (&later.table, &later.id) == (&record.table, &record.id)
            };
            if record.action != Action::Merge
                && !records[place + 1..].iter().any(is_said_again)
                && let Some(what) = self.missing(legacy, site, record)
            {
                self.violate(Promise::NothingIsLost, what);
            }
        }
    }

    fn missing(&self, legacy: &Legacy, site: usize, record: &LegacyRecord) -> Option<String> {
        let key: Key = (record.table.clone(), record.id.clone());
        let storage = self.ends[site].process().raw;
        let txn = storage.read().ok()?;
        let (table, id) = (record.table.as_str().into(), record.id.as_str().into());
        let held = txn.record(&table, &id).expect("a readable record").map(|data| data.as_str().to_owned());
        let sent = record.data.as_ref().filter(|_| record.action != Action::Delete).map(|data| data.as_str());
        let book = lock(&legacy.book);
        let by_host = match &held {
            Some(held) => book.versions.version(&key, held).is_some_and(|v| book.versions.versions[v].by == site),
            None => book.versions.of(&key).any(|(_, version)| version.by == site && version.content.is_none()),
        };
        let is_staged = || {
            let aside = txn.quarantined(0, 10_000).expect("a readable quarantine");
            aside.iter().any(|(row, _)| row.incoming.table == table && row.incoming.id == id)
                || !txn.staged_tables(Source::Legacy).expect("a readable buffer").is_empty()
        };
        if book.versions.is_same(&key.0, held.as_deref(), sent)
            || by_host
            || book.merges().is_gone(&key.0, &key.1)
            || is_a_join_of_merged(&book, &key, sent)
            || is_staged()
        {
            return None;
        }
        let (sent, held) = (short(sent), short(held.as_deref()));
        Some(format!("site {site} acknowledged {}: {sent}, and holds {held}", shown(&key)))
    }
}

/// Whether this is a join of a name that was merged: of two of them for one store, one is enough.
pub(super) fn is_a_join_of_merged(book: &super::Book, key: &Key, content: Option<&str>) -> bool {
    key.0 == "name_store_join"
        && !book.merges().is_empty()
        && content.is_none_or(|content| {
            let name = crate::rules::text(&crate::rules::fields(content), "name_ID");
            name.is_none_or(|name| book.merges().is_part("name", &name))
        })
}
