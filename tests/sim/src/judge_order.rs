//! What the judge says of versions by the order in which they came to central.

use super::Judge;
use crate::ledger::Version;
use crate::promises::{Aside, Promise, Violation, name_of, short, shown};

impl Judge<'_> {
    /// Versions that came to central after the one that it holds, are independent of that one, and are now nowhere: so an
    /// older version replaced a newer one. The version that comes last wins, unless it goes into quarantine. After a restore
    /// nobody knows what came last.
    pub(super) fn undone(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        if !self.ledger.restored.is_empty() || !self.ledger.judges_order {
            return found;
        }
        for key in self.ledger.records().filter(|key| self.ledger.is_of_v6(&key.0)) {
            let held: Vec<usize> = match self.central().records.get(key) {
                Some(content) => self.ledger.version(key, content).into_iter().collect(),
                None => self.ledger.of(key).filter(|(_, v)| v.is_gone()).map(|(number, _)| number).collect(),
            };
            let undone: Vec<Option<usize>> = held.iter().map(|held| self.undone_by(*held)).collect();
            if let Some(Some(undone)) = undone.iter().find(|_| undone.iter().all(Option::is_some)) {
                let version = &self.ledger.versions[*undone];
                let (wrote, by) = (short(version.content.as_deref()), name_of(version.by));
                let holds = short(self.central().records.get(key).map(String::as_str));
                let what = format!("of {}, {wrote} of {by} came later, and central holds {holds}", shown(key));
                found.push(Violation { promise: Promise::NothingIsLost, what });
            }
        }
        found
    }

    /// The first version of another end that came to central after this one, is independent of it, and is nowhere.
    fn undone_by(&self, held: usize) -> Option<usize> {
        let at = self.ledger.when_it_came(held).filter(|_| self.ledger.came_for_sure(held))?;
        let version = &self.ledger.versions[held];
        let is_undone = |(number, later): &(usize, &Version)| {
            let came_later = self.ledger.when_it_came(*number).is_some_and(|came| came > at);
            later.by != version.by
                && came_later
                && self.ledger.came_for_sure(*number)
                && !version.ancestors.contains(number)
                && !later.ancestors.contains(&held)
                && !(version.is_gone() && later.is_gone())
                && !self.ledger.is_same(&version.key.0, later.content.as_deref(), version.content.as_deref())
                && !self.is_excused(*number)
        };
        let is_of_one = !self.ledger.of_several.contains(&held);
        self.ledger.of(&version.key).filter(|_| is_of_one).find(is_undone).map(|(number, _)| number)
    }

    /// True if the quarantined version is one that this site wrote after the given one, and that came to central after it.
    pub(super) fn came_after(&self, site: usize, aside: &Aside, number: usize) -> bool {
        let came = self.ledger.when_it_came(number);
        self.ledger.of(&aside.key).any(|(later, version)| {
            later > number
                && version.by == site
                && version.content == aside.content
                && came.is_some_and(|came| self.ledger.when_it_came(later).is_some_and(|later| later > came))
        })
    }

    /// True if a version of another end may have come to central after the site's version, so that the site's may have yielded
    /// to it. Also true if it is not known which came first.
    pub(super) fn was_overtaken(&self, aside: &Aside, site: usize) -> bool {
        let (ledger, key) = (self.ledger, &aside.key);
        let knows_order = ledger.judges_order && ledger.restored.is_empty();
        let is_it = |version: &Version| ledger.is_same(&key.0, version.content.as_deref(), aside.content.as_deref());
        let own = ledger.of(key).filter(|(_, version)| is_it(version)).filter_map(|(own, _)| ledger.when_it_came(own));
        let came = own.min().filter(|_| knows_order);
        ledger.of(key).filter(|(_, version)| version.by != site).any(|(other, _)| {
            let is_later = |came| ledger.when_it_came(other).is_some_and(|other| other > came);
            came.is_none_or(is_later) || !ledger.came_for_sure(other) || ledger.of_several.contains(&other)
        })
    }
}
