//! The body of a response while it arrives: unpacked, stoppable, and with the reason if it ends early.

use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::GzDecoder;
use ureq::BodyReader;

use super::apart;
use crate::transport::{Stop, TransportError};

/// The bytes with which a gzip member begins.
const GZIP_1: u8 = 0x1f;
const GZIP_2: u8 = 0x8b;

/// The body of a response.
pub(super) struct Body {
    source: BodySource,
    stop: Stop,
}

enum BodySource {
    Plain(BodyReader<'static>),
    /// Not started: an empty body is not gzipped, even if its head says so.
    Packed(Option<BufReader<LineReader>>),
    Unpacking(GzDecoder<BufReader<LineReader>>),
    /// All of it is read.
    Ended,
}

/// The bytes of the line, with its error, because an unpacker does not pass that on.
struct LineReader {
    reader: BodyReader<'static>,
    failed: Option<TransportError>,
}

impl Read for LineReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reader.read(into).map_err(|error| {
            let kind = error.kind();
            self.failed = Some(in_body(error));
            kind.into()
        })
    }
}

impl Body {
    /// The body of a response with these headers. Headers about its packing are removed, because it is unpacked.
    ///
    /// # Errors
    /// It is packed in a way that nobody asked for.
    pub(super) fn of(
        response: ureq::Body,
        headers: &mut Vec<(String, String)>,
        stop: Stop,
    ) -> Result<Self, TransportError> {
        let reader = response.into_reader();
        let codings: Vec<String> = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-encoding"))
            .flat_map(|(_, value)| value.split(','))
            .map(|coding| coding.trim().to_ascii_lowercase())
            .filter(|coding| !coding.is_empty() && coding != "identity")
            .collect();
        let source = match codings.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => BodySource::Plain(reader),
            ["gzip" | "x-gzip"] => BodySource::Packed(Some(BufReader::new(LineReader { reader, failed: None }))),
            _ => return Err(TransportError::Undecodable(format!("it is packed with {}", codings.join(", ")).into())),
        };
        if !codings.is_empty() {
            // The length is that of the packed body.
            headers.retain(|(name, _)| {
                !["content-encoding", "content-length"].contains(&name.to_ascii_lowercase().as_str())
            });
        }
        Ok(Self { source, stop })
    }

    /// No body.
    pub(super) fn none(stop: Stop) -> Self {
        Self { source: BodySource::Packed(None), stop }
    }

    fn next(&mut self, into: &mut [u8]) -> Result<usize, TransportError> {
        if let BodySource::Packed(begun) = &mut self.source {
            let Some(mut packed) = begun.take() else { return Ok(0) };
            match packed.fill_buf() {
                Ok([]) => return Ok(0),
                // The unpacker needs ten bytes before it looks at the first, and would call a shorter body cut off.
                Ok([first, ..]) if *first != GZIP_1 => return Err(not_gzip()),
                Ok([_, second, ..]) if *second != GZIP_2 => return Err(not_gzip()),
                Ok(_) => self.source = BodySource::Unpacking(GzDecoder::new(packed)),
                Err(error) => return Err(packed.into_inner().failed.unwrap_or_else(|| in_body(error))),
            }
        }
        loop {
            let unpacked = self.unpack(into)?;
            if unpacked > 0 || !self.begin_next_member()? {
                return Ok(unpacked);
            }
        }
    }

    /// After the end of a gzip member, begins the next one, if another follows. Other bytes behind a whole member mean nothing.
    fn begin_next_member(&mut self) -> Result<bool, TransportError> {
        let BodySource::Unpacking(decoder) = std::mem::replace(&mut self.source, BodySource::Ended) else {
            return Ok(false);
        };
        let mut packed = decoder.into_inner();
        match packed.fill_buf() {
            Ok([GZIP_1, GZIP_2, ..]) => {}
            Ok(_) => return Ok(false),
            Err(error) => return Err(packed.into_inner().failed.unwrap_or_else(|| in_body(error))),
        }
        self.source = BodySource::Unpacking(GzDecoder::new(packed));
        Ok(true)
    }

    fn unpack(&mut self, into: &mut [u8]) -> Result<usize, TransportError> {
        match &mut self.source {
            BodySource::Plain(reader) => reader.read(into).map_err(in_body),
            BodySource::Packed(_) | BodySource::Ended => Ok(0),
            BodySource::Unpacking(decoder) => {
                decoder.read(into).map_err(|error| match decoder.get_mut().get_mut().failed.take() {
                    Some(failed) => failed,
                    // Its end is missing although its head says it is complete: it was cut before a machine on the way
                    // wrote the head.
                    None if error.kind() == io::ErrorKind::UnexpectedEof => TransportError::CutOff(error.into()),
                    None => TransportError::Undecodable(error.into()),
                })
            }
        }
    }
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let stop = self.stop.clone();
        let read = apart::during(&stop, || self.next(into));
        read.map_err(|error| if stop.is_asked() { TransportError::Stopped } else { error }).map_err(io::Error::other)
    }
}

fn not_gzip() -> TransportError {
    TransportError::Undecodable("it is said to be packed with gzip, and is not".into())
}

/// The error while the body was read.
fn in_body(error: std::io::Error) -> TransportError {
    match ureq::Error::from(error) {
        error @ ureq::Error::Timeout(_) => TransportError::TimedOut(error.into()),
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            TransportError::TimedOut(error.into())
        }
        error => TransportError::CutOff(error.into()),
    }
}
