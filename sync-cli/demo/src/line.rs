//! A line that can break: all bytes to the server go through it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use sync_core::{Error, Result};

/// The behaviour of the line.
#[derive(Debug, Default)]
struct Condition {
    down: AtomicBool,
    /// The bytes of answers that still pass before the line is cut; below zero, all.
    passing: AtomicI64,
    /// True if it stays down after the next cut.
    ends_with_cut: AtomicBool,
    cuts: AtomicU64,
}

/// A line to a server.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    condition: Arc<Condition>,
}

impl Line {
    /// Creates a line to the server at this address.
    ///
    /// # Errors
    /// [`Error::Io`]: no port is free.
    pub fn to(server: SocketAddr) -> Result<Self> {
        let failed = |source: std::io::Error| Error::Io { what: "making a line".to_owned(), source: source.into() };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let condition = Arc::new(Condition { passing: AtomicI64::new(-1), ..Condition::default() });
        let shared = condition.clone();
        // Ends with the program: it waits for connections that nobody makes any more.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if !shared.down.load(Ordering::SeqCst) {
                    carry(client, server, &shared);
                }
            }
        });
        Ok(Self { address, condition })
    }

    /// The address for a site to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the line once, after that many bytes of answers.
    pub fn cut_next_answer_after(&self, bytes: i64) {
        self.condition.passing.store(bytes, Ordering::SeqCst);
    }

    /// Cuts the line after that many bytes of answers, and leaves it down.
    pub fn break_after(&self, bytes: i64) {
        self.condition.ends_with_cut.store(true, Ordering::SeqCst);
        self.cut_next_answer_after(bytes);
    }

    /// Takes the line down, or up again.
    pub fn set_down(&self, down: bool) {
        self.condition.down.store(down, Ordering::SeqCst);
    }

    /// The number of cuts.
    pub fn cuts(&self) -> u64 {
        self.condition.cuts.load(Ordering::SeqCst)
    }
}

/// Carries one connection, each direction on its own thread.
fn carry(client: TcpStream, server: SocketAddr, condition: &Arc<Condition>) {
    let Ok(upstream) = TcpStream::connect(server) else { return };
    let (Ok(client_reads), Ok(upstream_reads)) = (client.try_clone(), upstream.try_clone()) else { return };
    let (up, down) = (condition.clone(), condition.clone());
    std::thread::spawn(move || {
        copy(client_reads, upstream, |bytes| if up.down.load(Ordering::SeqCst) { 0 } else { bytes })
    });
    std::thread::spawn(move || copy(upstream_reads, client, |bytes| passing(&down, bytes)));
}

/// The number of bytes of an answer that pass.
fn passing(condition: &Condition, bytes: usize) -> usize {
    if condition.down.load(Ordering::SeqCst) {
        return 0;
    }
    let left = condition.passing.load(Ordering::SeqCst);
    let Ok(left) = usize::try_from(left) else { return bytes };
    if bytes < left {
        condition.passing.fetch_sub(bytes as i64, Ordering::SeqCst);
        return bytes;
    }
    condition.passing.store(-1, Ordering::SeqCst);
    condition.cuts.fetch_add(1, Ordering::SeqCst);
    if condition.ends_with_cut.swap(false, Ordering::SeqCst) {
        condition.down.store(true, Ordering::SeqCst);
    }
    left
}

/// Copies until the end, or until the line is cut; then both directions end.
fn copy(mut from: TcpStream, mut to: TcpStream, passes: impl Fn(usize) -> usize) {
    let mut buffer = [0; 2048];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let passed = passes(read);
        if to.write_all(&buffer[..passed]).is_err() || passed < read {
            break;
        }
    }
    // Both may be closed already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
