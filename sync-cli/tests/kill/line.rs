//! A line from one site to central that keeps its address when central comes back on another port, says which request
//! is under way, and can hold a site or central at one of them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Where the servers of central listen now; shared by all lines.
pub(crate) type CentralAddress = Arc<Mutex<Balancer>>;

/// Sends each request to the next server, as a load balancer without sticky sessions does.
#[derive(Default)]
pub(crate) struct Balancer {
    pub(crate) servers: Vec<String>,
    next: usize,
}

impl Balancer {
    /// All servers, the one whose turn it is first.
    fn in_turn(&mut self) -> Vec<String> {
        let mut servers = self.servers.clone();
        let first = self.next % servers.len().max(1);
        servers.rotate_left(first);
        self.next += 1;
        servers
    }
}

/// Connects to the first of these that listens.
fn connect(servers: &[String]) -> std::io::Result<TcpStream> {
    let mut failed = std::io::ErrorKind::NotConnected.into();
    for server in servers {
        match TcpStream::connect(server) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A line that carries one request for each connection.
#[derive(Clone)]
pub(crate) struct Line {
    /// The address for the site.
    pub(crate) address: String,
    watch: Arc<(Mutex<Watch>, Condvar)>,
}

/// The events since the line was armed. A request is two events: the request and the answer.
struct Watch {
    armed_at: Instant,
    /// The last event, and the times of all.
    last: &'static str,
    times: Vec<Duration>,
    hold_at: Option<usize>,
    held: bool,
    under_way: usize,
}

impl Line {
    pub(crate) fn to(central: CentralAddress) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let watch =
            Watch { armed_at: now(), last: "start", times: Vec::new(), hold_at: None, held: false, under_way: 0 };
        let line = Self { address: format!("http://{address}"), watch: Arc::new((Mutex::new(watch), Condvar::new())) };
        let shared = line.clone();
        // Ends with the test: it waits for connections that nobody makes any more.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (line, central) = (shared.clone(), central.clone());
                std::thread::spawn(move || line.carry(client, &central));
            }
        });
        line
    }

    /// Starts to count again, and holds the line at the event of this number; the first is 1.
    pub(crate) fn arm(&self, hold_at: Option<usize>) {
        let mut watch = self.watch();
        (watch.armed_at, watch.last, watch.hold_at) = (now(), "start", hold_at);
        watch.times.clear();
    }

    /// Waits for the armed event for a moment; returns whether it came.
    pub(crate) fn is_held(&self) -> bool {
        let (watch, changed) = &*self.watch;
        let guard = watch.lock().expect("nobody panicked");
        changed.wait_timeout_while(guard, Duration::from_millis(5), |w| !w.held).expect("nobody panicked").0.held
    }

    /// Releases the held event, and holds nothing any more.
    pub(crate) fn release(&self) {
        let mut watch = self.watch();
        (watch.hold_at, watch.held) = (None, false);
        self.watch.1.notify_all();
    }

    /// Waits until nothing is in progress: requests of a dead site arrive before its next life begins.
    pub(crate) fn settle(&self) {
        let (watch, changed) = &*self.watch;
        let guard = watch.lock().expect("nobody panicked");
        drop(changed.wait_while(guard, |watch| watch.under_way > 0).expect("nobody panicked"));
    }

    /// True while a request is in progress.
    pub(crate) fn is_busy(&self) -> bool {
        self.watch().under_way > 0
    }

    /// The last event, and the times between the events, including that from the arming to the first.
    pub(crate) fn seen(&self) -> (&'static str, Vec<Duration>) {
        let watch = self.watch();
        let before = std::iter::once(Duration::ZERO).chain(watch.times.iter().copied());
        (watch.last, watch.times.iter().zip(before).map(|(time, before)| time.saturating_sub(before)).collect())
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.0.lock().expect("nobody panicked")
    }

    fn event(&self, what: &'static str) {
        let (watch, changed) = &*self.watch;
        let mut guard = watch.lock().expect("nobody panicked");
        let at = guard.armed_at.elapsed();
        guard.times.push(at);
        guard.last = what;
        if guard.hold_at == Some(guard.times.len()) {
            guard.held = true;
            changed.notify_all();
            drop(changed.wait_while(guard, |watch| watch.held).expect("nobody panicked"));
        }
    }

    /// Either end may die at any moment: the other one then sees the end of the connection, as on a real line.
    fn carry(&self, client: TcpStream, central: &CentralAddress) {
        self.watch().under_way += 1;
        let _ = self.exchange(client, central);
        self.watch().under_way -= 1;
        self.watch.1.notify_all();
    }

    fn exchange(&self, mut client: TcpStream, central: &CentralAddress) -> std::io::Result<()> {
        let request = read_request(&mut client)?;
        let Some((asked, answered)) = step_of(&request) else { return Ok(()) };
        self.event(asked);
        let servers = central.lock().expect("nobody panicked").in_turn();
        let mut upstream = connect(&servers)?;
        upstream.write_all(&request)?;
        let mut answer = Vec::new();
        // A central that is killed leaves half an answer: the site gets that half.
        let whole = upstream.read_to_end(&mut answer);
        self.event(answered);
        client.write_all(&answer)?;
        whole.map(|_| ())
    }
}

/// Reads a request and asks for one answer on its connection only.
fn read_request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let head_end = loop {
        let read = client.read(&mut buffer)?;
        if read == 0 {
            return Ok(Vec::new());
        }
        request.extend_from_slice(&buffer[..read]);
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8_lossy(&request[..head_end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    while request.len() < head_end + 4 + length {
        let read = client.read(&mut buffer)?;
        if read == 0 {
            return Ok(Vec::new());
        }
        request.extend_from_slice(&buffer[..read]);
    }
    request.splice(head_end..head_end, *b"\r\nconnection: close");
    Ok(request)
}

/// The names of the two events of a request; `None` if it was cut before it was complete.
fn step_of(request: &[u8]) -> Option<(&'static str, &'static str)> {
    let line = String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next()?).into_owned();
    let path = line.split([' ', '?']).nth(1)?;
    Some(match path {
        "/sync/v5/site" => ("prepare, asked", "prepare, answered"),
        "/sync/v5/central_records" => ("pull central, asked", "pull central, answered"),
        "/central/sync/push" => ("push, asked", "push, answered"),
        "/central/sync/site_status" => ("confirm, asked", "confirm, answered"),
        "/central/sync/pull" => ("pull, asked", "pull, answered"),
        _ => ("other, asked", "other, answered"),
    })
}

#[allow(clippy::disallowed_methods, reason = "the moments of kills come from a measured cycle")]
fn now() -> Instant {
    Instant::now()
}
