//! Who comes in: passwords that are changed, and machines that are replaced, beside a legacy server.

use sync_core::{NoopObserver, Settings};

use super::{Aim, Aimed};
use crate::legacy::{LEGACY, name};
use crate::lock;
use crate::promises::Promise;
use crate::run::{Chance, Sim};
use crate::world::password;

/// How often the password of a site was changed, and how far its host knows that; and how many machines it had.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    at_server: u32,
    at_site: u32,
    pub(super) machine: u32,
    /// The machine that came in first since the hardware id was reset, where central keeps its own list of sites.
    pub(super) bound: Option<String>,
    /// How often the hardware id was reset there.
    pub(super) resets: u32,
}

impl Sim {
    /// The id of the machine that a site runs on, where machines have ids of their own.
    pub(crate) fn machine(&self, end: usize) -> Option<String> {
        let aimed =
            self.aimed.as_ref().filter(|aimed| matches!(aimed.aim, Aim::Reset | Aim::Machines | Aim::Hardware))?;
        let machine = lock(&aimed.accesses).get(&end).map_or(0, |access| access.machine);
        Some(format!("machine-{end}-{machine}"))
    }

    /// Something is changed about how a site comes in.
    pub(super) fn change_access(&self, aimed: &Aimed) {
        let Some(legacy) = &self.legacy else { return };
        let site = 1 + self.roll(Chance::Aim, self.ends.len() - 1);
        let mut access = lock(&aimed.accesses).get(&site).cloned().unwrap_or_default();
        let end = &self.ends[site];
        match self.roll(Chance::Aim, 6) {
            0 => {
                access.at_server += 1;
                self.note(|| format!("the staff change the password of site {site}"));
                legacy.server.change_site(&name(site), |known| known.password = password(access.at_server));
            }
            1 | 2 if access.at_server > access.at_site => return self.take_password(aimed, site),
            3 if !end.is_down() && !end.is_busy() => {
                access.machine += 1;
                self.note(|| format!("site {site} goes on on another machine"));
            }
            4 => {
                self.note(|| format!("the staff let another machine of site {site} in"));
                legacy.server.reset_hardware_id(&name(site));
            }
            5 => self.add_by_hand(),
            _ => {}
        }
        lock(&aimed.accesses).insert(site, access);
    }

    /// The host of a site sets it up with the password that the legacy server has.
    fn take_password(&self, aimed: &Aimed, site: usize) {
        if self.ends[site].is_down() || self.ends[site].is_busy() {
            return;
        }
        let access = lock(&aimed.accesses).get(&site).cloned().unwrap_or_default();
        let settings = Settings::new(LEGACY, name(site), password(access.at_server)).https_only(false);
        let done = crate::world::site(self, site).set_up(&settings, &mut NoopObserver);
        self.note(|| format!("site {site} is set up with its password: {:?}", done.as_ref().map(|_| ())));
        self.notice_crash(site);
        if done.is_ok() {
            lock(&aimed.accesses).insert(site, Access { at_site: access.at_server, ..access });
        }
    }

    /// Somebody at central adds a site by hand, where the legacy server gives out the numbers: that is refused.
    fn add_by_hand(&self) {
        if self.ends[0].is_down() {
            return;
        }
        let failed = self.ends[0].process().faulty.failed();
        let added = self.sites().and_then(|sites| sites.add("by-hand", &password(0)));
        self.notice_crash(0);
        match added {
            Ok(entry) => {
                let what = format!("a site is added beside the legacy server, and gets the number {}", entry.id);
                self.violate(Promise::OnlyWhoMayChanges, what);
            }
            Err(sync_core::Error::LegacyKeepsSites) => {}
            Err(error) if self.ends[0].process().faulty.failed() == failed => {
                self.violate(Promise::ErrorsAreSaid, format!("who adds a site by hand hears: {error}"));
            }
            Err(_) => {}
        }
    }

    /// Each site has the password that the legacy server has for it, which lets its machine in.
    pub(crate) fn heal_access(&self) {
        let (Some(aimed), Some(legacy)) = (self.aimed.as_ref().filter(|a| a.aim == Aim::Reset), &self.legacy) else {
            return;
        };
        for site in 1..self.ends.len() {
            legacy.server.reset_hardware_id(&name(site));
            self.take_password(aimed, site);
        }
    }
}
