//! Checks of credentials, which may be slow: a password hash takes long, a legacy server may not answer. They run on
//! their own threads; requests that wait for one hold none.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync_core::central::{Central, Checked, CredentialCheck};
use tokio::sync::oneshot::{Sender, channel};
use tokio::time::timeout;

use crate::addresses::network;

/// The most waiting checks.
const WAITING_MAX: usize = 1024;

/// The running and the waiting checks.
pub(super) struct Checks {
    central: Arc<Central>,
    at_once: usize,
    state: Mutex<CheckQueue>,
}

#[derive(Default)]
struct CheckQueue {
    next: u64,
    /// By the refusals against the sender, then by arrival.
    waiting: BTreeMap<(u32, u64), Job>,
    running: BTreeMap<u64, Job>,
}

struct Job {
    check: CredentialCheck,
    /// All requests with the same credentials.
    told: Vec<Sender<Checked>>,
    /// It is made even if nobody waits for it.
    is_renewal: bool,
}

impl Job {
    fn is_wanted(&self) -> bool {
        self.is_renewal || self.told.iter().any(|told| !told.is_closed())
    }

    fn tell(self, checked: &Checked) {
        for told in self.told {
            // A request that stopped waiting gets no answer.
            let _ = told.send(checked.clone());
        }
    }
}

impl Checks {
    pub(super) fn new(central: Arc<Central>) -> Arc<Self> {
        let at_once = central.checks_at_once();
        Arc::new(Self { central, at_once, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, CheckQueue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a check made, and waits for it within the patience.
    pub(super) async fn ask(self: &Arc<Self>, check: CredentialCheck, patience: Duration) -> Checked {
        let late = Checked::too_many(&check);
        let (told, waits) = channel();
        self.enlist(check, Some(told));
        self.start();
        match timeout(patience, waits).await {
            Ok(Ok(checked)) => checked,
            _ => late,
        }
    }

    /// Has a check made in the background.
    pub(super) fn renew(self: &Arc<Self>, check: CredentialCheck) {
        self.enlist(check, None);
        self.start();
    }

    /// Joins an identical check, or queues a new one. If too many wait, the one with most refusals is dropped.
    fn enlist(&self, check: CredentialCheck, told: Option<Sender<Checked>>) {
        let state = &mut *self.lock();
        let same = state.running.values_mut().chain(state.waiting.values_mut()).find(|job| job.check.is_same(&check));
        if let Some(job) = same {
            job.told.extend(told);
            return;
        }
        state.next += 1;
        let is_renewal = told.is_none();
        state.waiting.insert((check.guilt(), state.next), Job { check, told: told.into_iter().collect(), is_renewal });
        if state.waiting.len() > WAITING_MAX
            && let Some((_, worst)) = state.waiting.pop_last()
        {
            let refused = Checked::too_many(&worst.check);
            worst.tell(&refused);
        }
    }

    /// Starts as many checks as may run.
    fn start(self: &Arc<Self>) {
        loop {
            let number = {
                let state = &mut *self.lock();
                // Requests that stopped waiting need no answer.
                state.waiting.retain(|_, job| job.is_wanted());
                let Some(key) = self.next(state) else { return };
                let Some(job) = state.waiting.remove(&key) else { return };
                state.running.insert(key.1, job);
                key.1
            };
            let running = RunningCheck { of: self.clone(), number };
            // Without a free thread it is dropped here, which answers it.
            let _ = std::thread::Builder::new().name("check".to_owned()).spawn(move || running.run());
        }
    }

    /// The next check: an address that is not known as a site's may use half of the places, all of those together three
    /// quarters.
    fn next(&self, state: &CheckQueue) -> Option<(u32, u64)> {
        if state.running.len() >= self.at_once {
            return None;
        }
        let from = |check: &CredentialCheck| check.from().map(network);
        let strangers = || state.running.values().map(|job| &job.check).filter(|check| check.guilt() > 0);
        let of = |address: Option<IpAddr>| strangers().filter(|check| from(check) == address).count();
        let has_room = strangers().count() < self.at_once - self.at_once / 4;
        let most = self.at_once.div_ceil(2);
        let may_run = |job: &Job| job.check.guilt() == 0 || (has_room && of(from(&job.check)) < most);
        state.waiting.iter().find(|(_, job)| may_run(job)).map(|(key, _)| *key)
    }
}

/// A running check; all who wait get an answer in any case.
struct RunningCheck {
    of: Arc<Checks>,
    number: u64,
}

impl RunningCheck {
    fn run(self) {
        let check = self.of.lock().running.get(&self.number).map(|job| job.check.clone());
        let Some(check) = check else { return };
        let checked = self.of.central.check_credentials(&check);
        self.end(&checked);
    }

    fn end(&self, checked: &Checked) {
        // Removed first: later requests use the cached result.
        let job = self.of.lock().running.remove(&self.number);
        if let Some(job) = job {
            job.tell(checked);
        }
    }
}

impl Drop for RunningCheck {
    fn drop(&mut self) {
        let job = self.of.lock().running.remove(&self.number);
        if let Some(job) = job {
            let refused = Checked::too_many(&job.check);
            job.tell(&refused);
        }
        self.of.start();
    }
}
