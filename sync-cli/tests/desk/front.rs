//! A front before a real server: it passes everything on, and interferes as networks and administrators do.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::support::hold_port;

/// The interference.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doing {
    /// The host and port under which the server believes it is asked.
    pub(crate) host: Option<String>,
    /// Answers to paths with these beginnings, in place of the server's own.
    pub(crate) instead: Vec<(String, Answer)>,
    /// The time in answers.
    pub(crate) date: Option<String>,
    /// Answers of the server that are lost.
    pub(crate) lost: Vec<Lost>,
    /// The most bytes that a request may have.
    pub(crate) most_bytes: Option<usize>,
    /// The delay of every answer.
    pub(crate) delay: Duration,
    /// The speed of answers; at once if missing.
    pub(crate) bytes_per_second: Option<u32>,
}

/// Answers to paths with this beginning: after so many that get through, so many are lost.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    path: String,
    after: usize,
    times: usize,
    /// The replacement; without it, half of the answer and the end of the connection.
    instead: Option<Answer>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The HTTP status; 0 and 1 for no answer.
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    pub(crate) fn new(status: u16, kind: &str, body: &str) -> Self {
        Self { status, headers: format!("content-type: {kind}\r\n"), body: body.to_owned() }
    }

    /// The log-in page of a network.
    pub(crate) fn page(status: u16) -> Self {
        Self::new(status, "text/html", "<!doctype html><html><title>Welcome to the hotel</title></html>")
    }

    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::new(status, "application/json", body)
    }

    /// The end of the connection, without an answer.
    pub(crate) fn nothing() -> Self {
        Self { status: 0, headers: String::new(), body: String::new() }
    }

    /// Silence; the connection stays open until the client gives up.
    pub(crate) fn never() -> Self {
        Self { status: 1, ..Self::nothing() }
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self { status: 301, headers: format!("location: {to}\r\n"), body: String::new() }
    }
}

struct Shared {
    behind: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    doing: Mutex<Doing>,
    asked: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

/// The front; it is shut when it is dropped.
pub(crate) struct Front {
    address: SocketAddr,
    shared: Arc<Shared>,
    listens: Option<JoinHandle<()>>,
    /// Its port, once it is shut.
    held_port: Option<TcpSocket>,
}

impl Front {
    /// A front before the server at this address, such as `http://127.0.0.1:8000`.
    pub(crate) fn before(address: &str) -> Self {
        Self::start(address, None)
    }

    /// The same over TLS.
    pub(crate) fn over_tls(address: &str, config: ServerConfig) -> Self {
        Self::start(address, Some(Arc::new(config)))
    }

    fn start(address: &str, tls: Option<Arc<ServerConfig>>) -> Self {
        let behind = address.trim_start_matches("http://").parse().expect("an address");
        let (doing, asked, stopped) = Default::default();
        let shared = Arc::new(Shared { behind, tls, doing, asked, stopped });
        let (address, listens) = listen(&shared);
        Self { address, shared, listens: Some(listens), held_port: None }
    }

    /// Opens a front that was shut, on any free port.
    pub(crate) fn open_again(&mut self) {
        if self.listens.is_none() {
            self.shared.stopped.store(false, Ordering::SeqCst);
            let (address, listens) = listen(&self.shared);
            (self.address, self.listens) = (address, Some(listens));
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes the interference.
    pub(crate) fn doing(&self) -> MutexGuard<'_, Doing> {
        self.shared.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives this answer to every path with this beginning.
    pub(crate) fn instead(&self, path: &str, answer: Answer) {
        self.doing().instead.push((path.to_owned(), answer));
    }

    /// Answers one request in place of the server; the next one of the same path gets what was given next.
    pub(crate) fn once(&self, path: &str, answer: Answer) {
        self.doing().lost.push(Lost { path: path.to_owned(), after: 0, times: 1, instead: Some(answer) });
    }

    /// Cuts answers in the middle, after the server has done its work: after so many, so many.
    pub(crate) fn cut(&self, path: &str, after: usize, times: usize) {
        self.doing().lost.push(Lost { path: path.to_owned(), after, times, instead: None });
    }

    /// After so many answers all others are lost, after the server has done its work, and this comes instead.
    pub(crate) fn lose(&self, path: &str, after: usize, instead: Answer) {
        self.doing().lost.push(Lost { path: path.to_owned(), after, times: usize::MAX, instead: Some(instead) });
    }

    /// The requests since the last call: methods and paths.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nobody listens here any more.
    pub(crate) fn shut(&mut self) {
        let Some(listens) = self.listens.take() else { return };
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the loop, which then ends.
        drop(TcpStream::connect(self.address));
        listens.join().expect("the door shuts");
        self.held_port = Some(hold_port(self.address));
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shut();
    }
}

fn listen(shared: &Arc<Shared>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let shared = shared.clone();
    let listens = std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if shared.stopped.load(Ordering::SeqCst) {
                break;
            }
            let shared = shared.clone();
            // A connection without a request is closed silently.
            std::thread::spawn(move || drop(open(stream, &shared)));
        }
    });
    (address, listens)
}

fn open(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    match &shared.tls {
        None => pass(stream, shared),
        Some(config) => {
            let session = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
            let mut stream = StreamOwned::new(session, stream);
            pass(&mut stream, shared)?;
            stream.conn.send_close_notify();
            stream.flush()
        }
    }
}

/// One exchange.
fn pass(stream: impl Read + Write, shared: &Shared) -> std::io::Result<()> {
    let doing = shared.doing.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        match (&doing.host, lower.as_str()) {
            (_, "\r\n") => break,
            (_, other) if other.starts_with("connection:") => {}
            (Some(host), other) if other.starts_with("host:") => head.push_str(&format!("host: {host}\r\n")),
            _ => head.push_str(&line),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let asked = format!("{method} {}", path.split('?').next().unwrap_or_default());
    shared.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    let mut stream = reader.into_inner();
    if let Some((_, answer)) = doing.instead.iter().find(|(begin, _)| path.starts_with(begin.as_str())) {
        return give(stream, answer, doing.date.as_deref());
    }
    if doing.most_bytes.is_some_and(|most| length > most) {
        return give(stream, &Answer::new(413, "text/plain", "too large"), doing.date.as_deref());
    }
    let lost = is_lost(path, shared);
    let mut server = TcpStream::connect(shared.behind)?;
    server.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    match lost {
        Some(Some(instead)) => return give(stream, &instead, doing.date.as_deref()),
        Some(None) => {
            let head = head_of(&answer);
            answer.truncate(head + (answer.len() - head) / 2);
        }
        None => {}
    }
    if let Some(date) = &doing.date {
        let end = head_of(&answer);
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let lines = head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
        let mut changed = lines.collect::<Vec<_>>().join("\r\n");
        changed.push_str(&format!("\r\ndate: {date}"));
        answer = [changed.as_bytes(), &answer[end..]].concat();
    }
    std::thread::sleep(doing.delay);
    let Some(speed) = doing.bytes_per_second else {
        stream.write_all(&answer)?;
        return stream.flush();
    };
    // Twenty pieces a second.
    for piece in answer.chunks((speed as usize / 20).max(1)) {
        stream.write_all(piece)?;
        stream.flush()?;
        std::thread::sleep(Duration::from_secs_f64(piece.len() as f64 / f64::from(speed)));
    }
    Ok(())
}

/// The end of an answer's head.
fn head_of(answer: &[u8]) -> usize {
    answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len())
}

/// Whether this answer is lost, and its replacement.
fn is_lost(path: &str, shared: &Shared) -> Option<Option<Answer>> {
    let mut doing = shared.doing.lock().unwrap_or_else(PoisonError::into_inner);
    let mut of_path = doing.lost.iter_mut().filter(|lost| path.starts_with(lost.path.as_str()));
    // The next one begins when the times of the one before it are over.
    let lost = of_path.find(|lost| lost.after > 0 || lost.times > 0)?;
    if lost.after > 0 {
        lost.after -= 1;
        return None;
    }
    lost.times = lost.times.checked_sub(1)?;
    Some(lost.instead.clone())
}

/// Sends an answer that is not the server's.
fn give(mut stream: impl Read + Write, answer: &Answer, date: Option<&str>) -> std::io::Result<()> {
    let Answer { status, headers, body } = answer;
    match status {
        0 => return Ok(()),
        1 => return std::io::copy(&mut stream, &mut std::io::sink()).map(drop),
        _ => {}
    }
    let date = date.map(|date| format!("date: {date}\r\n")).unwrap_or_default();
    let length = body.len();
    let whole =
        format!("HTTP/1.1 {status} X\r\n{headers}{date}connection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(whole.as_bytes())?;
    stream.flush()
}
