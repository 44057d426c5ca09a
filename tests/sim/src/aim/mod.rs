//! Worlds that aim at one thing: what happens seldom elsewhere happens often in them, so that what goes wrong with it is
//! found soon. Nothing of this is drawn in other worlds, whose seeds mean what they always meant.

mod copied_databases;
mod files;
mod hardware;
mod lines;
mod patients;
mod removed;
mod reset;
mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use sync_core::SyncOptions;
use sync_core::storage::MemoryStorage;
use sync_core::transport::HttpRequest;

use reset::Access;

use crate::rules::RULES;
use crate::run::{Chance, Kind, Phase, Sim, Spot};
use crate::swarm::{Fault, Swarm};
use crate::{lock, world};

macro_rules! aims {
    ($($(#[doc = $what:literal])+ $name:ident = $word:literal on [$legacy:literal, $harsh:literal],)*) => {
        /// What a world aims at.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Aim {
            $($(#[doc = $what])+ $name,)*
        }

        impl Aim {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word that chooses it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The kind of world that it is made of.
            pub fn kind(self) -> Kind {
                let (legacy, harsh) = match self { $(Self::$name => ($legacy, $harsh),)* };
                Kind { legacy, harsh, files: self == Self::NarrowFiles, aim: Some(self) }
            }
        }
    };
}

aims! {
    /// Two copies of one site's database run, and one of them is left behind.
    Copies = "copies" on [false, false],
    /// Backups of sites are taken in the midst of their pushes, and put back.
    Backups = "backups" on [false, false],
    /// A central server of an older version answers from further back than was asked.
    FurtherBack = "further-back" on [false, false],
    /// Central deletes the newest row of its changelog, again and again.
    NewestGone = "newest-gone" on [false, true],
    /// A site is restored to a backup with edits that it had sent since, and central gives them back.
    OwnEdits = "own-edits" on [false, false],
    /// Stores come to sites whose edits have arrived, and nobody told them so.
    Gained = "gained-stores" on [false, false],
    /// Records come after they were merged into others.
    Merges = "merges" on [true, false],
    /// Sites are restored while central still has to integrate what they pushed.
    Forgotten = "forgotten" on [false, false],
    /// Sites delete what central edits, in the same moment.
    Deletes = "deletes" on [false, false],
    /// Commits of central fail: full disks, busy databases, I/O errors.
    FullDisks = "full-disks" on [false, false],
    /// What a site pushed is woken or staged while its integration ends.
    AtOnce = "at-once" on [false, false],
    /// Changelogs are around the position that a number of 32 bits can hold.
    Cursors = "cursors" on [false, false],
    /// Sites are removed, once their stores are elsewhere.
    Removed = "removed" on [false, false],
    /// Several ends are restored in one run, each of them again and again.
    Restores = "restores" on [false, true],
    /// Sites of older releases, which rise in the midst of the run, and records of all types that these spell otherwise.
    Releases = "releases" on [false, true],
    /// Lines that carry little of a file at a time, and strangers who bring files.
    NarrowFiles = "narrow-files" on [false, true],
    /// Patients are linked to stores, and asked for.
    Patients = "patients" on [true, false],
    /// Beside a legacy server passwords are changed, and sites go on on other machines.
    Reset = "reset" on [true, true],
    /// Machines lose their disks, and set their sites up again by their own ids.
    Machines = "machines" on [false, true],
    /// Copies of requests arrive late, after central was started anew too.
    Late = "late" on [false, true],
    /// Lines carry so many bytes a second, break at any of them, and stall.
    Rates = "rates" on [false, true],
    /// Sites of older releases of Open mSupply, which say and hear nothing that only this project says.
    OlderSites = "older-sites" on [false, true],
    /// A central server of an older release of Open mSupply, which ends batches as that does.
    OlderCentral = "older-central" on [false, true],
    /// Beside a central server that keeps its own list of sites, passwords are changed, and sites go on on other machines.
    Hardware = "hardware" on [false, true],
}

impl Aim {
    /// The aim with this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|aim| aim.word() == word)
    }

    /// The aim of a number, where all have their turn.
    pub fn in_turn(number: u64) -> Self {
        Self::ALL[usize::try_from(number % Self::ALL.len() as u64).unwrap_or(0)]
    }

    /// Shapes a world so that it happens often.
    pub(crate) fn shape(self, seed: u64, swarm: &mut Swarm) {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x0041_494d);
        let restores = [Fault::SiteRestored, Fault::CentralRestored];
        match self {
            Self::Copies => {
                restores.into_iter().for_each(|fault| swarm.without(fault));
                (swarm.sites, swarm.events) = (1 + rng.usize(..2), 45);
                swarm.tables[table("asset")] = true;
            }
            Self::Backups => {
                swarm.without(Fault::CentralRestored);
                swarm.set(Fault::SiteRestored, [30, 60][rng.usize(..2)]);
                swarm.set(Fault::ResponseLost, [20, 100][rng.usize(..2)]);
                (swarm.sites, swarm.events, swarm.cycles) = (1 + rng.usize(..2), 70, 50);
            }
            Self::FurtherBack | Self::Cursors => {
                restores.into_iter().for_each(|fault| swarm.without(fault));
                swarm.batches.0 = [2, 5][rng.usize(..2)];
                (swarm.events, swarm.cycles) = (45, 50);
            }
            Self::NewestGone => {
                restores.into_iter().for_each(|fault| swarm.without(fault));
                swarm.tables[table("system_log")] = true;
                if let Some(harsh) = &mut swarm.harsh {
                    (harsh.window, harsh.newest_gone, harsh.neighbour) = (0, true, 0);
                    (harsh.disks, harsh.poison) = (0, 0);
                }
            }
            Self::OwnEdits => {
                swarm.without(Fault::CentralRestored);
                swarm.set(Fault::SiteRestored, [30, 60][rng.usize(..2)]);
                (swarm.sites, swarm.events, swarm.cycles) = (1 + rng.usize(..2), 70, 50);
                swarm.tables[table("asset")] = true;
            }
            Self::Gained => {
                restores.into_iter().for_each(|fault| swarm.without(fault));
                swarm.set(Fault::StoreMove, 60);
                (swarm.sites, swarm.events, swarm.cycles) = (2, 70, 50);
                swarm.tables[table("name_oms_fields")] = true;
            }
            Self::Merges => {
                if let Some(legacy) = &mut swarm.legacy {
                    (legacy.staff, legacy.merges, legacy.documents) = (600, 300, 40);
                }
            }
            Self::Forgotten => {
                swarm.without(Fault::CentralRestored);
                swarm.set(Fault::SiteRestored, [60, 150][rng.usize(..2)]);
                (swarm.sites, swarm.events) = (1 + rng.usize(..2), 70);
                only(swarm, &["system_log", "sync_file_reference", "name_oms_fields"]);
                swarm.ids = [0, 0];
            }
            Self::Deletes => {
                restores.into_iter().for_each(|fault| swarm.without(fault));
                (swarm.sites, swarm.events, swarm.cycles) = (1, 70, 30);
                swarm.hosts = [300, 0, 0];
                only(swarm, &["asset", "asset_internal_location"]);
            }
            Self::FullDisks => {
                swarm.set(Fault::StorageFault, 150);
                swarm.set(Fault::CentralCrash, [20, 60][rng.usize(..2)]);
                (swarm.sites, swarm.events, swarm.cycles) = (1 + rng.usize(..2), 70, 50);
            }
            Self::AtOnce => {
                restores.into_iter().for_each(|fault| swarm.without(fault));
                (swarm.sites, swarm.events, swarm.cycles) = (1, 45, 40);
                swarm.hosts = [20, 0, 500];
                swarm.ids = [0, 300];
                only(
                    swarm,
                    &["asset", "asset_log", "asset_internal_location", "vaccine_course", "vaccine_course_dose"],
                );
                swarm.tables[table("vaccination")] = true;
            }
            _ => self.shape_of_field(&mut rng, swarm),
        }
        if let Some(harsh) = swarm.harsh.as_mut().filter(|_| !matches!(self, Self::OlderSites | Self::OlderCentral)) {
            (harsh.upstream, harsh.old_central, harsh.stays_old) = (false, false, false);
        }
    }
}

/// The place of a table among the rules.
fn table(name: &str) -> usize {
    RULES.iter().position(|rule| rule.table == name).unwrap_or(0)
}

/// Lets hosts write these tables only.
fn only(swarm: &mut Swarm, tables: &[&str]) {
    for (on, rule) in swarm.tables.iter_mut().zip(RULES) {
        *on = tables.contains(&rule.table);
    }
}

/// A copy of a site's database, and the push that was the newest when it was taken.
type Copied = (Arc<MemoryStorage>, String);

/// What a world aims at, and the judge's book of it.
pub(crate) struct Aimed {
    pub aim: Aim,
    /// A copy of each site's database, and the push that was the newest when it was taken.
    copies: Mutex<Vec<Option<Copied>>>,
    /// The sites that run a cycle in which they were not answered from further back yet.
    further_back: Mutex<BTreeSet<usize>>,
    /// What each site was given of its own versions in the cycle that it runs; and what it was given in a cycle that ended well.
    given: Mutex<[BTreeSet<(usize, usize)>; 2]>,
    /// The sites that get no answer to what they push.
    unanswered: Mutex<BTreeSet<usize>>,
    /// The password and the machine of each site.
    accesses: Mutex<BTreeMap<usize, Access>>,
}

impl Aimed {
    pub(crate) fn new(aim: Aim, ends: usize) -> Self {
        let copies = Mutex::new((0..ends).map(|_| None).collect());
        let (further_back, given, unanswered, accesses) = Default::default();
        Self { aim, copies, further_back, given, unanswered, accesses }
    }
}

impl Sim {
    pub(crate) fn aims_at(&self, aim: Aim) -> bool {
        self.aimed.as_ref().is_some_and(|aimed| aimed.aim == aim)
    }

    /// What the world aims at happens on its own.
    pub(crate) fn aimed_event(&self) {
        let Some(aimed) = &self.aimed else { return };
        match aimed.aim {
            Aim::Copies => self.copy_event(aimed),
            Aim::Gained if self.happens(Chance::Aim, 150) => self.gain_a_store(aimed),
            Aim::Removed if self.happens(Chance::Aim, 60) => self.remove_a_site(),
            Aim::Reset if self.happens(Chance::Aim, 300) => self.change_access(aimed),
            Aim::Hardware if self.happens(Chance::Aim, 300) => self.change_machine(aimed),
            Aim::Patients if self.happens(Chance::Aim, 300) => self.care_for_a_patient(),
            Aim::NarrowFiles if self.happens(Chance::Aim, 100) => self.stranger_brings_a_file(),
            _ => {}
        }
    }

    /// The same while something else is under way.
    pub(crate) fn aimed_meanwhile(&self, spot: Spot, end: usize) {
        let Some(aimed) = &self.aimed else { return };
        let (phase, depth) = {
            let state = lock(&self.state);
            (state.phase, state.depth)
        };
        if phase != Phase::Chaos {
            return;
        }
        match aimed.aim {
            Aim::Backups | Aim::OwnEdits if end > 0 && spot != Spot::Wait && self.happens(Chance::Aim, 60) => {
                self.take_backup_in_memory(end);
            }
            // Somebody at central writes what records wait for that are set aside.
            Aim::AtOnce
                if (spot, end) == (Spot::Transaction, 0)
                    && self.ends[0].is_busy()
                    && depth < 2
                    && self.happens(Chance::Aim, 600) =>
            {
                lock(&self.state).depth += 1;
                self.write_what_is_wanted();
                lock(&self.state).depth -= 1;
            }
            _ => {}
        }
    }

    /// What a site pushed arrives, and the answer does not; then a store comes to the site, which therefore reads what is its
    /// own once more.
    fn gain_a_store(&self, aimed: &Aimed) {
        let site = 1 + self.roll(Chance::Aim, self.ends.len() - 1);
        for _ in 0..2 {
            self.host(site);
        }
        lock(&aimed.unanswered).insert(site);
        self.cycle(site, &SyncOptions::default().push_only());
        lock(&aimed.unanswered).remove(&site);
        self.integrate();
        let stores: Vec<String> = lock(&self.ledger).stores().map(str::to_owned).collect();
        let rogues = world::store_name(world::rogue(self), 0);
        let elsewhere = |store: &&String| **store != rogues && lock(&self.ledger).site_of(store) != Some(site);
        if let Some(store) = stores.iter().find(elsewhere).filter(|_| !self.ends[0].is_down()) {
            let moved = world::put_store(self, store, site);
            self.note(|| format!("{store} comes to site {site}: {moved:?}"));
            self.notice_crash(0);
        }
        self.cycle(site, &SyncOptions::default().pull_only());
    }

    /// Whether the answer to this request is lost because the world aims at that.
    pub(crate) fn loses_answer(&self, site: usize, request: &HttpRequest) -> bool {
        let is_push = request.url.ends_with("/push");
        is_push && self.aimed.as_ref().is_some_and(|aimed| lock(&aimed.unanswered).contains(&site))
    }
}
