//! Requests to a proxy in the form for `http://`: with the full address in their first line (RFC 9112 §3.2.2). ureq
//! asks every proxy for a tunnel, which most proxies allow to port 443 only.

use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Wraps connections to a proxy.
#[derive(Debug)]
pub(super) struct ProxyConnector {
    /// The credentials for it.
    pub authorization: Option<HiddenHeader>,
}

/// A header's value, hidden in output.
#[derive(Clone)]
pub(super) struct HiddenHeader(pub String);

impl std::fmt::Debug for HiddenHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl<In: Transport> Connector<In> for ProxyConnector {
    type Out = Absolute<In>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let authority = details.uri.authority().map(ToString::to_string).unwrap_or_default();
        let authorization = self.authorization.clone();
        let wrap = |inner| Absolute { inner, prefix: format!("http://{authority}"), authorization, expects_head: true };
        Ok(chained.map(wrap))
    }
}

/// A connection on which each request begins with the full address.
#[derive(Debug)]
pub(super) struct Absolute<T> {
    inner: T,
    prefix: String,
    authorization: Option<HiddenHeader>,
    /// True if the next bytes begin a request.
    expects_head: bool,
}

impl<T: Transport> Transport for Absolute<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if !std::mem::take(&mut self.expects_head) {
            return self.inner.transmit_output(amount, timeout);
        }
        let authorization = self.authorization.as_ref().map(|secret| secret.0.as_str());
        let head = with_address(&self.inner.buffers().output()[..amount], &self.prefix, authorization);
        let room = self.inner.buffers().output().len().max(1);
        for part in head.chunks(room) {
            self.inner.buffers().output()[..part.len()].copy_from_slice(part);
            self.inner.transmit_output(part.len(), timeout)?;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.expects_head = true;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// The head of a request with the full address in its first line, and the credentials for the proxy.
fn with_address(head: &[u8], prefix: &str, authorization: Option<&str>) -> Vec<u8> {
    let path = head.iter().position(|byte| *byte == b' ').map_or(0, |space| space + 1);
    let line = head.windows(2).position(|end| end == b"\r\n").map_or(head.len(), |end| end + 2);
    let header = authorization.map(|value| format!("proxy-authorization: {value}\r\n")).unwrap_or_default();
    let (path, line) = (path.min(line), line);
    [&head[..path], prefix.as_bytes(), &head[path..line], header.as_bytes(), &head[line..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_holds_the_whole_address() {
        let head = b"POST /central/sync/pull?x=1 HTTP/1.1\r\nhost: a:8000\r\n\r\n{}";
        assert_eq!(
            String::from_utf8(with_address(head, "http://a:8000", None)).unwrap(),
            "POST http://a:8000/central/sync/pull?x=1 HTTP/1.1\r\nhost: a:8000\r\n\r\n{}"
        );
        assert_eq!(
            String::from_utf8(with_address(b"GET / HTTP/1.1\r\n\r\n", "http://a", Some("Basic eA=="))).unwrap(),
            "GET http://a/ HTTP/1.1\r\nproxy-authorization: Basic eA==\r\n\r\n"
        );
    }
}
