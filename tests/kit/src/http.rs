//! HTTP/1.1 on a socket, as far as servers of tests need it: one exchange for each connection.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use sync_core::transport::{HttpRequest, HttpResponse, Method};

/// Reads a request up to its body, and the length of the body; `None` if it is invalid.
///
/// # Errors
/// The connection broke.
pub fn read_head(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<(HttpRequest, usize)>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let method = match words.next() {
        Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        Some("PUT") => Method::Put,
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
    let request = HttpRequest { method, url, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    Ok(Some((request, length)))
}

/// Sends a response whose head announces the whole body, and this many bytes of it.
///
/// # Errors
/// The connection broke.
pub fn send(mut stream: &TcpStream, response: &HttpResponse, bytes: usize) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Test\r\nconnection: close\r\n", response.status);
    // The length is that of the body, whatever the headers say.
    for (name, value) in response.headers.iter().filter(|(name, _)| name != "content-length") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if response.status != 204 {
        head.push_str(&format!("content-length: {}\r\n", response.body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&response.body[..bytes.min(response.body.len())])
}
