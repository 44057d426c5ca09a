//! The step Pull central: reads the central data of the legacy server, such as stores and names (`protocol-v5` §7.1). The
//! pull from the Open mSupply central server is `site/central/pull.rs`.

use std::collections::HashSet;

use crate::error::{Error, Result, Server};
use crate::integrate::{Provenance, noting_failure, receive};
use crate::protocol::v5::{ReadCentralBatch, path};
use crate::record::{Cursor, SiteId, StoreId};
use crate::site::central::position::read_from_the_beginning;
use crate::site::central::pull::from_legacy;
use crate::site::central::read_when_written::note_before_reading;
use crate::site::central::recovery;
use crate::site::cycle::Cycle;
use crate::site::observer::Step;
use crate::site::sizing::TransferKind;
use crate::storage::{Incoming, ReadTxn, Source, state};
use crate::text::sentences::cycle as says;
use crate::text::sentences::error_detail;
use crate::write::{self, named_stores};

/// The query for central data after a position.
pub(crate) fn central_records_query(after: u64, limit: u64) -> String {
    format!("cursor={after}&limit={limit}")
}

impl Cycle<'_, '_> {
    pub(crate) fn read_legacy_data(&mut self) -> Result<()> {
        let mut done = 0;
        let mut stride: u64 = 1;
        let mut reread = false;
        loop {
            // This cursor is the last position received; everything after it is wanted.
            let (start, seen) = {
                let txn = self.site.storage.read()?;
                let txn = txn.as_ref();
                (state::PULL_CURSOR_CENTRAL.get(txn)?.0, state::LEGACY_POSITION_SEEN.get(txn)?.0)
            };
            let path = |limit| format!("{}?{}", path::CENTRAL_RECORDS, central_records_query(start, limit));
            let (batch, asked, took): (ReadCentralBatch, _, _) =
                self.client.legacy_batch(&self.identity, TransferKind::LegacyCentralData, path)?;
            let given = batch.data.len() as u64;
            self.client.sizes.passed(TransferKind::LegacyCentralData, given, took, &self.site.config);
            // A position beyond the end that the server states is believed only where nothing else leads on: it may be wrong, and
            // would skip everything up to it.
            let beyond = |last: u64| last > batch.max_cursor && start < batch.max_cursor;
            let last = batch.last_position().map(|last| if beyond(last) { batch.max_cursor } else { last });
            // Beyond the range of numbers of every server: a cursor there would never come back.
            if !Cursor(last.unwrap_or(0).max(batch.max_cursor)).is_possible() {
                let url = crate::address::shown(&self.identity.legacy_url);
                let detail = error_detail::position_out_of_range().into();
                return Err(Error::UnreadableAnswer { server: Server::Legacy, url, detail });
            }
            let next = match last {
                Some(last) if last <= start => {
                    return Err(Error::NoProgress { server: Server::Legacy, cursor: start });
                }
                Some(last) => {
                    stride = 1;
                    last
                }
                // Restored from a backup, or replaced (weak point A10).
                None if batch.max_cursor < seen && !std::mem::replace(&mut reread, true) => {
                    self.reread_legacy(batch.max_cursor)?;
                    continue;
                }
                None if start >= batch.max_cursor => return Ok(()),
                // A gap: skipped in growing strides (weak point B12), never past the server's end, nor past what it may
                // have searched.
                None if batch.data.is_empty() => {
                    stride = (stride * 2).min(asked);
                    start.saturating_add(stride).min(batch.max_cursor)
                }
                // Records without any position. Fewer came than were asked for, so they are the last ones.
                None if given < asked && start < batch.max_cursor => batch.max_cursor,
                // There is no way to continue.
                None => return Err(Error::NoProgress { server: Server::Legacy, cursor: start }),
            };
            let records = batch.data.len() as u64;
            done += records;
            self.report.pulled += records;
            noting_failure(self.site.storage.as_ref(), Source::Legacy, || self.take_central(batch, next))?;
            // It says where its data end, and not how many records that are.
            self.report_about(Step::PullCentral, done, done, true)?;
            if self.over_budget() {
                return Ok(());
            }
        }
    }

    fn reread_legacy(&mut self, position: u64) -> Result<()> {
        self.warn(says::legacy_went_back(self.client.named(Server::Legacy), position))?;
        let txn = self.site.storage.write()?;
        state::PULL_CURSOR_CENTRAL.set(txn.as_ref(), Cursor(0))?;
        state::LEGACY_POSITION_SEEN.set(txn.as_ref(), Cursor(position))?;
        txn.commit()
    }

    fn take_central(&mut self, batch: ReadCentralBatch, next: u64) -> Result<()> {
        let origin = self.identity.legacy_site_id;
        let provenance = Provenance::of_server(Source::Legacy, origin, &self.site.resolvers);
        let incoming: Vec<_> = batch.data.into_iter().map(from_legacy).collect();
        let txn = self.site.storage.write()?;
        note_before_reading(txn.as_ref())?;
        let came = stores_that_came(txn.as_ref(), &incoming, self.identity.site_id)?;
        let stores_here = || self.identity.site_id.map_or(Ok(Vec::new()), |site| txn.stores_of_site(site));
        let before = stores_here()?;
        let done = receive(txn.as_ref(), self.site.clock.now(), &provenance, incoming)?;
        let own = stores_here()?;
        let left: Vec<StoreId> = before.into_iter().filter(|store| !own.contains(store)).collect();
        // Records of a store that came here are before the cursor (weak point A11).
        let gained: Vec<StoreId> = own.into_iter().filter(|store| came.contains(store)).collect();
        let rereads = !gained.is_empty()
            && !planted!(GainedStoreIgnored)
            && (self.identity.initialised || state::PULL_CURSOR_V6.get(txn.as_ref())? > Cursor(0));
        if rereads {
            read_from_the_beginning(txn.as_ref())?;
            recovery::recover_anew(txn.as_ref())?;
        }
        state::PULL_CURSOR_CENTRAL.set(txn.as_ref(), Cursor(next))?;
        if batch.max_cursor > state::LEGACY_POSITION_SEEN.get(txn.as_ref())?.0 {
            state::LEGACY_POSITION_SEEN.set(txn.as_ref(), Cursor(batch.max_cursor))?;
        }
        let (named_left, named_gained) = (named_stores(txn.as_ref(), &left)?, named_stores(txn.as_ref(), &gained)?);
        txn.commit()?;
        self.count(&done);
        if !left.is_empty() {
            self.warn(says::stores_left(named_left))?;
        }
        if rereads {
            self.warn(says::stores_gained(self.client.named(Server::Legacy), named_gained))?;
        }
        Ok(())
    }
}

/// The stores of a batch that are new here, or were ever on another site as far as is known here: this site may have
/// missed records of those. Other news of a store, such as a new telephone number, does not matter.
fn stores_that_came(txn: &dyn ReadTxn, incoming: &[Incoming], own: Option<SiteId>) -> Result<HashSet<StoreId>> {
    let own = own.map(|site| i64::from(site.0));
    let mut came = HashSet::new();
    for store in incoming.iter().filter(|incoming| incoming.table == *"store") {
        let before = txn.record(&store.table, &store.id)?.as_ref().and_then(write::site_in);
        // Each version counts: the store may have moved away and back between two that were read.
        if before != own || write::site_in(&store.data) != own || planted!(AnyStoreNewsIsGain) {
            came.insert(StoreId::from(store.id.as_str()));
        }
    }
    Ok(came)
}
