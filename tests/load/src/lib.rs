//! Thousands of sites against one central server, which is the real program in a process of its own, over HTTP on this
//! machine. Bounded in count and in time; what was pushed is looked for at the end.

pub mod crowd;
mod exchange;
mod figures;
mod legacy;
mod seed;
mod server;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::record::{RecordId, TableName};
use sync_core::storage::{SqliteStorage, Storage as _};

use self::exchange::Exchanges;
pub use self::figures::Figures;
use self::server::Server;

/// What is played.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program `oms-sync`.
    pub program: PathBuf,
    /// The sites that central knows, each with a store.
    pub sites: u64,
    /// The rows in central's changelog at the beginning.
    pub rows: u64,
    /// How many exchanges begin in a second; 0 for the next as soon as one has ended.
    pub rate: u64,
    /// For how many seconds new exchanges are started.
    pub seconds: u64,
    /// How many exchanges run at once at the most.
    pub at_once: usize,
    /// How many different sites come. They come in turn.
    pub active: u64,
}

impl Plan {
    /// Forty thousand sites that synchronise every five minutes.
    #[must_use]
    pub fn of_a_country(program: PathBuf) -> Self {
        let (rate, seconds) = (133, 30);
        Self { program, sites: 40_000, rows: 1_000_000, rate, seconds, at_once: 64, active: rate * seconds }
    }
}

/// Fills a central server, plays the plan, and says what it took.
///
/// # Errors
/// The server cannot be started, or its database cannot be read.
pub fn run(plan: &Plan) -> Result<Figures, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let db = folder.path().join("central.sqlite");
    let began = Instant::now();
    let newest = seed::fill(&db, plan).map_err(|error| error.to_string())?;
    let filled_in = began.elapsed();
    let server = Server::start(&plan.program, &db)?;
    let exchanges = Exchanges::new(server.url(), newest, plan.active.min(plan.sites).max(1));
    let memory_before = server.memory_kb();
    let figures = Mutex::new(Figures::default());
    let next = AtomicU64::new(0);
    let start = Instant::now();
    let limit = Duration::from_secs(plan.seconds);
    thread::scope(|scope| {
        for _ in 0..plan.at_once.max(1) {
            scope.spawn(|| {
                let mut own = Figures::default();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let due = match plan.rate {
                        0 => start.elapsed(),
                        rate => Duration::from_nanos(n.saturating_mul(1_000_000_000) / rate),
                    };
                    if due >= limit {
                        break;
                    }
                    let now = start.elapsed();
                    thread::sleep(due.saturating_sub(now));
                    own.note_late(start.elapsed().saturating_sub(due));
                    exchanges.play(n, &mut own);
                }
                figures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(own);
            });
        }
    });
    let took = start.elapsed();
    let mut figures = figures.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let memory = (memory_before, server.memory_kb());
    server.stop();
    let storage = SqliteStorage::open_existing(&db).map_err(|error| error.to_string())?;
    let txn = storage.read().map_err(|error| error.to_string())?;
    for id in std::mem::take(&mut figures.pushed_ids) {
        let is_here =
            txn.has_record(&TableName::from(id.0), &RecordId::new(id.1)).map_err(|error| error.to_string())?;
        figures.missing += u64::from(!is_here);
    }
    (figures.took, figures.filled_in, figures.memory_kb) = (took, filled_in, memory);
    Ok(figures)
}
