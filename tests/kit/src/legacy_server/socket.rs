//! The stand-in legacy server on a socket: a thread for each connection, one exchange each.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sync_core::transport::{HttpRequest, HttpResponse, Method};

use super::{LegacyServer, Reply};

/// The longest accepted body.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// A legacy server that listens on a port of this machine, until it is dropped.
#[derive(Debug)]
pub struct ListeningLegacyServer {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl ListeningLegacyServer {
    /// Listens, with a thread for each connection.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(legacy: Arc<LegacyServer>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stopped = Arc::<AtomicBool>::default();
        let of_loop = stopped.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_loop.load(Ordering::SeqCst) {
                    break;
                }
                let legacy = legacy.clone();
                // A client that breaks a connection knows it; nobody else has to.
                std::thread::spawn(move || drop(exchange(&stream, &legacy)));
            }
        });
        Ok(Self { address, stopped })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ListeningLegacyServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the loop, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn exchange(stream: &TcpStream, legacy: &LegacyServer) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let Some(request) = read(&mut BufReader::new(stream))? else { return Ok(()) };
    match legacy.reply(&request) {
        Reply::Whole(response) => send(stream, &response, response.body.len()),
        Reply::Cut(response, bytes) => send(stream, &response, bytes),
        // The connection ends without an answer, like that of a proxy that waited too long.
        Reply::Nothing => Ok(()),
    }
}

/// Reads a request; `None` if it is not one for the legacy server.
fn read(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<HttpRequest>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let method = match words.next() {
        Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        _ => return Ok(None),
    };
    let url = words.next().unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request = HttpRequest { method, url, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if length > BODY_MAX {
        return Ok(None);
    }
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

/// Sends a response whose head announces the whole body, and this many bytes of it.
fn send(mut stream: &TcpStream, response: &HttpResponse, bytes: usize) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Legacy\r\nconnection: close\r\n", response.status);
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if response.status != 204 {
        head.push_str(&format!("content-length: {}\r\n", response.body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&response.body[..bytes.min(response.body.len())])
}
