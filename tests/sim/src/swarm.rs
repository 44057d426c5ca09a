//! What kind of world a seed makes: how large, which record types, which faults and how often. Each seed switches a
//! random part of everything on, so that seeds differ in character and not in chance alone.

use fastrand::Rng;

use crate::files::FilesSwarm;
use crate::harsh::HarshSwarm;
use crate::legacy::LegacySwarm;
use crate::rules::{NEWER, RULES};

/// Something that goes wrong, or that hosts and administrators do to make it hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum Fault {
    RequestLost,
    ResponseLost,
    DeliveredTwice,
    DeliveredLate,
    CutOff,
    CutJson,
    BadStatus,
    WebPage,
    Partition,
    LegacyDown,
    CentralDown,
    SiteCrash,
    CentralCrash,
    StorageFault,
    Cancelled,
    ClockJump,
    StoreMove,
    Rogue,
    SiteRestored,
    CentralRestored,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::RequestLost,
        Self::ResponseLost,
        Self::DeliveredTwice,
        Self::DeliveredLate,
        Self::CutOff,
        Self::CutJson,
        Self::BadStatus,
        Self::WebPage,
        Self::Partition,
        Self::LegacyDown,
        Self::CentralDown,
        Self::SiteCrash,
        Self::CentralCrash,
        Self::StorageFault,
        Self::Cancelled,
        Self::ClockJump,
        Self::StoreMove,
        Self::Rogue,
        Self::SiteRestored,
        Self::CentralRestored,
    ];
}

/// The character of a seed.
#[derive(Debug, Clone)]
pub struct Swarm {
    /// The number of sites.
    pub sites: usize,
    /// The stores of each site.
    pub stores: usize,
    /// How many things happen on their own, one after the other.
    pub events: usize,
    /// How many more happen while those are under way, at most.
    pub nested: usize,
    /// Which rules' tables hosts write.
    pub tables: Vec<bool>,
    /// How often of a thousand something else happens at a request, during a wait, and before a transaction.
    pub interleave: [u32; 3],
    /// How often of a thousand each fault happens where it may.
    rates: [u32; Fault::ALL.len()],
    /// Of a hundred events, how many are cycles.
    pub cycles: u32,
    /// Of a thousand host writes, how many delete, try what is forbidden, and name a record that is not there yet.
    pub hosts: [u32; 3],
    /// Of a thousand new records, how many share their id with records of other tables; and of a thousand writes, how many
    /// are of what something waits for that is set aside there, if anything does.
    pub ids: [u32; 2],
    /// Records of a batch, pulled and pushed.
    pub batches: (u32, usize),
    /// A bit for each site whose app decides conflicts, so that its cycles pull before they push. It keeps its own edits, as
    /// all sites do.
    deciders: u64,
    /// True if sites ask with the first request of a cycle whether anything is new, where one server is the legacy server and central.
    pub checks_idle: bool,
    /// Bytes of a pushed request from which on it is compressed.
    pub gzip_from: usize,
    /// The longest that a request takes, in milliseconds.
    pub latency: u64,
    /// The legacy half, if there is one beyond central's own.
    pub legacy: Option<LegacySwarm>,
    /// Its files, if there are any.
    pub files: Option<FilesSwarm>,
    /// What is harsh in it, if anything is.
    pub harsh: Option<HarshSwarm>,
}

/// Older seeds mean what they meant before there were such apps.
const WITH_DECIDERS: u64 = 550_000_000_000_000;

/// As above, for sites that check whether a cycle is idle, which are those of every second world.
const WITH_IDLE_CHECKS: u64 = 650_000_000_000_000;

fn deciders(seed: u64) -> u64 {
    let mut rng = Rng::with_seed(seed ^ 0x4445_4349);
    if seed >= WITH_DECIDERS && rng.bool() { rng.u64(..) } else { 0 }
}

impl Swarm {
    /// The character of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x5749_4c44);
        let quiet = rng.u32(..100) < 15;
        let share = [25, 50, 75, 100][rng.usize(..4)];
        let mut tables: Vec<bool> = RULES[..RULES.len() - NEWER].iter().map(|_| rng.u32(..100) < share).collect();
        for (on, rule) in tables.iter_mut().zip(RULES) {
            *on |= rng.bool() && rule.table == "asset";
            *on &= !rule.table.starts_with("store") && !rule.table.contains(' ');
        }
        if !tables.contains(&true) {
            let first = rng.usize(..21);
            tables[first] = true;
        }
        let mut newer = Rng::with_seed(seed ^ 0x4e45_5745);
        tables.extend((0..NEWER).map(|_| newer.u32(..100) < 12));
        let mut rates = [0; Fault::ALL.len()];
        for rate in &mut rates {
            let on = rng.u32(..100) < 40;
            let strength = [5, 20, 60, 150][rng.usize(..4)];
            *rate = if on && !quiet { strength } else { 0 };
        }
        let sites = [1, 2, 2, 2, 3, 3, 4, 8][rng.usize(..8)];
        Self {
            sites,
            stores: 1 + rng.usize(..2),
            events: [12, 20, 30, 45, 70][rng.usize(..5)],
            nested: [0, 10, 30, 60][rng.usize(..4)],
            tables,
            interleave: [[0, 50, 200], [0, 5, 30], [0, 2, 20]].map(|of: [u32; 3]| of[rng.usize(..3)]),
            rates,
            cycles: [15, 30, 50][rng.usize(..3)],
            hosts: [rng.u32(..200), rng.u32(..150), [0, 0, 100, 300][rng.usize(..4)]],
            ids: [[0, 0, 0, 500][rng.usize(..4)], [0, 0, 300, 700][rng.usize(..4)]],
            batches: ([2, 5, 20, 500][rng.usize(..4)], [1, 3, 10, 1000][rng.usize(..4)]),
            deciders: deciders(seed),
            checks_idle: seed >= WITH_IDLE_CHECKS && seed.is_multiple_of(2),
            gzip_from: [200, 4096, usize::MAX, usize::MAX][rng.usize(..4)],
            latency: [10, 500, 20_000][rng.usize(..3)],
            legacy: None,
            files: None,
            harsh: None,
        }
    }

    /// The character of a seed with a legacy server. Backups have a chance of their own there.
    pub fn of_legacy(seed: u64) -> Self {
        let mut swarm = Self { legacy: Some(LegacySwarm::of(seed)), ..Self::of(seed) };
        let mut rng = Rng::with_seed(seed ^ 0x4241_434b);
        let is_quiet = swarm.is_faultless();
        for fault in [Fault::SiteRestored, Fault::CentralRestored] {
            let (on, strength) = (rng.u32(..100) < 20, [20, 60, 150][rng.usize(..3)]);
            swarm.rates[fault as usize] = if on && !is_quiet { strength } else { 0 };
        }
        swarm
    }

    /// The same with files.
    #[must_use]
    pub fn with_files(self, seed: u64) -> Self {
        Self { files: Some(FilesSwarm::of(seed)), ..self }
    }

    /// The same as harsh as the field.
    #[must_use]
    pub fn with_harsh(self, seed: u64) -> Self {
        let harsh = HarshSwarm::of(seed);
        let mut swarm = Self { harsh: Some(harsh.clone()), ..self };
        for (on, rule) in swarm.tables.iter_mut().zip(RULES) {
            // What an older release spells otherwise comes back in the newer spelling, and not as it was written.
            *on &= !harsh.old || harsh.upstream || !matches!(rule.table, "item_variant" | "vaccination" | "rnr_form");
        }
        swarm.tables[0] |= !swarm.tables.contains(&true);
        if harsh.upstream {
            [Fault::SiteRestored, Fault::CentralRestored].into_iter().for_each(|fault| swarm.without(fault));
        }
        swarm
    }

    /// True if the app of this site decides conflicts.
    pub fn decides(&self, site: usize) -> bool {
        self.deciders >> (site % 64) & 1 == 1
    }

    /// How often of a thousand a fault happens where it may.
    pub fn rate(&self, fault: Fault) -> u32 {
        self.rates[fault as usize]
    }

    /// Whether a fault happens in this seed at all.
    pub fn has(&self, fault: Fault) -> bool {
        self.rate(fault) > 0
    }

    /// Whether nothing goes wrong in this seed.
    pub fn is_faultless(&self) -> bool {
        self.rates.iter().all(|rate| *rate == 0)
            && self.legacy.as_ref().is_none_or(LegacySwarm::is_faultless)
            && self.harsh.as_ref().is_none_or(HarshSwarm::is_faultless)
    }

    /// Lets a fault happen so often of a thousand.
    pub(crate) fn set(&mut self, fault: Fault, rate: u32) {
        self.rates[fault as usize] = rate;
    }

    /// Switches a fault off.
    pub fn without(&mut self, fault: Fault) {
        self.rates[fault as usize] = 0;
    }
}
