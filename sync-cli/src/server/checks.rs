//! Checks of credentials, which may take long: a password is hashed slowly, a legacy server may not answer. They are made on
//! threads of their own; requests that wait for one hold none.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync_core::Central;
use sync_core::central::{Check, Checked};
use tokio::sync::oneshot::{Sender, channel};
use tokio::time::timeout;

use super::budget::network;

/// The most checks that wait.
const WAITING_MAX: usize = 1024;

/// The checks that are made and wait.
pub(super) struct Checks {
    central: Arc<Central>,
    at_once: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// By how much speaks against the sender, then by when it came.
    waiting: BTreeMap<(u32, u64), Job>,
    running: BTreeMap<u64, Job>,
}

struct Job {
    check: Check,
    /// Everybody who asked the same.
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
            // Whoever does not wait any more is not told.
            let _ = told.send(checked.clone());
        }
    }
}

impl Checks {
    pub(super) fn new(central: Arc<Central>) -> Arc<Self> {
        let at_once = central.checks_at_once();
        Arc::new(Self { central, at_once, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a check made, and waits for it as long as the patience lasts.
    pub(super) async fn ask(self: &Arc<Self>, check: Check, patience: Duration) -> Checked {
        let late = Checked::too_many(&check);
        let (told, waits) = channel();
        self.enlist(check, Some(told));
        self.start();
        match timeout(patience, waits).await {
            Ok(Ok(checked)) => checked,
            _ => late,
        }
    }

    /// Has a check made for which nobody waits.
    pub(super) fn renew(self: &Arc<Self>, check: Check) {
        self.enlist(check, None);
        self.start();
    }

    /// Joins a check that asks the same, or queues one. When too many wait, the one that most speaks against goes.
    fn enlist(&self, check: Check, told: Option<Sender<Checked>>) {
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
                // Those who have left need no answer.
                state.waiting.retain(|_, job| job.is_wanted());
                let Some(key) = self.next(state) else { return };
                let Some(job) = state.waiting.remove(&key) else { return };
                state.running.insert(key.1, job);
                key.1
            };
            let running = Running { of: self.clone(), number };
            // If there is no thread to be had, it is dropped here, and tells so.
            let _ = std::thread::Builder::new().name("check".to_owned()).spawn(move || running.run());
        }
    }

    /// Which one is next: an address that is not known to be a site's has half of the places, all of those together three
    /// quarters.
    fn next(&self, state: &State) -> Option<(u32, u64)> {
        if state.running.len() >= self.at_once {
            return None;
        }
        let from = |check: &Check| check.from().map(network);
        let strangers = || state.running.values().map(|job| &job.check).filter(|check| check.guilt() > 0);
        let of = |address: Option<IpAddr>| strangers().filter(|check| from(check) == address).count();
        let has_room = strangers().count() < self.at_once - self.at_once / 4;
        let most = self.at_once.div_ceil(2);
        let may_run = |job: &Job| job.check.guilt() == 0 || (has_room && of(from(&job.check)) < most);
        state.waiting.iter().find(|(_, job)| may_run(job)).map(|(key, _)| *key)
    }
}

/// A check that runs; whatever becomes of it, all who wait are told.
struct Running {
    of: Arc<Checks>,
    number: u64,
}

impl Running {
    fn run(self) {
        let check = self.of.lock().running.get(&self.number).map(|job| job.check.clone());
        let Some(check) = check else { return };
        let checked = self.of.central.check_credentials(&check);
        self.end(&checked);
    }

    fn end(&self, checked: &Checked) {
        // Taken out first: whoever asks from now on finds what is remembered of it.
        let job = self.of.lock().running.remove(&self.number);
        if let Some(job) = job {
            job.tell(checked);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let job = self.of.lock().running.remove(&self.number);
        if let Some(job) = job {
            let refused = Checked::too_many(&job.check);
            job.tell(&refused);
        }
        self.of.start();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use sync_core::SystemClock;
    use sync_core::central::{AuthenticationError, CredentialRefusal, LocalSites, SiteAuthenticator};
    use sync_core::protocol::v6::Credentials;
    use sync_core::record::SiteId;
    use sync_core::storage::MemoryStorage;

    use super::super::{Options, Server};
    use super::*;

    /// A server of credentials that does not answer until it may. One site is known.
    #[derive(Default)]
    struct Hangs {
        asked: AtomicUsize,
        may_answer: Mutex<bool>,
        answers: Condvar,
    }

    impl SiteAuthenticator for Hangs {
        fn authenticate(&self, _: &Credentials) -> Result<SiteId, AuthenticationError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let waits = self.may_answer.lock().unwrap();
            let _answered = self.answers.wait_while(waits, |may_answer| !*may_answer).unwrap();
            let refusal = CredentialRefusal::UnknownSite;
            Err(AuthenticationError::Refused { refusal, checked_at: "there".to_owned() })
        }

        fn known(&self, credentials: &Credentials) -> Option<Result<SiteId, AuthenticationError>> {
            (credentials.username == "known").then_some(Ok(SiteId(2)))
        }

        fn checks_at_once(&self) -> usize {
            8
        }
    }

    fn send(address: SocketAddr, name: &str) -> TcpStream {
        let body = format!(
            r#"{{"syncV5Settings":{{"serverUrl":"","username":"{name}","passwordSha256":"x","siteUuid":"m","appVersion":"2.19.0","appName":"t","syncVersion":"14"}},"syncV6Version":5}}"#
        );
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let head = "POST /central/sync/site_status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
        let kind = "content-type: application/json\r\ncontent-length";
        stream.write_all(format!("{head}{kind}: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        stream
    }

    fn read(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn who_asks_a_server_that_hangs_holds_no_thread_and_equal_questions_are_one() {
        let (storage, clock) = (Arc::new(MemoryStorage::new()), Arc::new(SystemClock::new()));
        LocalSites::open(storage.clone(), clock.clone()).unwrap();
        let hangs = Arc::new(Hangs::default());
        let central = Arc::new(Central::new(storage, clock, hangs.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = Server::start(central, listener, Options::default()).unwrap();
        let address = server.address();
        // More than there are threads to answer.
        let equal: Vec<TcpStream> = (0..160).map(|_| send(address, "stranger")).collect();
        let others: Vec<TcpStream> = (0..140).map(|n| send(address, &format!("stranger {n}"))).collect();
        let until = Instant::now() + Duration::from_secs(60);
        while hangs.asked.load(Ordering::SeqCst) < 4 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let began = Instant::now();
        for _ in 0..20 {
            let text = read(send(address, "known"));
            assert!(text.contains(r#""is_integrating":false"#), "{text}");
        }
        println!("twenty questions of a known site took {:?}", began.elapsed());
        assert_eq!(hangs.asked.load(Ordering::SeqCst), 4, "half of the places, since all come from one address");
        *hangs.may_answer.lock().unwrap() = true;
        hangs.answers.notify_all();
        for stream in equal.into_iter().chain(others) {
            let text = read(stream);
            assert!(text.contains("SiteNameNotFound") || text.contains("SiteAuthTimeout"), "{text}");
        }
        let asked = hangs.asked.load(Ordering::SeqCst);
        assert!(asked <= 10 + 141, "{asked}: equal questions ask once, but for those that came late");
        server.stop();
    }
}
