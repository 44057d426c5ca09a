//! A server that speaks the other one of http and https: told by the types of errors and by the first bytes, never by the text of an error.

use std::error::Error as StdError;

use super::certificate::tls_error;

/// The answer to a request without TLS is a message of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is a message of TLS")]
pub(crate) struct AnswersInTls;

/// What a server speaks in place of what its address says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherScheme {
    /// TLS where the address says `http`.
    Https,
    /// No TLS where the address says `https`.
    Http,
}

/// What the server speaks, if an error or its causes show that it is not what was asked.
pub(crate) fn other_scheme(error: &(dyn StdError + 'static)) -> Option<OtherScheme> {
    if let Some(io) = error.downcast_ref::<std::io::Error>()
        && io.get_ref().is_some_and(|inner| inner.is::<AnswersInTls>())
    {
        return Some(OtherScheme::Https);
    }
    match tls_error(error)? {
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => Some(OtherScheme::Http),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_types_of_errors_tell_it() {
        let in_io = |error: Box<dyn StdError + Send + Sync>| io::Error::new(io::ErrorKind::InvalidData, error);
        assert_eq!(other_scheme(&in_io(Box::new(AnswersInTls))), Some(OtherScheme::Https));
        let no_tls = || rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert_eq!(other_scheme(&in_io(Box::new(no_tls()))), Some(OtherScheme::Http));
        assert_eq!(other_scheme(&no_tls()), Some(OtherScheme::Http));
        assert_eq!(other_scheme(&io::Error::other("the answer is a message of TLS")), None);
        assert_eq!(other_scheme(&rustls::Error::General("InvalidContentType".to_owned())), None);
    }
}
