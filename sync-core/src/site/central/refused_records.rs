//! Records of this site that central refused: a cycle warns of them, and they are noted for the support desk.

use super::refusal::CentralRefusal;
use crate::error::Result;
use crate::protocol::v6::{RefusedRecord, ReportedRefusals};
use crate::redaction::whole_words;
use crate::site::cycle::Cycle;
use crate::storage::state;
use crate::storage::state::{NotedRefusal, StoredJson};
use crate::text::sentences::cycle as says;

/// The most refused records that a batch may name.
const NAMED_MAX: usize = 20;

/// The most refused records that stay noted; older ones go.
const NOTED_MAX: usize = 200;

/// The most refused records for which central is asked whether it has taken them since.
const FOLLOWED_MAX: usize = 50;

/// The most of them in one report.
const REPORTED_MAX: usize = 100;

/// The longest reason that is kept, in characters.
const REASON_MAX: usize = 500;

/// True for a SHA-256 in hexadecimal digits: the text comes from a peer.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Cycle<'_, '_> {
    /// Says again which refused versions are still the ones here: the one that won may have come later in the same cycle.
    pub(crate) fn say_which_refused_are_newest(&mut self) -> Result<()> {
        if self.report.refused_by_central.is_empty() {
            return Ok(());
        }
        let txn = self.site.storage.read()?;
        let noted = state::REFUSED_BY_CENTRAL.get(txn.as_ref())?.0;
        for told in &mut self.report.refused_by_central {
            if let Some(noted) = noted.iter().find(|noted| noted.table == told.table && noted.id == told.id) {
                told.is_newest = noted.is_of_newest(txn.as_ref())?;
            }
        }
        Ok(())
    }

    /// Warns of the records that central refused, and notes them with the reasons, and up to where central has told of them.
    pub(super) fn note_refused_records(
        &mut self,
        refused: Vec<RefusedRecord>,
        up_to: Option<ReportedRefusals>,
    ) -> Result<()> {
        if refused.is_empty() && up_to.is_none() {
            return Ok(());
        }
        let now = self.site.clock.now();
        let txn = self.site.storage.write()?;
        let mut noted = state::REFUSED_BY_CENTRAL.get(txn.as_ref())?.0;
        if let Some(mut up_to) = up_to {
            let before = state::REFUSED_UP_TO.get(txn.as_ref())?.map(|StoredJson(before)| before).unwrap_or_default();
            // What central was asked for and does not name any more, it has taken.
            noted.retain(|known| !before.refused.contains(&known.number) || up_to.refused.contains(&known.number));
            up_to.refused.drain(..up_to.refused.len().saturating_sub(FOLLOWED_MAX));
            state::REFUSED_UP_TO.set(txn.as_ref(), Some(StoredJson(up_to)))?;
        }
        let pushed_to = state::PUSH_CURSOR_V6.get(txn.as_ref())?;
        let (mut warnings, mut told) = (Vec::new(), Vec::new());
        for RefusedRecord { table, id, reason, number, superseded, cursor, digest } in
            refused.into_iter().take(NAMED_MAX)
        {
            let reason: String = whole_words(&reason, &[]).chars().take(REASON_MAX).collect();
            let [shown_table, shown_id] = [table.as_str(), id.as_str()].map(|text| whole_words(text, &[]));
            warnings.push(says::central_refused(shown_table, shown_id, &reason));
            // A record that was never here is a mistake of the other end.
            if txn.written_at(&table, &id)?.is_some() {
                noted.retain(|known| (&known.table, &known.id) != (&table, &id));
                let digest = digest.filter(|digest| is_digest(digest));
                let one = NotedRefusal { table, id, reason, at: now, number, superseded, cursor, digest, pushed_to };
                told.push(CentralRefusal::of(txn.as_ref(), one.clone())?);
                noted.push(one);
            }
        }
        noted.drain(..noted.len().saturating_sub(NOTED_MAX));
        state::REFUSED_BY_CENTRAL.set(txn.as_ref(), noted)?;
        txn.commit()?;
        let room = REPORTED_MAX.saturating_sub(self.report.refused_by_central.len());
        self.report.refused_by_central.extend(told.into_iter().take(room));
        warnings.into_iter().try_for_each(|warning| self.warn(warning))
    }
}
