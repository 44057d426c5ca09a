//! A run: the ends, what happens between them, and when it happens. Everything is decided by the seed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use fastrand::Rng;
use sync_core::Replica;
use sync_core::central::{Central, CentralConfig, SiteRegistry};
use sync_core::record::SiteId;
use sync_core::storage::Storage;
use sync_core::transport::HttpRequest;
use sync_testkit::PostgresServer;

use crate::aim::{Aim, Aimed};
use crate::backup::Backup;
use crate::clock::{EndClock, Time};
use crate::disk::{Disk, Process};
use crate::files::{self, FilesHalf};
use crate::harsh::Harsh;
use crate::judge;
use crate::ledger::Ledger;
use crate::legacy::{self, Legacy};
use crate::lock;
use crate::promises::{Promise, Violation};
use crate::swarm::{Fault, Swarm};
use crate::trace::Trace;
use crate::world;

/// A place in the engine's work at which other things may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum Spot {
    Transaction,
    Request,
    Wait,
}

/// What kind of decision is drawn: each has its own stream of chance, so that one more of a kind does not change all
/// others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum Chance {
    Events,
    Faults,
    Hosts,
    Files,
    Harsh,
    Aim,
    Neighbour,
    Line,
}

/// An end: central, or a site.
pub struct End {
    /// 0 is central.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Its number on the wire.
    pub site: SiteId,
    /// Where it keeps what it has.
    pub disk: Disk,
    /// Its clock.
    pub clock: Arc<EndClock>,
    pub(crate) process: Mutex<Process>,
    /// Whether its process died and was not started again.
    pub(crate) is_down: AtomicBool,
    /// Whether its work is under way further up the stack.
    pub(crate) busy: AtomicBool,
    /// Whether its files are being sent and fetched further up the stack.
    pub(crate) filing: AtomicBool,
}

impl End {
    /// Its storage, open.
    pub fn process(&self) -> Process {
        lock(&self.process).clone()
    }

    pub(crate) fn is_down(&self) -> bool {
        self.is_down.load(Relaxed)
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed)
    }
}

/// The phases of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum Phase {
    SetUp,
    Chaos,
    Quiet,
}

/// A copy of a request that is still on its way.
pub(crate) struct Late {
    pub site: usize,
    pub request: HttpRequest,
    pub until: Duration,
}

/// What changes in the course of a run.
pub(crate) struct State {
    pub phase: Phase,
    pub depth: usize,
    pub nested_left: usize,
    pub late: Vec<Late>,
    pub partitioned: Vec<bool>,
    pub legacy_down: bool,
    pub v6_down: bool,
    pub central: Option<Arc<Central>>,
    /// How many requests central is answering, further up the stack.
    pub answering: usize,
    /// The stores that are being moved, further up the stack.
    pub moving: Vec<String>,
    /// For each end, how many operations had failed when its crash was planned.
    pub crash: Vec<Option<u64>>,
    pub violations: Vec<Violation>,
    /// How often the pull cursor of a site, and that of the legacy half, may still fall because of a restore.
    pub may_fall: Vec<[u32; 2]>,
    pub faults: [u64; Fault::ALL.len()],
    pub events: u64,
    pub created: u64,
    pub backups: Vec<Vec<Backup>>,
    /// The tables that were written, each by central or by a site.
    pub written: BTreeSet<(&'static str, bool)>,
}

/// One run of one seed.
pub struct Sim {
    pub(crate) me: Weak<Self>,
    /// The seed.
    pub seed: u64,
    /// What kind of world it makes.
    pub swarm: Swarm,
    /// The time that passes for all.
    pub time: Arc<Time>,
    /// Central and the sites.
    pub ends: Vec<End>,
    /// What happened.
    pub trace: Trace,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) state: Mutex<State>,
    /// The legacy server, where there is one.
    pub(crate) legacy: Option<Legacy>,
    /// The files, where there are any.
    pub(crate) files: Option<FilesHalf>,
    /// What is harsh, if anything is.
    pub(crate) harsh: Option<Harsh>,
    /// What it aims at, if at anything.
    pub(crate) aimed: Option<Aimed>,
    dice: [Mutex<Rng>; 8],
    /// Holds the files of the ends, if they have any.
    _folder: Option<tempfile::TempDir>,
}

/// What came of a run.
#[derive(Debug)]
pub struct Verdict {
    /// The broken promises; none if all is well.
    pub violations: Vec<Violation>,
    /// What happened, if a trace was wanted.
    pub trace: Vec<String>,
    /// One number for the trace.
    pub hash: u64,
    /// How many things happened.
    pub events: u64,
    /// How many faults of each kind.
    pub faults: [u64; Fault::ALL.len()],
    /// The tables that were written, each by central (`true`) or by a site.
    pub written: BTreeSet<(&'static str, bool)>,
}

/// How a run is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether ends keep what they have in SQLite files.
    pub sqlite: bool,
    /// Whether central keeps what it has on a PostgreSQL server.
    pub postgres: bool,
    /// Whether a trace is wanted.
    pub trace: bool,
    /// What kind of world it is.
    pub kind: Kind,
}

/// A kind of world: what it has beyond the plain one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Whether it has a legacy server.
    pub legacy: bool,
    /// Whether it has files.
    pub files: bool,
    /// Whether it is as harsh as the field.
    pub harsh: bool,
    /// What it aims at, if at anything.
    pub aim: Option<Aim>,
}

impl Kind {
    /// The kind of this number, where all are played in turn.
    pub fn in_turn(number: u64) -> Self {
        let of_ten = number % 10;
        Self {
            legacy: matches!(of_ten, 2..=4),
            files: matches!(of_ten, 4..=6),
            harsh: !matches!(of_ten, 0 | 2 | 5),
            aim: None,
        }
    }

    /// The flags of the program that choose it.
    pub fn flags(self) -> String {
        let flags = [(self.legacy, " --legacy"), (self.files, " --files"), (self.harsh, " --harsh")];
        let mut flags: String = flags.into_iter().filter(|(on, _)| *on).map(|(_, flag)| flag).collect();
        if let Some(aim) = self.aim {
            flags.push_str(&format!(" --aim {}", aim.word()));
        }
        flags
    }
}

/// Runs one seed.
pub fn run(seed: u64, options: Options) -> Verdict {
    let Kind { legacy, files, harsh, aim } = options.kind;
    let swarm = if legacy { Swarm::of_legacy(seed) } else { Swarm::of(seed) };
    let swarm = if files { swarm.with_files(seed) } else { swarm };
    let mut swarm = if harsh { swarm.with_harsh(seed) } else { swarm };
    if let Some(aim) = aim {
        aim.shape(seed, &mut swarm);
    }
    run_with(seed, swarm, options)
}

/// Runs one seed in a world of this character.
pub fn run_with(seed: u64, swarm: Swarm, options: Options) -> Verdict {
    let sim = Sim::new(seed, swarm, options);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sim.all()));
    if let Err(panic) = outcome {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text");
        sim.violate(Promise::ErrorsAreSaid, format!("a panic: {text}"));
    }
    let mut state = lock(&sim.state);
    Verdict {
        violations: state.violations.clone(),
        trace: sim.trace.take(),
        hash: sim.trace.hash(),
        events: state.events,
        faults: state.faults,
        written: std::mem::take(&mut state.written),
    }
}

impl Sim {
    fn new(seed: u64, swarm: Swarm, options: Options) -> Arc<Self> {
        let folder = options.sqlite.then(world::folder);
        let server = options.postgres.then(|| PostgresServer::of_this_process().expect("PostgreSQL"));
        let time = Arc::new(Time::default());
        let legacy = swarm.legacy.clone().map(|swarm| Legacy::new(&time, swarm));
        let files = swarm.files.clone().map(FilesHalf::new);
        let harsh = swarm.harsh.clone().map(Harsh::new);
        let aimed = options.kind.aim.map(|aim| Aimed::new(aim, swarm.sites + 1));
        Arc::new_cyclic(|me| {
            let ends: Vec<End> = (0..=swarm.sites)
                .map(|index| {
                    let clock = Arc::new(EndClock::new(time.clone(), index, me.clone()));
                    let disk = world::disk(folder.as_ref().map(tempfile::TempDir::path), server, index);
                    let process = Mutex::new(disk.open(index, me));
                    let name = if index == 0 { "central".to_owned() } else { world::site_name(index) };
                    let site = if swarm.legacy.is_some() { legacy::number(index) } else { world::number(index) };
                    let [is_down, busy, filing] = [const { AtomicBool::new(false) }; 3];
                    End { index, name, site, disk, clock, process, is_down, busy, filing }
                })
                .collect();
            let state = State {
                phase: Phase::SetUp,
                depth: 0,
                nested_left: swarm.nested,
                late: Vec::new(),
                partitioned: vec![false; ends.len()],
                legacy_down: false,
                v6_down: false,
                central: None,
                answering: 0,
                moving: Vec::new(),
                crash: vec![None; ends.len()],
                violations: Vec::new(),
                may_fall: vec![[0; 2]; ends.len()],
                faults: [0; Fault::ALL.len()],
                events: 0,
                created: 0,
                written: BTreeSet::new(),
                backups: ends.iter().map(|_| Vec::new()).collect(),
            };
            let dice = [1, 2, 3, 4, 5, 6, 7, 8]
                .map(|stream| Mutex::new(Rng::with_seed(seed.wrapping_mul(0x9e37_79b9).wrapping_add(stream))));
            let mut ledger = Ledger::of_world(legacy.is_some());
            ledger.judges_order = harsh.is_some();
            Self {
                me: me.clone(),
                seed,
                swarm,
                time,
                ends,
                trace: Trace::new(options.trace),
                ledger: Mutex::new(ledger),
                legacy,
                files,
                harsh,
                aimed,
                state: Mutex::new(state),
                dice,
                _folder: folder,
            }
        })
    }

    fn all(&self) {
        self.begin_far_on();
        world::set_up(self);
        self.begin_harshly();
        lock(&self.state).phase = Phase::Chaos;
        for _ in 0..self.swarm.events {
            self.event();
            if self.is_broken() {
                return;
            }
        }
        self.check_strangers();
        lock(&self.state).phase = Phase::Quiet;
        self.heal();
        if let Some(harsh) = &self.harsh {
            self.others_go_on(harsh);
        }
        if !self.converge() || self.is_broken() || !self.link_in_quiet() {
            return;
        }
        self.check_removed();
        let held = world::held(self);
        for (end, aside) in held.iter().enumerate().flat_map(|(end, held)| held.aside.iter().map(move |a| (end, a))) {
            self.note(|| format!("in the end, {} has set aside: {aside:?}", self.ends[end].name));
        }
        let found = judge::judge(&lock(&self.ledger), &held);
        lock(&self.state).violations.extend(found);
        self.check_legacy(&held);
        if let Some(files) = self.files.as_ref().filter(|_| !self.is_broken()) {
            self.converge_files(files, &held);
        }
        if !self.is_broken() {
            self.audit(&held);
        }
        if !self.is_broken() {
            self.read_again(&held);
        }
        if let Some(harsh) = &self.harsh {
            self.check_bytes(harsh);
        }
    }

    /// Checks that no end holds what nobody wrote.
    fn check_strangers(&self) {
        if self.harsh.as_ref().is_some_and(|harsh| harsh.any_is_old() && !harsh.has_upstream()) {
            return;
        }
        let held = world::held(self);
        let found = judge::strangers(&lock(&self.ledger), &held);
        lock(&self.state).violations.extend(found);
    }

    pub(crate) fn is_broken(&self) -> bool {
        !lock(&self.state).violations.is_empty()
    }

    pub(crate) fn violate(&self, promise: Promise, what: String) {
        self.note(|| format!("BROKEN {promise}: {what}"));
        lock(&self.state).violations.push(Violation { promise, what });
    }

    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        self.trace.note(|| {
            let depth = lock(&self.state).depth;
            format!("{:>9.3} {}{}", self.time.now().as_secs_f64(), "  ".repeat(depth), line())
        });
    }

    /// A number below `n`.
    pub(crate) fn roll(&self, chance: Chance, n: usize) -> usize {
        lock(&self.dice[chance as usize]).usize(..n.max(1))
    }

    /// Whether something with a chance of so many in a thousand happens.
    pub(crate) fn happens(&self, chance: Chance, of_thousand: u32) -> bool {
        of_thousand > 0 && lock(&self.dice[chance as usize]).u32(..1000) < of_thousand
    }

    /// Whether a fault happens here; counted if it does.
    pub(crate) fn strikes(&self, fault: Fault) -> bool {
        let strikes = lock(&self.state).phase == Phase::Chaos && self.happens(Chance::Faults, self.swarm.rate(fault));
        if strikes {
            self.count(fault);
        }
        strikes
    }

    pub(crate) fn count(&self, fault: Fault) {
        lock(&self.state).faults[fault as usize] += 1;
    }

    /// The list of sites and stores of central.
    pub(crate) fn sites(&self) -> sync_core::Result<SiteRegistry> {
        let storage: Arc<dyn Storage> = self.ends[0].process().faulty;
        Replica::builder().clock(self.ends[0].clock.clone()).with_storage(storage).site_registry()
    }

    /// Whether the process of an end died of its planned crash; it is down then.
    pub(crate) fn notice_crash(&self, end: usize) -> bool {
        let planned = lock(&self.state).crash[end];
        let crashed = planned.is_some_and(|before| self.ends[end].process().faulty.failed() > before);
        if crashed && !self.ends[end].is_down.swap(true, Relaxed) {
            self.note(|| format!("{} died", self.ends[end].name));
        }
        crashed
    }

    /// Starts the process of an end anew, unless its old work is still on the stack.
    pub(crate) fn restart(&self, index: usize) {
        let end = &self.ends[index];
        let cycles = index == 0 && self.legacy.as_ref().is_some_and(|legacy| legacy.cycling.load(Relaxed));
        if end.is_busy() || end.filing.load(Relaxed) || cycles || (index == 0 && lock(&self.state).answering > 0) {
            return;
        }
        self.note(|| format!("{} is started anew", end.name));
        end.process().faulty.heal();
        if !matches!(end.disk, Disk::Memory(_)) {
            lock(&self.state).central.take_if(|_| index == 0);
            *lock(&end.process) = end.disk.open(index, &self.me);
        }
        self.poison(index);
        let mut state = lock(&self.state);
        state.crash[index] = None;
        if index == 0 {
            if !self.harsh.as_ref().is_some_and(|harsh| harsh.swarm.keeps_late) {
                state.late.clear();
            }
            let stand_alone = || {
                Replica::builder().clock(end.clock.clone()).with_storage(end.process().storage).stand_alone_central()
            };
            let central = if self.legacy.is_some() { legacy::central(self) } else { stand_alone() };
            let mut config = CentralConfig::default();
            // A world that aims at what comes in the midst of a turn integrates everything in turns.
            config.push_integrated_max = if self.aims_at(Aim::AtOnce) { 0 } else { integrated_at_once(self.seed) };
            state.central = Some(Arc::new(match &self.files {
                Some(files) => files::central(self, files, (central, config)),
                None => central.with_config(config),
            }));
        }
        end.is_down.store(false, Relaxed);
    }
}

/// How many records of a push a central server integrates as it comes: all, some, or none, which are then integrated in turns.
pub(crate) fn integrated_at_once(seed: u64) -> usize {
    match seed % 4 {
        0 => 0,
        1 => 2,
        _ => CentralConfig::default().push_integrated_max,
    }
}
