//! The promises, as a judge checks them: on what travels, and on what all ends hold when everything is quiet.

use crate::ledger::{Key, Ledger, Version};
use crate::promises::{Aside, FORGED, From, Held, Promise, Violation, name_of, short, shown};
use crate::rules::{Audience, Deletes, StoreOf, fields, rule_of, spelled_as_today, store_of, text};

/// Checks what all ends hold when everything is quiet; central is the first.
pub fn judge(ledger: &Ledger, ends: &[Held]) -> Vec<Violation> {
    let judge = Judge { ledger, ends };
    let mut found = judge.strangers();
    found.extend(judge.lost());
    found.extend(judge.undone());
    found.extend(judge.unequal());
    found.extend(judge.believed());
    found.extend(judge.unexplained());
    found
}

/// True if a site that reads everything again must keep this record as it is. False if the record does not belong to the
/// site any more, because a site that lost a record may get a newer version of it. False if the site's own edit is in
/// quarantine.
pub fn is_to_stay(ledger: &Ledger, ends: &[Held], site: usize, key: &Key) -> bool {
    let judge = Judge { ledger, ends };
    let content = ends[0].records.get(key).or_else(|| ends[site].records.get(key));
    content.is_some_and(|content| judge.is_for(site, key, content) && !judge.is_explained(site, key, content))
}

/// True if a site can see that it holds another version of a record than central does. False in this case: two ends made a
/// record with one id, say asset x, and a log of x does not belong to the site any more. The site got the last version
/// of the log, and treats its own asset x as the log's parent.
pub(crate) fn is_seen_to_differ(ledger: &Ledger, ends: &[Held], site: usize, key: &Key) -> bool {
    let judge = Judge { ledger, ends };
    let is_for = |content: &String| judge.is_for(site, key, content);
    let theirs = ends[site].records.get(key).and_then(|content| ledger.version(key, content));
    ends[0].records.get(key).is_some_and(is_for)
        || !theirs.is_some_and(|held| judge.is_of_a_record_made_twice(&ledger.versions[held]))
}

/// Whether a record is to be on a site now, as central holds it.
pub(crate) fn is_for(ledger: &Ledger, ends: &[Held], site: usize, key: &Key, content: &str) -> bool {
    Judge { ledger, ends }.is_for(site, key, content)
}

/// Checks that no end holds anything that no host wrote; true at any time.
pub fn strangers(ledger: &Ledger, ends: &[Held]) -> Vec<Violation> {
    Judge { ledger, ends }.strangers()
}

/// Checks that no cursor of a site fell in a cycle (pull, push, and that of the legacy half). `may` says which of them may
/// fall.
pub fn cursors(site: usize, before: [u64; 3], after: [u64; 3], may: [bool; 3]) -> Option<Violation> {
    let fell = (0..3).any(|cursor| after[cursor] < before[cursor] && !may[cursor]);
    let what = || format!("the cursors of site {site} (pull, push, legacy) were {before:?} and are {after:?}");
    fell.then(|| Violation { promise: Promise::CursorsNeverGoBack, what: what() })
}

/// Tables whose records are written once and never edited.
pub(crate) const ADDED: [&str; 3] = ["asset_log", "contact_form", "system_log"];

/// Whether an end holds this content of a record, in whatever spelling of its keys.
pub(crate) fn says_the_same(table: &str, held: Option<&String>, content: &str) -> bool {
    let today = |content: &str| spelled_as_today(table, content).unwrap_or_else(|| content.to_owned());
    held.is_some_and(|held| held == content || today(held) == today(content))
}

struct Judge<'a> {
    ledger: &'a Ledger,
    ends: &'a [Held],
}

impl Judge<'_> {
    fn central(&self) -> &Held {
        &self.ends[0]
    }

    /// Contents that no host wrote.
    fn strangers(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for (end, held) in self.ends.iter().enumerate() {
            for (key, content) in held.records.iter().filter(|(key, _)| self.ledger.is_of_v6(&key.0)) {
                let is_known = self.ledger.version(key, content).is_some()
                    || self.ledger.is_forged_of_own(key, content)
                    || end > 0 && self.ledger.is_in_another_store(key, content);
                if !is_known {
                    let forged = if content.contains(FORGED) { "a forged" } else { "an unknown" };
                    let short = short(Some(content));
                    let what = format!("{} holds {forged} version of {}: {short}", name_of(end), shown(key));
                    found.push(Violation { promise: Promise::OnlyWhoMayChanges, what });
                }
            }
        }
        found
    }

    /// Acknowledged versions that central lacks: it has neither the version nor one on top of it.
    fn lost(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for key in self.ledger.records().filter(|key| self.ledger.is_of_v6(&key.0)) {
            let lost = match self.central().records.get(key) {
                Some(content) => match self.ledger.version(key, content) {
                    Some(held) => self.missing_on_top(held),
                    None => continue,
                },
                None => self.missing_where_there_is_nothing(key),
            };
            if let Some(lost) = lost {
                let version = &self.ledger.versions[lost];
                let holds = short(self.central().records.get(key).map(String::as_str));
                let wrote = short(version.content.as_deref());
                let by = name_of(version.by);
                let what = format!("of {}, {by} wrote {wrote}, and central holds {holds}", shown(key));
                found.push(Violation { promise: Promise::NothingIsLost, what });
            }
        }
        found
    }

    fn missing_on_top(&self, held: usize) -> Option<usize> {
        // Written by two ends to the letter, such as a deletion in the same moment: the other's knew nothing of what is on top.
        if self.ledger.of_several.contains(&held) {
            return None;
        }
        let mut later = self.ledger.on_top_of(held).map(|(number, _)| number);
        later.find(|number| !self.is_excused(*number) && !self.may_be_replaced(*number, held))
    }

    /// True if a restore may have let an older version of a site replace a version on top of it. After a restore of the site
    /// or of central, the site sends again what it had sent. Then two versions of different ends count as independent, if
    /// one was written before the restore and the other after it. If both the site and central were restored, nobody knows
    /// which of two versions came last.
    fn may_be_replaced(&self, later: usize, older: usize) -> bool {
        let (site, writer) = (self.ledger.versions[older].by, self.ledger.versions[later].by);
        let site_went_back = self.ledger.was_restored_after(site, older);
        let by_another = writer != site && (site_went_back || self.ledger.was_restored_after(0, older));
        let both_went_back = site_went_back && self.ledger.was_restored_after(0, older);
        let was_not_returned = site_went_back && self.is_patient_without_join(&self.ledger.versions[older].key);
        site > 0 && (by_another || both_went_back || was_not_returned)
    }

    /// True for a patient whom no store sees. Where there is no legacy server, nothing returns such a patient to a restored site:
    /// V6 returns no names, and central gives only those that the site's stores see.
    fn is_patient_without_join(&self, (table, id): &Key) -> bool {
        let names_it = |content: &String| text(&fields(content), "name_ID").as_deref() == Some(id);
        let mut joins = self.central().records.iter().filter(|((table, _), _)| table == "name_store_join");
        table == "name" && !self.ledger.has_legacy && !joins.any(|(_, content)| names_it(content))
    }

    /// If central holds nothing of a record, one of these must be true: a deletion is its last version, a version is in
    /// central's quarantine, or no version was acknowledged. Returns an acknowledged version if none of them is.
    fn missing_where_there_is_nothing(&self, key: &Key) -> Option<usize> {
        let versions: Vec<(usize, &Version)> = self.ledger.of(key).collect();
        let may_win = |(number, version): &&(usize, &Version)| version.is_gone() || self.is_set_aside(*number);
        let mut winners = versions.iter().filter(may_win);
        if winners.any(|(number, _)| self.missing_on_top(*number).is_none()) {
            return None;
        }
        versions.iter().map(|(number, _)| *number).find(|number| !self.is_excused(*number))
    }

    /// True if a version may be missing at central: the version, or one on top of it, is in quarantine there for a reason
    /// that the judge confirms, or the site got the error that the record is too large.
    fn is_excused(&self, number: usize) -> bool {
        if self.ledger.versions[number].is_void || self.is_rewritten(number) {
            return true;
        }
        let later = self.ledger.on_top_of(number).map(|(number, _)| number);
        std::iter::once(number).chain(later).any(|number| self.is_set_aside(number) || self.gave_place(number))
    }

    /// True if central's quarantine holds another version of the same site instead of this one. Central keeps only the newest
    /// version of each site there. The other version must have come later. After a restore of the site or of central it
    /// may be any, because the site may have written on top of its backup, or central may have got only the newer one.
    fn gave_place(&self, number: usize) -> bool {
        let version = &self.ledger.versions[number];
        let went_back = |end| self.ledger.was_restored_after(end, number);
        let went_back = version.by > 0 && (went_back(version.by) || went_back(0));
        let took_it = |aside: &&Aside| {
            aside.from == From::Site(version.by)
                && aside.key == version.key
                && (went_back || self.came_after(version.by, aside, number))
        };
        self.central().aside.iter().filter(took_it).any(|aside| self.is_true(aside, 0))
    }

    /// True if central lost this version in a restore, and a merge had rewritten it at its site. A rewritten version is no
    /// edit of the site any more, so the site does not send it again.
    fn is_rewritten(&self, number: usize) -> bool {
        let version = &self.ledger.versions[number];
        let names_gone = |content: &String| self.ledger.merges.names_gone(&version.key.0, content).is_some();
        self.ledger.was_restored_after(0, number) && version.content.as_ref().is_some_and(names_gone)
    }

    fn went_back(&self, end: usize) -> bool {
        self.ledger.restored.contains(&end)
    }

    fn is_set_aside(&self, number: usize) -> bool {
        let version = &self.ledger.versions[number];
        let content = version.content.as_deref();
        // Several ends may have written the same at the same moment.
        let is_of_several = self.ledger.of_several.contains(&number);
        let at_central = self.central().aside.iter().any(|aside| {
            (aside.from == From::Site(version.by) || is_of_several && matches!(aside.from, From::Site(_)))
                && aside.key == version.key
                && self.ledger.is_same(&aside.key.0, aside.content.as_deref(), content)
                && self.is_true(aside, 0)
        });
        // A restored site keeps an edit of its backup in its own quarantine, if nothing shows whether the edit is the later
        // version.
        let at_its_site = self.ends.get(version.by).is_some_and(|end| {
            let is_it = |aside: &&Aside| aside.key == version.key && aside.content.as_deref() == content;
            end.aside.iter().filter(is_it).any(|aside| self.gave_way(aside, version.by))
        });
        at_central || at_its_site || self.ledger.is_too_large(version.by, &version.key, content)
    }

    /// True if an edit of this site yielded after a restore of the site or of central.
    fn gave_way(&self, aside: &Aside, site: usize) -> bool {
        site > 0 && aside.from == From::Here && aside.of_backup && (self.went_back(site) || self.went_back(0))
    }

    /// The sites, without removed ones: nothing is asked of these.
    fn sites(&self) -> impl Iterator<Item = (usize, &Held)> {
        self.ends.iter().enumerate().skip(1).filter(|(site, _)| !self.ledger.removed.contains(site))
    }

    /// Records that differ between a site and central but should not, and records that a site should not have.
    fn unequal(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for (site, held) in self.sites() {
            for (key, content) in self.central().records.iter().filter(|(key, _)| self.ledger.is_of_v6(&key.0)) {
                let theirs = held.records.get(key);
                if says_the_same(&key.0, theirs, content)
                    || !self.is_for(site, key, content)
                    || self.is_explained(site, key, content)
                {
                    continue;
                }
                let (ours, theirs) = (short(Some(content)), short(theirs.map(String::as_str)));
                let what = format!("of {}, central holds {ours}, and site {site} holds {theirs}", shown(key));
                found.push(Violation { promise: Promise::QuietMeansEqual, what });
            }
            for (key, content) in held.records.iter().filter(|(key, _)| self.ledger.is_of_v6(&key.0)) {
                if let Some(what) = self.surplus(site, key, content) {
                    found.push(Violation { promise: Promise::QuietMeansEqual, what });
                }
            }
        }
        found
    }

    /// Whether a record is to be on a site now, as central holds it.
    fn is_for(&self, site: usize, key: &Key, content: &str) -> bool {
        let today = spelled_as_today(&key.0, content);
        let content = today.as_deref().unwrap_or(content);
        let Some(rule) = rule_of(&key.0, Some(content)).filter(|_| self.ledger.reads(site, &key.0)) else {
            return false;
        };
        let parent = |table: &str, id: &str| self.central().records.get(&(table.to_owned(), id.to_owned())).cloned();
        let store = store_of(rule, content, parent);
        let is_there = |store: &String| self.ledger.site_of(store) == Some(site);
        match rule.audience {
            Audience::Everyone | Audience::Legacy => true,
            Audience::Store => store.as_ref().is_some_and(is_there),
            Audience::StoreOrEveryone => store.as_ref().is_none_or(is_there),
            Audience::Patient => {
                let patient = text(&fields(content), "patient_id");
                patient.is_some_and(|patient| self.is_seen_on(&patient, site))
            }
            // Central sends such a record to nobody. If only this site wrote it, the site has central's version, unless it
            // was restored: then it does not get the record back.
            Audience::Nobody => !self.went_back(site) && self.ledger.of(key).all(|(_, version)| version.by == site),
        }
    }

    fn is_seen_on(&self, patient: &str, site: usize) -> bool {
        let joins = self.central().records.iter().filter(|(key, _)| key.0 == "name_store_join");
        joins.map(|(_, content)| fields(content)).any(|join| {
            text(&join, "name_ID").is_some_and(|name| self.is_one(&name, patient))
                && text(&join, "store_ID").is_some_and(|store| self.ledger.site_of(&store) == Some(site))
        })
    }

    /// True if the legacy server merged two names into one.
    fn is_one(&self, name: &str, other: &str) -> bool {
        self.ledger.merges.kept("name", name) == self.ledger.merges.kept("name", other)
    }

    /// True if a site has a reason not to hold central's version: the version waits in the site's quarantine for a missing
    /// record, or the site's own edit is in quarantine.
    fn is_explained(&self, site: usize, key: &Key, content: &str) -> bool {
        let waits = self.ends[site]
            .aside
            .iter()
            .filter(|aside| aside.key == *key && says_the_same(&key.0, aside.content.as_ref(), content))
            .any(|aside| self.is_true(aside, site));
        let theirs = self.ends[site].records.get(key);
        let mut own = self.ledger.of(key).filter(|(number, version)| {
            (version.by == site || self.ledger.of_several.contains(number))
                && self.ledger.is_same(&key.0, version.content.as_deref(), theirs.map(String::as_str))
        });
        waits || own.any(|(own, _)| self.is_excused(own))
    }

    /// Why a site should not hold a record.
    fn surplus(&self, site: usize, key: &Key, content: &str) -> Option<String> {
        let version = self.ledger.version(key, content)?;
        let may_have_come = self.ledger.was_for(site, key) || self.ledger.was_given_back(site, key);
        if !may_have_come && self.ledger.of(key).all(|(_, version)| version.by != site) {
            return Some(format!("site {site} holds {}, which never was for it", shown(key)));
        }
        let rule = rule_of(&key.0, Some(content))?;
        let gone = !self.central().records.contains_key(key);
        let parent_is_gone = match rule.store {
            StoreOf::Parent(field, table) => text(&fields(content), field)
                .is_none_or(|parent| !self.central().records.contains_key(&(table.to_owned(), parent))),
            _ => false,
        };
        let told = rule.deletes == Deletes::Removal && rule.audience != Audience::Nobody && !parent_is_gone;
        let here = self.is_for(site, key, content);
        // It went to a parent of another site before it was deleted: the site was told of that, and of nothing after.
        let is_excused =
            self.is_excused(version) || self.knows_better(site, key) || !self.ledger.reads_deletion(site, &key.0);
        if gone && told && here && !is_excused && !self.parent_was_away(key, content) {
            return Some(format!("site {site} holds {}, and central does not", shown(key)));
        }
        None
    }

    /// True if the parent that a child names was in several stores, or in none for a time. While the parent is away, the child
    /// does not belong to the site. If it moves to another parent or is deleted then, the site does not learn of it, and
    /// the child is the site's again when the parent returns.
    fn parent_was_away(&self, key: &Key, content: &str) -> bool {
        let Some(StoreOf::Parent(field, table)) = rule_of(&key.0, Some(content)).map(|rule| rule.store) else {
            return false;
        };
        let parent = text(&fields(content), field).map(|parent| (table.to_owned(), parent));
        parent.is_some_and(|parent| {
            let stores = self.ledger.stores_ever(&parent);
            stores.len() > 1 || stores.contains(&None)
        })
    }

    /// Records that a site treats as its own, although central assigns them to another site or none. Leaves out records that
    /// central lost in a restore, because central cannot tell the site of them, and types that the site's release does not read.
    fn believed(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for (site, held) in self.sites() {
            let is_told = |key: &Key| self.ledger.is_of_v6(&key.0) && self.ledger.reads(site, &key.0);
            for (key, content) in held.records.iter().filter(|(key, _)| is_told(key)) {
                let Some(rule) = rule_of(&key.0, Some(content)) else { continue };
                let is_sent = matches!(rule.audience, Audience::Store | Audience::StoreOrEveryone);
                // The owner of a child follows from its parent. If site and central differ about the parent, that is a
                // finding of its own.
                let parent = |table: &str, id: &str| {
                    let key = (table.to_owned(), id.to_owned());
                    held.records.get(&key).filter(|held| self.central().records.get(&key) == Some(*held)).cloned()
                };
                let is_own = |store: String| self.ledger.site_of(&store) == Some(site);
                let ours = self.central().records.get(key);
                if !is_sent
                    || !store_of(rule, content, parent).is_some_and(is_own)
                    || says_the_same(&key.0, ours, content)
                {
                    continue;
                }
                let is_void = self.ledger.version(key, content).is_some_and(|held| self.ledger.versions[held].is_void);
                let explained = match ours {
                    _ if is_void || self.parent_was_away(key, content) => true,
                    Some(ours) => self.is_explained(site, key, ours) || self.knows_better(site, key),
                    // `surplus` checks records that central does not hold.
                    None => true,
                };
                if !explained {
                    let (ours, theirs) = (short(ours.map(String::as_str)), short(Some(content)));
                    let what = format!("site {site} takes {} for its own: {theirs}; central: {ours}", shown(key));
                    found.push(Violation { promise: Promise::QuietMeansEqual, what });
                }
            }
        }
        found
    }

    /// Whether a site was told of a later version of a record, which waits there for a parent that is not there: the
    /// record went to a parent of another site, and how it goes on there is not for this one.
    fn knows_better(&self, site: usize, key: &Key) -> bool {
        let aside = &self.ends[site].aside;
        aside.iter().any(|aside| aside.key == *key && aside.from == From::Central && self.is_true(aside, site))
    }

    /// What is set aside without a reason that the judge finds true.
    fn unexplained(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for (end, held) in self.ends.iter().enumerate().filter(|(end, _)| !self.ledger.removed.contains(end)) {
            let promise = Promise::ItEnds;
            for staged in &held.staged {
                let what = format!("{} never looked at {}: {staged}", name_of(end), shown(&staged.key));
                found.push(Violation { promise, what });
            }
            for aside in &held.aside {
                let forged = matches!(aside.from, From::Site(site) if self.ledger.is_forged(site, &aside.key));
                if !forged && !self.is_true(aside, end) {
                    let what = format!("{} has set {} aside: {aside}", name_of(end), shown(&aside.key));
                    found.push(Violation { promise, what });
                }
            }
        }
        found
    }
}

#[path = "judge_reasons.rs"]
mod reasons;

#[path = "judge_order.rs"]
mod order;

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
