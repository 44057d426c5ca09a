//! The stand-in legacy server on a socket: a thread for each connection, one exchange each.

use std::io::{BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sync_core::transport::HttpRequest;

use super::{LegacyServer, Reply};
use crate::http::{read_head, send};

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
    let Some((mut request, length)) = read_head(reader)?.filter(|(_, length)| *length <= BODY_MAX) else {
        return Ok(None);
    };
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}
