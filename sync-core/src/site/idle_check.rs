//! Asks one server that is the legacy server and central, with the first request of a cycle, whether anything is new.

use super::client::legacy::legacy_get_request;
use super::client::to_json;
use super::cycle::Cycle;
use super::legacy::pull_legacy_data::central_records_query;
use super::legacy::pull_legacy_queue::queue_query;
use super::sizing::TransferKind;
use crate::error::Result;
use crate::protocol::v5::{IdleCheck, path};
use crate::protocol::v6;
use crate::role::Role;
use crate::storage::state;

/// The key of the credentials in a V6 request; the headers of the first request hold them.
const CREDENTIALS: &str = "syncV5Settings";

impl Cycle<'_, '_> {
    /// Adds to the next `GET /sync/v5/site` the requests that follow it if nothing is new. Each step sends its request as ever:
    /// the answer is taken from what came, if the request is the same to the letter.
    ///
    /// Not if anything is to be pushed: these requests tell central how far the site has read, and it may have written before it
    /// read so far.
    pub(super) fn ask_whether_idle(&mut self) -> Result<()> {
        let is_remote = self.identity.role == Some(Role::Remote) && self.identity.initialised;
        if !is_remote || !self.client.is_one_server || self.options.push_only {
            return Ok(());
        }
        if self.has_edits_for_central()? || self.has_edits_for_legacy()? {
            return Ok(());
        }
        // Without a usable address nothing is pulled. The cycle reports that itself.
        let Ok(central) = self.identity.central_url() else { return Ok(()) };
        let (config, sizes) = (&self.site.config, &mut self.client.sizes);
        let after = state::PULL_CURSOR_CENTRAL.get(self.site.storage.read()?.as_ref())?.0;
        let central_records = central_records_query(after, sizes.size(TransferKind::LegacyCentralData, config));
        let queued_records = queue_query(sizes.size(TransferKind::LegacyQueue, config));
        let pull = to_json(&self.first_pull_request()?)?;
        let requests = [
            legacy_get_request(&self.identity, &format!("{}?{central_records}", path::CENTRAL_RECORDS)),
            legacy_get_request(&self.identity, &format!("{}?{queued_records}", path::QUEUED_RECORDS)),
            self.client.central_request(&central, v6::path::PULL, &pull)?.0,
        ];
        let Ok(mut pull) = serde_json::from_slice::<serde_json::Map<_, _>>(&pull) else { return Ok(()) };
        pull.remove(CREDENTIALS);
        let check = IdleCheck { central_records, queued_records, pull: pull.into() };
        self.client.ask_with_site_info(&check, requests);
        Ok(())
    }
}
