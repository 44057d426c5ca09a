//! How harsh a seed's world is: each seed switches a random part of it on.

use fastrand::Rng;

use super::Rate;

/// How much a line carries at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Narrow {
    /// The most bytes of the body of a request.
    pub up: usize,
    /// The most bytes of the body of an answer.
    pub down: usize,
    /// Whether it carries so much in the time that a request may take, and does not break.
    pub is_slow: bool,
    /// Whether it is better once nothing fails any more.
    pub ends: bool,
}

/// Older seeds mean what they meant before lines had rates.
const WITH_RATES: u64 = 730_000_000_000_000;

/// The harsh part of a seed's character.
#[derive(Debug, Clone, Default)]
pub struct HarshSwarm {
    /// The lines of the sites, if they carry little at a time.
    pub narrow: Option<Narrow>,
    /// How many bytes of text that cannot be compressed are in some of the records that hosts write.
    pub padding: usize,
    /// How many of a thousand records that hosts write are larger than a million bytes.
    pub large: u32,
    /// Whether a copy of a request may arrive after central was started anew.
    pub keeps_late: bool,
    /// Through how many positions of its changelog central looks for an answer; all if 0.
    pub window: u64,
    /// Whether central deletes the newest row of its changelog now and then.
    pub newest_gone: bool,
    /// How often of a thousand events somebody has tried again what is set aside at an end.
    pub retries: u32,
    /// How often of a thousand events a hostile neighbour does something.
    pub neighbour: u32,
    /// Whether that neighbour also pushes records of every type, and speaks V5.
    pub neighbour_forges_all: bool,
    /// Whether some sites begin with an older release.
    pub old: bool,
    /// Whether central begins with an older release.
    pub old_central: bool,
    /// Whether ends of an older release are those of Open mSupply, which say and hear nothing that only this project does.
    pub upstream: bool,
    /// Whether some of them keep their release to the end.
    pub stays_old: bool,
    /// How often of a thousand events an end gets a newer release.
    pub rises: u32,
    /// How often of a thousand events a password is changed.
    pub passwords: u32,
    /// How often of a thousand events a site loses its disk.
    pub disks: u32,
    /// Whether there may be several restores in a run.
    pub several_restores: bool,
    /// How often of a thousand transactions of central others push meanwhile.
    pub crowd: u32,
    /// Whether a record fails that bears a certain text, whoever stores it at central.
    pub poison: u32,
    /// How often of a thousand events central moves a record to another store.
    pub moves: u32,
    /// The line of each end, if lines carry so many bytes a second. Other lines take no longer for more bytes.
    pub rates: Vec<Rate>,
}

impl HarshSwarm {
    /// The harsh part of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x0048_4152_5348);
        let mut swarm = Self::default();
        match rng.u32(..100) {
            0..30 => {
                let mut bytes = || [8_000, 8_000, 12_000, 40_000][rng.usize(..4)];
                let (up, down) = (bytes(), bytes());
                swarm.narrow = Some(Narrow { up, down, is_slow: rng.bool(), ends: false });
                swarm.padding = [500, 2000, 4000][rng.usize(..3)];
            }
            30..40 => {
                swarm.large = 20;
                swarm.narrow = Some(Narrow { up: 500_000, down: 500_000, is_slow: rng.bool(), ends: true });
            }
            _ => {}
        }
        swarm.keeps_late = rng.bool();
        swarm.window = [0, 0, 0, 1, 2, 50][rng.usize(..6)];
        swarm.newest_gone = swarm.window == 0 && rng.u32(..100) < 25;
        swarm.retries = [0, 0, 20, 100][rng.usize(..4)];
        swarm.moves = [0, 0, 50, 200][rng.usize(..4)];
        swarm.neighbour = [0, 0, 50, 200][rng.usize(..4)];
        // A central server that looks through a part of its changelog is not ours, which knows of releases. Neither is one that
        // deletes its newest row.
        swarm.old = swarm.window == 0 && rng.u32(..100) < 30;
        swarm.newest_gone &= !swarm.old;
        swarm.rises = [0, 20, 60][rng.usize(..3)];
        swarm.passwords = [0, 0, 0, 30][rng.usize(..4)];
        swarm.disks = [0, 0, 0, 20][rng.usize(..4)];
        swarm.several_restores = rng.u32(..100) < 20;
        swarm.crowd = [0, 0, 100, 400][rng.usize(..4)];
        swarm.poison = [0, 0, 0, 30][rng.usize(..4)];
        // Drawn apart, so that the other half of the kept seeds plays as it always did.
        swarm.neighbour_forges_all = Rng::with_seed(seed ^ 0x4e45_4947_4842).bool();
        if seed >= WITH_RATES {
            swarm.draw_rates(seed, 30);
            swarm.draw_upstream(seed);
        }
        swarm
    }

    /// Lets older ends be those of Open mSupply in half of the worlds that have some, and in others central.
    fn draw_upstream(&mut self, seed: u64) {
        let mut rng = Rng::with_seed(seed ^ 0x5550_5354);
        let may = self.window == 0 && !self.newest_gone;
        self.old_central = may && rng.u32(..100) < 15;
        self.upstream = self.old_central || (self.old && rng.bool());
        self.stays_old = rng.bool();
        if self.upstream {
            self.without_restores();
        }
    }

    /// Nothing begins anew: an end of Open mSupply that was restored can tell nobody.
    pub(crate) fn without_restores(&mut self) {
        (self.disks, self.several_restores) = (0, false);
    }

    /// Lets lines carry so many bytes a second, in this percentage of worlds.
    pub(crate) fn draw_rates(&mut self, seed: u64, percent: u32) {
        let mut rng = Rng::with_seed(seed ^ 0x5241_5445);
        if self.narrow.is_none() && rng.u32(..100) < percent {
            self.rates = Rate::of_all(&mut rng);
            self.padding = [0, 500, 2000, 4000][rng.usize(..4)];
            self.large = [0, 0, 0, 10][rng.usize(..4)];
        }
    }

    /// Whether nothing of it makes a cycle fail.
    pub fn is_faultless(&self) -> bool {
        self.narrow.is_none() && self.rates.is_empty() && self.passwords == 0 && self.poison == 0
    }
}
