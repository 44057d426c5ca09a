//! Tries quarantined records again, or marks them as ignored.

use std::time::Duration;

use serde::Serialize;

use super::quarantine::row_of;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::integrate::{IGNORED_BEFORE, Integrated, IntegrationQueue, Provenance, integrate, merge};
use crate::protocol::v6::Action;
use crate::record::{RecordId, TableName};
use crate::storage::{
    Buffered, Incoming, Quarantine, QuarantineCause, ReadTxn, Source, Storage, WriteTxn, each_quarantined, state,
};
use crate::support::Support;
use crate::text::sentences::{input, quarantine as say};
use crate::text::{Localize, Message};
use crate::write::moved_stores;
use crate::write::outgoing;
use crate::write::{is_as_stored, push_again};

/// The records to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetrySelection {
    /// The one with this number.
    One(u64),
    /// All with this cause.
    Cause(QuarantineCause),
    /// All except those that are ignored.
    All,
}

/// The result of trying again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Retried {
    /// The number of records that were staged again.
    pub staged: u64,
    /// Records that were written here, and go out again with the next push.
    pub sent_again: u64,
    /// Records that cannot be tried again.
    pub not_retried: Vec<NotRetried>,
    /// True if the staged records were tried at once. Otherwise another cycle is running, and the next cycle tries them.
    pub tried: bool,
    /// Integrated records, including those that waited for them.
    pub integrated: u64,
    /// Records that yielded to a local edit.
    pub kept_local: u64,
    /// Conflicts with a local edit in which a [resolver](crate::ReplicaBuilder::resolver) of the host did not keep that edit.
    pub resolved: u64,
    /// Records that are in quarantine again, for any cause.
    pub set_aside_again: u64,
    /// Warnings, as the [report](crate::SyncReport::warnings) of a cycle has them: why a resolver of the host failed.
    pub warnings: Vec<Message>,
}

impl Localize for Retried {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.not_retried.iter_mut().for_each(|left| each(&mut left.why));
        self.warnings.iter_mut().for_each(each);
    }
}

/// A record that cannot be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NotRetried {
    /// Its number.
    pub number: u64,
    /// Its table.
    pub table: TableName,
    /// Its id.
    pub id: RecordId,
    /// The reason.
    pub why: Message,
}

impl Support {
    /// Tries quarantined records again: stages them, and integrates them without any network. If a cycle runs on this
    /// database, the next cycle integrates them.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such number; or the database failed. Records that were already staged stay staged.
    pub fn retry(&self, which: RetrySelection) -> Result<Retried> {
        let mut retried = Retried::default();
        let mut one = None;
        match which {
            RetrySelection::One(number) => {
                let txn = self.storage.write()?;
                let (row, _) = row_of(txn.as_ref(), number)?;
                one = Some((number, row.incoming.table.clone(), row.incoming.id.clone()));
                match row.incoming.source {
                    Source::Local => send_again(txn.as_ref(), self.clock.as_ref(), row, &mut retried)?,
                    _ => retried.staged += txn.requeue_one(number)?,
                }
                txn.commit()?;
            }
            RetrySelection::Cause(cause) => {
                stage_causes(self.storage.as_ref(), self.clock.as_ref(), &[cause], &mut retried)?
            }
            RetrySelection::All => {
                let all: Vec<_> = QuarantineCause::ALL.into_iter().filter(|c| !c.is_settled()).collect();
                stage_causes(self.storage.as_ref(), self.clock.as_ref(), &all, &mut retried)?;
            }
        }
        // Records of other calls may be staged already; they are integrated too.
        self.integrate_now(&mut retried)?;
        if let Some((number, table, id)) = one.filter(|_| retried.staged > 0 && retried.tried) {
            self.await_end(number, (&table, &id), &mut retried)?;
        }
        Ok(retried)
    }

    /// Counts what became of a staged record if another process, such as a server, has taken it to integrate it in its turn.
    fn await_end(&self, number: u64, (table, id): (&TableName, &RecordId), retried: &mut Retried) -> Result<()> {
        let until = self.clock.monotonic() + TURN_OF_ANOTHER;
        loop {
            let is_staged = {
                let txn = self.storage.read()?;
                if row_of(txn.as_ref(), number).is_ok() {
                    retried.set_aside_again = retried.set_aside_again.max(1);
                    return Ok(());
                }
                txn.buffered_versions(table, id)?.iter().any(|row| row.sequence == number)
            };
            if !is_staged {
                if retried.kept_local + retried.resolved == 0 {
                    retried.integrated = retried.integrated.max(1);
                }
                return Ok(());
            }
            if self.clock.monotonic() >= until {
                return Ok(());
            }
            self.clock.sleep(Duration::from_millis(10));
        }
    }
}

/// How long a turn of another process is waited for.
const TURN_OF_ANOTHER: Duration = Duration::from_secs(5);

fn stage_causes(
    storage: &dyn Storage,
    clock: &dyn Clock,
    causes: &[QuarantineCause],
    retried: &mut Retried,
) -> Result<()> {
    let txn = storage.write()?;
    let mut own = Vec::new();
    each_quarantined(txn.as_ref(), 0, |row, why| {
        if row.incoming.source == Source::Local && causes.contains(&why.cause) {
            own.push(row.sequence);
        }
        Ok(())
    })?;
    for number in own {
        let (row, _) = row_of(txn.as_ref(), number)?;
        send_again(txn.as_ref(), clock, row, retried)?;
    }
    for cause in causes {
        retried.staged += txn.requeue(*cause, None)?;
    }
    txn.commit()
}

/// Logs a record again that was written here and refused by a server, if the refused version is still the stored one and no
/// later version waits.
fn send_again(txn: &dyn WriteTxn, clock: &dyn Clock, row: Buffered, retried: &mut Retried) -> Result<()> {
    if let Some(why) = reason_against_sending(txn, &row)? {
        let Incoming { table, id, .. } = row.incoming;
        retried.not_retried.push(NotRetried { number: row.sequence, table, id, why });
        return Ok(());
    }
    push_again(txn, &row, clock.now())?;
    retried.sent_again += 1;
    Ok(())
}

fn reason_against_sending(
    txn: &dyn ReadTxn,
    Buffered { incoming, sequence, .. }: &Buffered,
) -> Result<Option<Message>> {
    let is_still_here = incoming.action != Action::Delete && is_as_stored(txn, incoming)?;
    let is_later = |other: &Buffered| other.incoming.source != Source::Local && other.sequence > *sequence;
    Ok(if !is_still_here {
        Some(say::another_version_here())
    } else if !outgoing::is_readable(&incoming.data) {
        Some(say::not_readable_everywhere())
    } else if txn.buffered_versions(&incoming.table, &incoming.id)?.iter().any(is_later) {
        Some(say::later_version_waits())
    } else {
        None
    })
}

impl Support {
    /// Integrates staged records as a cycle does. If a cycle is running, this does nothing, because that cycle or the next one
    /// integrates them.
    fn integrate_now(&self, retried: &mut Retried) -> Result<()> {
        let (storage, clock) = (self.storage.as_ref(), self.clock.as_ref());
        let lock = match storage.lock_cycle() {
            Ok(lock) => lock,
            Err(Error::CycleRunning { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let queue = IntegrationQueue::default();
        if storage.read()?.as_central().is_some() {
            queue.work(storage, clock, &|| true)?;
        }
        let mut done: Integrated = queue.done();
        let origin = state::LEGACY_SITE_ID.find(storage.read()?.as_ref())?;
        for (source, origin) in [(Source::Legacy, origin), (Source::Central, None)] {
            let door = Provenance::of_server(source, origin, &self.resolvers);
            integrate(storage, clock, &door, &mut done, |_, _| Ok(()))?;
        }
        merge::rewrite(storage, clock, origin)?;
        moved_stores::relog_pending(storage, clock)?;
        drop(lock);
        retried.tried = true;
        retried.integrated = done.integrated;
        retried.kept_local = done.kept_local;
        retried.resolved = done.resolved;
        retried.set_aside_again = done.quarantined + done.refused;
        retried.warnings = done.failed_resolvers;
        Ok(())
    }

    /// Marks a quarantined record as ignored, with a reason: it is kept for reference, no longer counts as left behind, and
    /// is not tried again automatically. A newer version of the record is taken as usual; the same
    /// one stays ignored when it comes again, such as after [`rewind`](Self::rewind).
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such number; [`Error::BadInput`] without a reason; the database failed.
    pub fn ignore(&self, number: u64, reason: &str) -> Result<()> {
        if reason.trim().is_empty() {
            return Err(Error::bad_input(input::reason_needed()));
        }
        let txn = self.storage.write()?;
        let (_, why) = row_of(txn.as_ref(), number)?;
        let before = match why.cause {
            // The record was ignored before: the new reason replaces the old one, and the original cause stays.
            QuarantineCause::Ignored => {
                let before = why.reason.split_once(IGNORED_BEFORE).map_or(why.reason.as_str(), |(_, before)| before);
                before.strip_suffix(')').unwrap_or(before).to_owned()
            }
            cause => format!("{}: {}", cause.as_str(), why.reason),
        };
        let reason = format!("{}{IGNORED_BEFORE}{before})", reason.trim());
        txn.quarantine(number, &Quarantine { cause: QuarantineCause::Ignored, reason, waits_for: None })?;
        txn.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::record::RecordData;
    use crate::write::{self, Origin};

    fn child(id: &str) -> Incoming {
        let data = format!(r#"{{"id":"{id}","property_id":"parent","remote_editable":true}}"#);
        Incoming {
            source: Source::Central,
            table: "name_property".into(),
            id: id.into(),
            action: Action::Update,
            data: RecordData::parse(data).unwrap(),
            cursor: None,
            known: Default::default(),
            quarantine: Some(Quarantine {
                cause: QuarantineCause::Waiting,
                reason: "$.property_id names property parent, which is not here yet".to_owned(),
                waits_for: Some(("property".into(), "parent".into())),
            }),
        }
    }

    fn stored(rows: &[Incoming]) -> Support {
        let support = Support::in_memory();
        let txn = support.storage.write().unwrap();
        rows.iter().for_each(|row| txn.stage(row, Timestamp::from_unix_millis(0)).unwrap());
        txn.commit().unwrap();
        support
    }

    fn store(support: &Support, record: &Incoming) {
        let txn = support.storage.write().unwrap();
        let (origin, now) = (Origin::Sync(None), Timestamp::from_unix_millis(0));
        write::upsert(txn.as_ref(), &record.table, &record.id, &record.data, origin, now).unwrap();
        txn.commit().unwrap();
    }

    #[test]
    fn a_record_that_still_waits_goes_back_into_quarantine() {
        let support = stored(&[child("a"), child("b")]);
        for which in [RetrySelection::One(1), RetrySelection::Cause(QuarantineCause::Waiting), RetrySelection::All] {
            let retried = support.retry(which).unwrap();
            let chosen = if which == RetrySelection::One(1) { 1 } else { 2 };
            assert!(retried.tried);
            assert_eq!((retried.staged, retried.set_aside_again, retried.integrated), (chosen, chosen, 0));
            assert_eq!(support.storage.read().unwrap().quarantine_counts().unwrap(), [(QuarantineCause::Waiting, 2)]);
        }
        assert_eq!(support.retry(RetrySelection::One(99)).unwrap_err().code(), "not_found");
    }

    /// A server has taken the record, and has integrated it or set it aside again.
    #[test]
    fn what_another_process_did_with_a_record_is_counted() {
        for (is_set_aside, counts) in [(true, (1, 0)), (false, (0, 1))] {
            let support = stored(&[child("a")]);
            if !is_set_aside {
                let txn = support.storage.write().unwrap();
                txn.settle(&[1]).unwrap();
                txn.commit().unwrap();
            }
            let mut retried = Retried::default();
            support.await_end(1, (&"name_property".into(), &"a".into()), &mut retried).unwrap();
            assert_eq!((retried.set_aside_again, retried.integrated), counts);
        }
    }

    #[test]
    fn staged_records_wait_while_a_cycle_runs() {
        let support = stored(&[child("a")]);
        let _lock = support.storage.lock_cycle().unwrap();
        let retried = support.retry(RetrySelection::All).unwrap();
        assert_eq!((retried.staged, retried.tried), (1, false));
        assert!(support.storage.read().unwrap().quarantine_counts().unwrap().is_empty());
    }

    #[test]
    fn an_ignored_record_keeps_both_reasons_and_is_not_tried_again() {
        let support = stored(&[child("a")]);
        assert_eq!(support.ignore(1, "  ").unwrap_err().code(), "bad_input");
        support.ignore(1, "of a clinic that closed").unwrap();
        support.ignore(1, "told twice").unwrap();
        let (_, why) = support.storage.read().unwrap().quarantined(0, 9).unwrap().remove(0);
        assert_eq!(why.cause, QuarantineCause::Ignored);
        assert!(why.reason.starts_with("told twice (it was waiting: $.property_id names"), "{}", why.reason);
        assert_eq!(support.retry(RetrySelection::All).unwrap().staged, 0);
        let again = support.retry(RetrySelection::Cause(QuarantineCause::Ignored)).unwrap();
        assert_eq!((again.staged, again.set_aside_again), (1, 1));
    }

    #[test]
    fn a_refused_record_is_sent_again_only_if_its_version_is_still_stored() {
        let local = |id: &str| Incoming { source: Source::Local, ..child(id) };
        let support = stored(&[local("same"), local("other")]);
        store(&support, &local("same"));
        let retried = support.retry(RetrySelection::All).unwrap();
        assert_eq!((retried.sent_again, retried.not_retried.len()), (1, 1));
        assert_eq!(retried.not_retried[0].id, *"other");
        let txn = support.storage.read().unwrap();
        let local = crate::storage::Selection::Local;
        assert_eq!(txn.changes(&local, crate::record::Cursor(0), 9).unwrap().len(), 1);
        assert_eq!(txn.quarantined(0, 9).unwrap().len(), 1, "the other record stays in quarantine");
    }

    /// A site that was put back from a backup sets its older version aside, and central's later one waits for its parent.
    #[test]
    fn a_record_is_not_sent_again_over_a_later_version_that_waits() {
        let local = |id: &str| Incoming { source: Source::Local, ..child(id) };
        let later = |id: &str| {
            let data = child(id).data.as_str().replace("true", "false");
            Incoming { data: RecordData::parse(data).unwrap(), ..child(id) }
        };
        let support = stored(&[local("newer waits"), later("newer waits"), later("older waits"), local("older waits")]);
        store(&support, &local("newer waits"));
        store(&support, &local("older waits"));
        let retried = support.retry(RetrySelection::All).unwrap();
        assert_eq!((retried.sent_again, retried.not_retried.len()), (1, 1));
        assert_eq!(retried.not_retried[0].id, *"newer waits");
        assert_eq!(retried.not_retried[0].why, say::later_version_waits());
    }
}
