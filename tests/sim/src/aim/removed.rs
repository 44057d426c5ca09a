//! Sites that are removed: what central took from them stays, and they hear that nobody knows them any more.

use sync_core::protocol::PasswordHash;
use sync_core::{ErrorClass, SyncOptions};

use crate::lock;
use crate::promises::Promise;
use crate::run::{Chance, Sim};
use crate::world::{self, PASSWORD};

impl Sim {
    /// Whether a site was removed from central's list.
    pub(crate) fn is_removed(&self, site: usize) -> bool {
        lock(&self.ledger).removed.contains(&site)
    }

    /// The administrator gives the stores of a site to others, and removes it.
    pub(super) fn remove_a_site(&self) {
        let site = 1 + self.roll(Chance::Aim, self.ends.len() - 1);
        let left: Vec<usize> = (1..self.ends.len()).filter(|end| *end != site && !self.is_removed(*end)).collect();
        if self.is_removed(site) || left.is_empty() || self.ends[0].is_down() || self.ends[0].is_busy() {
            return;
        }
        let stores: Vec<String> = {
            let ledger = lock(&self.ledger);
            ledger.stores().filter(|store| ledger.site_of(store) == Some(site)).map(str::to_owned).collect()
        };
        for store in stores {
            let to = left[self.roll(Chance::Aim, left.len())];
            let moved = world::put_store(self, &store, to);
            self.note(|| format!("{store} goes to site {to}: {moved:?}"));
            self.notice_crash(0);
            if moved.is_err() {
                return;
            }
        }
        let done = self.sites().and_then(|sites| sites.remove(&world::site_name(site)));
        self.note(|| format!("site {site} is removed: {done:?}"));
        self.notice_crash(0);
        if done.is_ok() {
            lock(&self.ledger).removed.insert(site);
            self.add_another(site);
        }
    }

    /// A site that is added gets a number that no site ever had.
    fn add_another(&self, after: usize) {
        let known = world::number(world::rogue(self));
        let added = self.sites().and_then(|sites| {
            let name = format!("another-after-{after}");
            let entry = sites.add(&name, &PasswordHash::of_password(PASSWORD))?;
            sites.remove(&name)?;
            Ok(entry)
        });
        self.notice_crash(0);
        if let Some(entry) = added.ok().filter(|entry| entry.id <= known) {
            let what = format!("a new site gets the number {}, which another one had", entry.id);
            self.violate(Promise::OnlyWhoMayChanges, what);
        }
    }

    /// What a removed site wrote and central never took is nowhere but there; and the site hears that somebody must act.
    pub(crate) fn check_removed(&self) {
        let removed: Vec<usize> = lock(&self.ledger).removed.iter().copied().collect();
        for site in removed {
            let Some(report) = self.cycle(site, &SyncOptions::default()) else { continue };
            if report.error.as_ref().is_none_or(|error| error.class() == ErrorClass::Retry) {
                let what = format!("site {site} was removed, and hears {:?}", report.error.map(|e| e.to_string()));
                self.violate(Promise::ErrorsAreSaid, what);
            }
            let mut ledger = lock(&self.ledger);
            for number in 0..ledger.versions.len() {
                let is_taken = ledger.when_it_came(number).is_some() && ledger.came_for_sure(number);
                if ledger.versions[number].by == site && !is_taken {
                    ledger.versions[number].is_void = true;
                }
            }
        }
    }
}
