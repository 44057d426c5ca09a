//! Machines: one that begins anew, and passwords that are changed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use sync_core::protocol::PasswordHash;
use sync_core::storage::MemoryStorage;
use sync_core::{Error, NoopObserver, Settings};

use super::Harsh;
use crate::disk::Disk;
use crate::lock;
use crate::promises::Promise;
use crate::run::{Chance, Phase, Sim};
use crate::world::{self, ADDRESS, password};

/// What the administrator of central and the host of a site have for the site's password: how often it was changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passwords {
    at_central: u32,
    at_site: u32,
}

impl Sim {
    /// All sites have the newest release, and the passwords that central has for them.
    pub(crate) fn heal_harshly(&self) {
        let Some(harsh) = &self.harsh else { return };
        self.heal_releases(harsh);
        let known: Vec<(usize, Passwords)> =
            lock(&harsh.passwords).iter().map(|(site, known)| (*site, *known)).collect();
        for (site, Passwords { at_central, .. }) in known {
            // An end that was restored has forgotten what was changed since.
            let done = self.sites().and_then(|sites| sites.add(&world::site_name(site), &password(at_central)));
            self.note(|| format!("the password of site {site} is set: {:?}", done.map(|_| ())));
            lock(&harsh.passwords).insert(site, Passwords { at_central, at_site: u32::MAX });
            self.set_up_again(harsh, site);
        }
    }

    /// The administrator of central changes the password of a site, or its host takes over what was changed.
    pub(super) fn change_password(&self, harsh: &Harsh) {
        let site = 1 + self.roll(Chance::Harsh, self.ends.len() - 1);
        let known = lock(&harsh.passwords).get(&site).copied().unwrap_or_default();
        if known.at_central > known.at_site {
            return self.set_up_again(harsh, site);
        }
        if self.legacy.is_some() || self.ends[0].is_down() || self.ends[0].is_busy() {
            return;
        }
        let changes = known.at_central + 1;
        let Ok(sites) = self.sites() else { return };
        let done = sites.add(&world::site_name(site), &password(changes));
        self.note(|| format!("the password of site {site} is changed: {:?}", done.as_ref().map(|_| ())));
        self.notice_crash(0);
        if done.is_ok() {
            lock(&harsh.passwords).insert(site, Passwords { at_central: changes, ..known });
        }
    }

    /// The host of a site takes over the password that central has.
    fn set_up_again(&self, harsh: &Harsh, site: usize) {
        let known = lock(&harsh.passwords).get(&site).copied().unwrap_or_default();
        if known.at_central == known.at_site || self.ends[site].is_down() || self.ends[site].is_busy() {
            return;
        }
        let done = world::site(self, site).set_up(&self.settings(site, known.at_central), &mut NoopObserver);
        self.note(|| format!("site {site} is set up with its new password: {:?}", done.as_ref().map(|_| ())));
        self.notice_crash(site);
        if done.is_ok() {
            lock(&harsh.passwords).insert(site, Passwords { at_site: known.at_central, ..known });
        }
    }

    /// The password that central has for a site.
    pub(crate) fn password_at_central(&self, site: usize) -> PasswordHash {
        let known = self.harsh.as_ref().and_then(|harsh| lock(&harsh.passwords).get(&site).copied());
        password(known.unwrap_or_default().at_central)
    }

    fn settings(&self, site: usize, changes: u32) -> Settings {
        Settings::new(ADDRESS, self.ends[site].name.clone(), password(changes))
            .https_only(false)
            .hardware_id(self.machine(site).is_none().then(|| format!("machine-{site}")))
    }

    /// The disk of a site is lost; its machine gets a new one, and is set up again.
    pub(super) fn replace_disk(&self, harsh: &Harsh) {
        let site = 1 + self.roll(Chance::Harsh, self.ends.len() - 1);
        self.replace_disk_of(harsh, site);
    }

    /// The disk of this site is lost.
    pub(crate) fn replace_disk_of(&self, harsh: &Harsh, site: usize) {
        let end = &self.ends[site];
        let is_reached = {
            let state = lock(&self.state);
            !state.partitioned[site] && !state.legacy_down && !state.v6_down && state.crash[0].is_none()
        };
        let is_at_rest = !end.is_down() && !end.is_busy() && !end.filing.load(Relaxed) && !self.ends[0].is_busy();
        if !is_reached || !is_at_rest || self.ends[0].is_down() || self.legacy.is_some() || !self.may_restore() {
            return;
        }
        let known = lock(&harsh.passwords).get(&site).copied().unwrap_or_default();
        if lock(&self.state).answering > 0 {
            return;
        }
        self.note(|| format!("site {site} begins anew on an empty disk"));
        let before = world::held(self);
        end.process().faulty.heal();
        lock(&self.state).crash[site] = None;
        lock(&self.state).backups[site].clear();
        match &end.disk {
            Disk::Memory(storage) => *lock(storage) = Arc::new(MemoryStorage::new()),
            Disk::Server(..) => return,
            Disk::File(path) => {
                let other = Disk::Memory(std::sync::Mutex::default());
                *lock(&end.process) = other.open(site, &self.me);
                let folder = path.parent().expect("a folder");
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                for beside in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                    if beside.file_name().to_string_lossy().starts_with(&name) {
                        let _ = std::fs::remove_file(beside.path());
                    }
                }
            }
        }
        *lock(&end.process) = end.disk.open(site, &self.me);
        let phase = std::mem::replace(&mut lock(&self.state).phase, Phase::SetUp);
        self.ends[0].process().faulty.heal();
        let set_up = || world::site(self, site).set_up(&self.settings(site, known.at_central), &mut NoopObserver);
        let mut done = set_up();
        // A restored central server has the password of its backup: it is set there once more.
        let is_forgotten = |error: &Error| error.code() == "incorrect_password" && known.at_central > 0;
        if done.as_ref().is_err_and(is_forgotten) && lock(&self.ledger).restored.contains(&0) {
            let set = self.sites().and_then(|sites| sites.add(&world::site_name(site), &password(known.at_central)));
            self.note(|| format!("the password of site {site} is set again: {:?}", set.map(|_| ())));
            done = set_up();
        }
        // After its cycles with an older password central lets nobody try one for this site; people wait.
        if done.as_ref().is_err_and(|error| error.code() == "too_many_attempts") {
            self.time.pass(Duration::from_secs(60));
            done = set_up();
        }
        lock(&self.state).phase = phase;
        if let Err(error) = done {
            return self.violate(Promise::ErrorsAreSaid, format!("site {site} cannot begin anew: {error}"));
        }
        lock(&harsh.passwords).insert(site, Passwords { at_site: known.at_central, ..known });
        self.site_went_back(site, 0, &before);
    }
}
