//! The promises of the legacy half, as they are checked when everything is quiet.

use sync_core::protocol::v6::Action;

use super::line::is_a_join_of_merged;
use super::{Book, Legacy, STAFF_TABLES, name};
use crate::ledger::{Key, Ledger, Version};
use crate::lock;
use crate::promises::{Aside, From, Held, Promise, Violation, short, shown};
use crate::rules::{fields, text};
use crate::run::Sim;

use super::book::STAFF;

impl Sim {
    /// Checks what the legacy server and all ends hold when everything is quiet.
    pub(crate) fn check_legacy(&self, held: &[Held]) {
        let Some(legacy) = &self.legacy else { return };
        let mut found = Vec::new();
        {
            let (book, ledger) = (lock(&legacy.book), lock(&self.ledger));
            let check = Check { legacy, book: &book, ledger: &ledger, ends: held };
            check.queues(&mut found);
            check.at_the_server(&mut found);
            check.central_log(&mut found);
            check.at_their_sites(&mut found);
            check.references(&mut found);
            check.merged(&mut found);
        }
        lock(&self.state).violations.extend(found);
    }
}

struct Check<'a> {
    legacy: &'a Legacy,
    book: &'a Book,
    ledger: &'a Ledger,
    ends: &'a [Held],
}

fn violation(promise: Promise, what: String) -> Violation {
    Violation { promise, what }
}

impl Check<'_> {
    fn queues(&self, found: &mut Vec<Violation>) {
        for end in 0..self.ends.len() {
            let left = self.legacy.server.queued(&name(end));
            if let Some(first) = left.first() {
                let what = format!("{} records wait for {}, {first:?} first", left.len(), name(end));
                found.push(violation(Promise::ItEnds, what));
            }
        }
    }

    /// What the legacy server holds of a record that sites or its staff wrote.
    fn row(&self, key: &Key) -> Option<String> {
        self.legacy.server.row(&key.0, &key.1).map(|row| row.to_string())
    }

    /// Whether a record is to be left out: it was merged into another one, or is a join of such.
    fn is_merged(&self, key: &Key) -> bool {
        let contents = || self.book.versions.of(key).filter_map(|(_, version)| version.content.as_deref());
        self.book.merges().is_gone(&key.0, &key.1)
            || contents().any(|content| is_a_join_of_merged(self.book, key, Some(content)))
    }

    /// Whether central wrote a version, and took another one that did not know it over V6 before this one was on its way.
    fn gave_way_at_central(&self, number: usize) -> bool {
        let versions = &self.book.versions;
        let version = &versions.versions[number];
        let held = self.ends[0].records.get(&version.key).and_then(|content| versions.version(&version.key, content));
        let is_on_top = |held: usize| held == number || versions.on_top_of(number).any(|(later, _)| later == held);
        version.by == 0 && held.is_some_and(|held| !is_on_top(held))
    }

    fn is_excused(&self, number: usize) -> bool {
        if self.gave_way_at_central(number) {
            return true;
        }
        let version = &self.book.versions.versions[number];
        let later = self.book.versions.on_top_of(number).map(|(_, version)| version);
        version.is_void || std::iter::once(version).chain(later).any(|version| self.is_set_aside(version))
    }

    /// Whether its site was told that a version is too large, or it gave way there because a backup was put back.
    fn is_set_aside(&self, version: &Version) -> bool {
        let content = version.content.as_deref();
        let aside = self.ends.get(version.by).map_or(&[][..], |end| end.aside.as_slice());
        let gave_way = |aside: &Aside| {
            (aside.from, aside.of_backup, &aside.key) == (From::Here, true, &version.key)
                && self.book.versions.restored.contains(&version.by)
                && self.book.versions.is_same(&version.key.0, aside.content.as_deref(), content)
        };
        aside.iter().any(gave_way) || self.ledger.is_too_large(version.by, &version.key, content)
    }

    /// The first version of a host that was written on top of this one.
    fn host_on_top(&self, number: usize, by: Option<usize>) -> Option<usize> {
        let later = self.book.versions.on_top_of(number);
        let of_host = later.filter(|(_, version)| version.by != STAFF && by.is_none_or(|end| version.by == end));
        of_host.map(|(number, _)| number).find(|number| !self.is_excused(*number))
    }

    /// The first version that a host wrote on top of this one and that had to come after it. What another end had sent
    /// may arrive later, or be taken over later: the legacy server takes what comes for the newest.
    /// Nor may it be a deletion of what lay unsent in a backup that was put back since: nothing tells of it. Nor that of a join
    /// whose patient was linked again.
    fn lost_on_top(&self, number: usize) -> Option<usize> {
        let by = self.book.versions.versions[number].by;
        let lost = self.host_on_top(number, (by != STAFF).then_some(by))?;
        let mut later = self.book.versions.on_top_of(lost).map(|(_, version)| version);
        let is_deletion = self.book.versions.versions[lost].content.is_none() || later.any(|v| v.content.is_none());
        let may_win =
            self.book.versions.is_from_before_a_restore(number) && (is_deletion || self.may_be_unheard(number));
        let is_back = is_deletion && self.book.is_linked_since(lost);
        (!may_win && !is_back).then_some(lost)
    }

    /// Whether a record may not have been in the queue of the site that wrote this version: a patient whom none of its
    /// stores sees, or what another end wrote for a store of its own, as a clinician.
    fn may_be_unheard(&self, number: usize) -> bool {
        let store = |content: &str| text(&fields(content), "store_ID");
        let version = &self.book.versions.versions[number];
        let Some(own) = version.content.as_deref().and_then(store) else { return true };
        let mut others = self.book.versions.of(&version.key).filter_map(|(_, other)| other.content.as_deref());
        others.any(|other| store(other).is_some_and(|store| store != own))
    }

    /// What hosts wrote is at the legacy server, or something that was written on top of it, or at the same time.
    fn at_the_server(&self, found: &mut Vec<Violation>) {
        for key in self.book.versions.records().filter(|key| !self.is_merged(key)) {
            let row = self.row(key);
            let missing = match &row {
                Some(content) => match self.book.versions.version(key, content) {
                    Some(number) => self.lost_on_top(number),
                    None => {
                        let what = format!("the legacy server holds of {} what nobody wrote: {content}", shown(key));
                        found.push(violation(Promise::OnlyWhoMayChanges, what));
                        None
                    }
                },
                None => self.missing_where_there_is_nothing(key),
            };
            if let Some(missing) = missing {
                let version = &self.book.versions.versions[missing];
                let (wrote, holds) = (short(version.content.as_deref()), short(row.as_deref()));
                let by = name(version.by);
                let what = format!("of {}, {by} wrote {wrote}, and the legacy server holds {holds}", shown(key));
                found.push(violation(Promise::NothingIsLost, what));
            }
        }
    }

    fn missing_where_there_is_nothing(&self, key: &Key) -> Option<usize> {
        let mut deletions = self.book.versions.of(key).filter(|(_, version)| version.content.is_none());
        if deletions.any(|(number, _)| self.lost_on_top(number).is_none()) {
            return None;
        }
        let of_hosts = self.book.versions.of(key).filter(|(_, version)| version.by != STAFF);
        let mut of_hosts = of_hosts.map(|(number, _)| number);
        of_hosts.find(|number| !self.is_excused(*number))
    }

    /// Every end holds the central log as it is.
    fn central_log(&self, found: &mut Vec<Violation>) {
        for (position, record) in self.legacy.server.central_log() {
            let key = (record.table.clone(), record.id.clone());
            if record.action == Action::Merge || self.book.merges().is_gone(&key.0, &key.1) {
                continue;
            }
            let ours = record.data.as_ref().filter(|_| record.action != Action::Delete).map(|data| data.as_str());
            for (end, held) in self.ends.iter().enumerate() {
                let theirs = held.records.get(&key).map(String::as_str);
                if !self.book.versions.is_same(&key.0, ours, theirs) {
                    let (ours, theirs) = (short(ours), short(theirs));
                    let what = format!(
                        "of {} at position {position}, the central log has {ours}, and {} has {theirs}",
                        shown(&key),
                        name(end)
                    );
                    found.push(violation(Promise::QuietMeansEqual, what));
                }
            }
        }
    }

    /// The site of a document holds it as the legacy server does, unless it was written at both at the same time.
    fn at_their_sites(&self, found: &mut Vec<Violation>) {
        let documents = self.book.versions.records().filter(|key| STAFF_TABLES.contains(&key.0.as_str()));
        for key in documents.filter(|key| !self.is_merged(key)) {
            let row = self.row(key);
            let last = self.book.versions.of(key).filter_map(|(_, version)| version.content.as_deref()).last();
            let store = row.as_deref().or(last).and_then(|content| text(&fields(content), "store_ID"));
            let Some(site) = store.as_ref().and_then(|store| self.ledger.site_of(store)) else { continue };
            let Some(held) = self.ends.get(site) else { continue };
            let theirs = held.records.get(key).map(String::as_str);
            if self.book.versions.of(key).any(|(number, _)| self.is_excused(number)) {
                continue;
            }
            // Only the site on which the store is then hears of a deletion.
            let is_elsewhere = row.is_none() && store.is_some_and(|store| self.ledger.was_elsewhere(&store, site));
            // Nor does a site that went back: what its queue is filled with anew says nothing of what is gone.
            let is_forgotten = row.is_none() && self.book.versions.restored.contains(&site);
            if is_forgotten {
                continue;
            }
            if self.book.is_chain(key) && !is_elsewhere {
                if !self.book.versions.is_same(&key.0, row.as_deref(), theirs) {
                    let (ours, theirs) = (short(row.as_deref()), short(theirs));
                    let what = format!("of {}, the legacy server holds {ours}, and site {site} {theirs}", shown(key));
                    found.push(violation(Promise::QuietMeansEqual, what));
                }
                continue;
            }
            let Some(content) = theirs else { continue };
            let lost = match self.book.versions.version(key, content) {
                Some(number) if self.book.versions.versions[number].by == site => self.lost_on_top(number),
                Some(number) => self.host_on_top(number, Some(site)),
                None => {
                    let what = format!("site {site} holds of {} what nobody wrote: {content}", shown(key));
                    found.push(violation(Promise::OnlyWhoMayChanges, what));
                    None
                }
            };
            if let Some(lost) = lost {
                let (wrote, holds) =
                    (short(self.book.versions.versions[lost].content.as_deref()), short(Some(content)));
                let what = format!("of {}, site {site} wrote {wrote}, and holds {holds}", shown(key));
                found.push(violation(Promise::NothingIsLost, what));
            }
        }
    }

    /// A record that was merged into another one is at no end any more, unless somebody there edited it, or it was restored.
    fn merged(&self, found: &mut Vec<Violation>) {
        if !self.ledger.restored.is_empty() {
            return;
        }
        for (end, held) in self.ends.iter().enumerate() {
            let is_edited = |key: &Key| {
                let of_both = self.book.versions.of(key).chain(self.ledger.of(key));
                of_both.into_iter().any(|(_, version)| version.by == end)
            };
            let is_gone = |key: &&Key| self.book.merges().is_gone(&key.0, &key.1);
            if let Some(key) = held.records.keys().filter(is_gone).find(|key| !is_edited(key)) {
                let what = format!("{} holds {}, which was merged into another one", name(end), shown(key));
                found.push(violation(Promise::QuietMeansEqual, what));
            }
        }
    }

    /// Nothing names a record that was merged into another one.
    fn references(&self, found: &mut Vec<Violation>) {
        for (end, held) in self.ends.iter().enumerate() {
            for (key, content) in &held.records {
                if let Some(gone) = self.book.merges().names_gone(&key.0, content) {
                    let what = format!("at {}, {} {gone}, which was merged", name(end), shown(key));
                    found.push(violation(Promise::QuietMeansEqual, what));
                }
            }
        }
    }
}
