//! A scripted HTTP/1.1 server on a loopback socket, for answers that no correct server gives.
//!
//! It is in front of a real [`Central`] or the stand-in [`LegacyServer`], which answer everything outside the script.
//! Each connection is one exchange.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use sync_core::central::Central;
use sync_core::protocol::v5::IDLE_CHECK;
use sync_core::transport::{HttpRequest, HttpResponse};
use sync_testkit::http::{read_head, send};
use sync_testkit::legacy_server::{self, LegacyServer};

/// What is made of a request.
pub type Made = Arc<dyn Fn(&HttpRequest) -> HttpResponse + Send + Sync>;

/// What one connection gets.
#[derive(Clone)]
pub enum Reply {
    /// A whole response.
    Whole(HttpResponse),
    /// A response that is made of the request.
    Made(Made),
    /// The head of a response and this many bytes of its body, then the end of the connection.
    Cut(HttpResponse, usize),
    /// Central's answer, with only this many bytes of its body.
    Short(usize),
    /// This many bytes of the request's body are read; then come the response, if any, and the end of the connection
    /// with the rest unread: a client that is still sending sees a broken pipe.
    Early(usize, Option<HttpResponse>),
    /// A whole response after a while.
    Late(Duration, HttpResponse),
    /// Bytes as they are, which need not be HTTP.
    Bytes(Vec<u8>),
}

impl Reply {
    /// A response with a JSON body.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::Whole(HttpResponse::json(status, body.into().into_bytes()))
    }

    /// A response with a text body.
    pub fn text(status: u16, body: &str) -> Self {
        Self::Whole(HttpResponse::text(status, body))
    }

    /// A web page.
    pub fn html(status: u16, body: &str) -> Self {
        let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
        Self::Whole(HttpResponse { status, headers, body: body.as_bytes().to_vec() })
    }

    /// A redirection to an address.
    pub fn redirect(status: u16, to: &str) -> Self {
        Self::Whole(HttpResponse { status, headers: vec![("location".to_owned(), to.to_owned())], body: Vec::new() })
    }
}

/// What arrived, without the bytes of its body.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The path, without the query.
    pub path: String,
    /// The length of the body as its head says.
    pub length: usize,
}

#[derive(Default)]
struct Script {
    once: Vec<(String, VecDeque<Reply>)>,
    always: Vec<(String, Reply)>,
    /// Bodies of more bytes than the first number get the reply.
    above: Option<(usize, Reply)>,
    seen: Vec<Seen>,
}

/// Who answers what no script is about.
enum Behind {
    Nobody,
    Central(Arc<Central>),
    Legacy(Arc<LegacyServer>),
}

struct Shared {
    behind: Behind,
    script: Mutex<Script>,
    stopped: AtomicBool,
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server; it ends when it is dropped.
pub struct RawServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

impl RawServer {
    /// A server before this central.
    pub fn before(central: Arc<Central>) -> Self {
        Self::start(Behind::Central(central))
    }

    /// A server before this legacy server, whose planned faults happen on the line.
    pub fn before_legacy(legacy: Arc<LegacyServer>) -> Self {
        Self::start(Behind::Legacy(legacy))
    }

    /// A server that knows nothing but its script.
    pub fn alone() -> Self {
        Self::start(Behind::Nobody)
    }

    fn start(behind: Behind) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { behind, script: Mutex::default(), stopped: AtomicBool::new(false) });
        let of_loop = shared.clone();
        let listening = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_loop.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = of_loop.clone();
                // Connections that the other end breaks are the subject of these tests.
                std::thread::spawn(move || drop(serve(&stream, &shared)));
            }
        });
        Self { address, shared, listening: Some(listening) }
    }

    /// Its address, as a site has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Gives this reply to the next request for a path; may be called several times.
    pub fn once(&self, path: &str, reply: Reply) {
        let mut script = self.shared.script();
        match script.once.iter_mut().find(|(of, _)| of == path) {
            Some((_, replies)) => replies.push_back(reply),
            None => script.once.push((path.to_owned(), VecDeque::from([reply]))),
        }
    }

    /// Gives this reply to each request for a path, until [`heal`](Self::heal).
    pub fn always(&self, path: &str, reply: Reply) {
        self.shared.script().always.push((path.to_owned(), reply));
    }

    /// Gives this reply to each request whose body is larger, until [`heal`](Self::heal).
    pub fn above(&self, bytes: usize, reply: Reply) {
        self.shared.script().above = Some((bytes, reply));
    }

    /// Removes the script: from now on everything goes to central.
    pub fn heal(&self) {
        let mut script = self.shared.script();
        (script.once, script.always, script.above) = Default::default();
    }

    /// What arrived since this was last asked.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.script().seen)
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the loop, which then ends: after that nobody is let in.
        if TcpStream::connect(self.address).is_ok()
            && let Some(listening) = self.listening.take()
        {
            let _ = listening.join();
        }
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    // This beginning is not HTTP but perhaps TLS; a correct server says so in HTTP.
    if reader.fill_buf()?.first().is_some_and(|first| !first.is_ascii_uppercase()) {
        let refusal = HttpResponse::text(400, "this is HTTP");
        return send(stream, &refusal, refusal.body.len());
    }
    let Some((mut request, length)) = read_head(&mut reader)? else {
        return Ok(());
    };
    let path = request.url.split('?').next().unwrap_or_default().to_owned();
    let reply = choose(shared, &path, length);
    if let Some(Reply::Early(read, response)) = &reply {
        request.body = vec![0; (*read).min(length)];
        reader.read_exact(&mut request.body)?;
        return response.as_ref().map_or(Ok(()), |response| send(stream, response, response.body.len()));
    }
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    match reply {
        None | Some(Reply::Short(_)) => match &shared.behind {
            Behind::Nobody => send(stream, &HttpResponse::text(404, ""), 0),
            Behind::Legacy(legacy) => match legacy.reply(&request) {
                legacy_server::Reply::Whole(response) => send(stream, &response, response.body.len()),
                legacy_server::Reply::Cut(response, sent) => send(stream, &response, sent),
                // Until the client gives up.
                legacy_server::Reply::Nothing => reader.read_exact(&mut [0]),
            },
            Behind::Central(central) => {
                // Each request of a cycle is sent, so that a test may answer any of them.
                request.headers.retain(|(name, _)| name != IDLE_CHECK);
                let response = central.handle(&request);
                // As a server's own thread would; a failure stays queued.
                let _ = central.integrate_waiting();
                let sent = if let Some(Reply::Short(bytes)) = reply { bytes } else { response.body.len() };
                send(stream, &response, sent)
            }
        },
        Some(Reply::Whole(response)) => send(stream, &response, response.body.len()),
        Some(Reply::Made(make)) => {
            let response = make(&request);
            send(stream, &response, response.body.len())
        }
        Some(Reply::Cut(response, sent)) => send(stream, &response, sent),
        Some(Reply::Late(wait, response)) => {
            std::thread::sleep(wait);
            send(stream, &response, response.body.len())
        }
        Some(Reply::Bytes(bytes)) => (&*stream).write_all(&bytes),
        Some(Reply::Early(..)) => Ok(()),
    }
}

fn choose(shared: &Shared, path: &str, length: usize) -> Option<Reply> {
    let mut script = shared.script();
    script.seen.push(Seen { path: path.to_owned(), length });
    if let Some((limit, reply)) = &script.above
        && length > *limit
    {
        return Some(reply.clone());
    }
    let once = script.once.iter_mut().find(|(of, _)| of == path).and_then(|(_, replies)| replies.pop_front());
    once.or_else(|| script.always.iter().find(|(of, _)| of == path).map(|(_, reply)| reply.clone()))
}
