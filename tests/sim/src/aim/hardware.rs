//! Machines that are replaced, beside a central server that keeps its own list of sites: a site goes on on another machine, with its
//! database or with an empty disk, and comes in once the administrator has reset its hardware id.

use std::sync::Arc;

use serde_json::Value;
use sync_core::protocol::v5::SiteHeaders;
use sync_core::storage::MemoryStorage;
use sync_core::transport::{HttpRequest, HttpResponse};
use sync_core::{Error, NoopObserver, Replica, Settings, SyncReport};

use super::{Aim, Aimed};
use crate::lock;
use crate::network::{Network, unzipped};
use crate::promises::Promise;
use crate::run::{Chance, Phase, Sim};
use crate::world::{self, ADDRESS};

/// What central says to a machine that is not the site's.
const ANOTHER_MACHINE: &str = "hardware_id_mismatch";

impl Sim {
    /// A site gets another machine, or its administrator lets one in.
    pub(super) fn change_machine(&self, aimed: &Aimed) {
        let site = 1 + self.roll(Chance::Aim, self.ends.len() - 1);
        let end = &self.ends[site];
        let is_at_rest = !end.is_down() && !end.is_busy();
        match self.roll(Chance::Aim, 6) {
            0 | 1 if is_at_rest => self.goes_to_another_machine(aimed, site),
            2 | 3 => drop(self.let_another_machine_in(aimed, site)),
            4 if is_at_rest => self.set_up_elsewhere(site),
            5 if is_at_rest => {
                let Some(harsh) = &self.harsh else { return };
                self.goes_to_another_machine(aimed, site);
                if self.let_another_machine_in(aimed, site) {
                    self.replace_disk_of(harsh, site);
                }
            }
            _ => {}
        }
    }

    fn goes_to_another_machine(&self, aimed: &Aimed, site: usize) {
        lock(&aimed.accesses).entry(site).or_default().machine += 1;
        self.note(|| format!("site {site} goes on on another machine"));
    }

    /// The administrator of central resets the hardware id of a site. Says whether that was done.
    fn let_another_machine_in(&self, aimed: &Aimed, site: usize) -> bool {
        if self.ends[0].is_down() {
            return false;
        }
        let done = self.sites().and_then(|sites| sites.reset_hardware(&world::site_name(site)));
        self.note(|| format!("the hardware id of site {site} is reset: {done:?}"));
        self.notice_crash(0);
        if done.is_ok() {
            let mut accesses = lock(&aimed.accesses);
            let access = accesses.entry(site).or_default();
            (access.bound, access.resets) = (None, access.resets + 1);
        }
        done.is_ok()
    }

    /// Somebody sets a site up on another machine, and nobody let that in: it hears so.
    fn set_up_elsewhere(&self, site: usize) {
        let Some(aimed) = &self.aimed else { return };
        let stolen = format!("machine-{site}-stolen");
        let is_refused = || {
            let bound = lock(&aimed.accesses).get(&site).and_then(|access| access.bound.clone());
            bound.is_some_and(|bound| bound != stolen)
        };
        let is_to_be_refused = is_refused();
        let settings = Settings::new(ADDRESS, self.ends[site].name.clone(), self.password_at_central(site));
        let tried = Replica::builder()
            .clock(self.ends[site].clock.clone())
            .machine_id(stolen.clone())
            .with_storage(Arc::new(MemoryStorage::new()))
            .site(Arc::new(Network::of(self.me.clone(), site)))
            .set_up(&settings.https_only(false), &mut NoopObserver);
        self.note(|| format!("site {site} is set up elsewhere: {:?}", tried.as_ref().map(|_| ()).map_err(Error::code)));
        self.notice_crash(0);
        if tried.is_ok() && is_to_be_refused && is_refused() {
            let what = format!("site {site} is set up on a machine that nobody let in");
            self.violate(Promise::OnlyOnesOwnArrives, what);
        }
    }

    /// How often the hardware id of a site was reset.
    pub(crate) fn resets(&self, site: usize) -> u32 {
        self.aimed.as_ref().and_then(|aimed| lock(&aimed.accesses).get(&site).map(|access| access.resets)).unwrap_or(0)
    }

    /// Central answers no machine but the one that came in first since the hardware id of its site was reset.
    pub(crate) fn check_machine(&self, site: usize, (request, resets): (&HttpRequest, u32), response: &HttpResponse) {
        let Some(aimed) = self.aimed.as_ref().filter(|aimed| aimed.aim == Aim::Hardware) else { return };
        if site >= self.ends.len() || self.resets(site) != resets {
            return;
        }
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let has_no_machine = request.url.contains("/api/v4/");
        if response.status != 200 || answer.get("error").is_some() || has_no_machine {
            return;
        }
        let asked: Value = serde_json::from_slice(&unzipped(request)).unwrap_or_default();
        let of_v5 = || SiteHeaders::from_headers(|name| request.header(name)).map(|headers| headers.hardware_id);
        let machine = asked["syncV5Settings"]["siteUuid"].as_str().map(str::to_owned).or_else(of_v5);
        let Some(machine) = machine else { return };
        let mut accesses = lock(&aimed.accesses);
        let bound = accesses.entry(site).or_default().bound.get_or_insert_with(|| machine.clone()).clone();
        drop(accesses);
        if bound != machine {
            let what = format!("central answers {machine} of site {site}, which is bound to {bound}");
            self.violate(Promise::OnlyOnesOwnArrives, what);
        }
    }

    /// A cycle on a machine that is not let in says so, where nothing else fails.
    pub(super) fn check_refused_machine(&self, site: usize, report: &SyncReport) {
        let error = report.error.as_ref();
        let Some(aimed) = self.aimed.as_ref().filter(|aimed| aimed.aim == Aim::Hardware) else { return };
        let access = lock(&aimed.accesses).get(&site).cloned().unwrap_or_default();
        let is_another = access.bound.is_some_and(|bound| self.machine(site).is_some_and(|machine| machine != bound));
        if !is_another && lock(&self.state).phase == Phase::Quiet && error.is_some_and(|e| e.code() == ANOTHER_MACHINE)
        {
            self.violate(Promise::ErrorsAreSaid, format!("site {site} is refused on the machine that was let in"));
        }
        // A cycle whose time was over may have heard nothing at all.
        if is_another && error.is_none() && report.outcome.as_str() == "done" {
            let what = format!("site {site} runs on a machine that was not let in, and hears nothing");
            self.violate(Promise::ErrorsAreSaid, what);
        }
    }

    /// The machine of each site is let in.
    pub(crate) fn heal_machines(&self) {
        let Some(aimed) = self.aimed.as_ref().filter(|aimed| aimed.aim == Aim::Hardware) else { return };
        for site in 1..self.ends.len() {
            self.let_another_machine_in(aimed, site);
        }
    }
}
