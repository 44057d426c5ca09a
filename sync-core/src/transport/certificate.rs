//! The fault of a certificate, from the types of errors, never from their texts.

use std::error::Error as StdError;

use crate::redaction::excerpt;
use crate::text::Detail;
use crate::text::sentences::error_detail as words;

/// Why a certificate is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only HTTP knows certificates"))]
pub(crate) enum CertificateFault {
    /// No authority that this machine trusts issued it.
    Untrusted,
    /// It is expired by this machine's clock.
    Expired,
    /// It is not yet valid by this machine's clock.
    NotYetValid,
    /// It is for another name.
    OtherName,
    /// It is the own certificate of an authority (`CA:TRUE`), as `openssl req -x509` makes it, and shown as a server's.
    OfAuthority,
    /// It is for something else than a server.
    OtherPurpose,
    /// Its authority took it back.
    Revoked,
    /// It is of X.509 version 1, as `openssl x509 -req` makes it without extensions.
    Version1,
    /// Anything else.
    Other,
}

impl CertificateFault {
    /// The fault in words; `error` is the error that showed it.
    pub(crate) fn says(self, error: &(dyn StdError + 'static)) -> Detail {
        match self {
            Self::Untrusted => match unreadable_trust() {
                Some((file, why)) => words::certificates_unreadable(file, why),
                None => words::certificate_untrusted(),
            },
            Self::Expired => words::certificate_expired(),
            Self::NotYetValid => words::certificate_not_yet_valid(),
            Self::OtherName => words::certificate_of_other(),
            Self::OfAuthority => words::certificate_of_authority(),
            Self::OtherPurpose => words::certificate_for_other_purpose(),
            Self::Revoked => words::certificate_revoked(),
            Self::Version1 => words::certificate_of_version_1(),
            Self::Other => words::certificate_unacceptable(excerpt(error.to_string().as_bytes())),
        }
        .into()
    }
}

/// Why a server refuses the certificate that this app shows it, or that it shows none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only HTTP knows certificates"))]
pub(crate) enum OwnCertificateFault {
    /// None was shown.
    Missing,
    /// The server does not trust the authority that issued it.
    Untrusted,
    /// It is expired or not yet valid by the server's clock.
    Expired,
    /// Its authority took it back.
    Revoked,
    /// Anything else.
    Other,
}

impl OwnCertificateFault {
    /// The fault in words.
    pub(crate) fn says(self) -> Detail {
        match self {
            Self::Missing => words::own_certificate_missing(),
            Self::Untrusted => words::own_certificate_untrusted(),
            Self::Expired => words::own_certificate_expired(),
            Self::Revoked => words::own_certificate_revoked(),
            Self::Other => words::own_certificate_unacceptable(),
        }
        .into()
    }
}

/// The fault that a server finds in the certificate of this app, in an error or its causes, if any. A server that lets only known apps in
/// ends the connection with an alert that says why.
#[cfg(feature = "http")]
pub(crate) fn own_certificate_fault(error: &(dyn StdError + 'static)) -> Option<OwnCertificateFault> {
    use rustls::AlertDescription as Alert;
    let rustls::Error::AlertReceived(alert) = tls_error(error)? else { return None };
    match alert {
        Alert::CertificateRequired | Alert::NoCertificate => Some(OwnCertificateFault::Missing),
        Alert::UnknownCA => Some(OwnCertificateFault::Untrusted),
        Alert::CertificateExpired => Some(OwnCertificateFault::Expired),
        Alert::CertificateRevoked => Some(OwnCertificateFault::Revoked),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateUnknown
        | Alert::AccessDenied
        // Its signature is not that of the authority of this name.
        | Alert::DecryptError => Some(OwnCertificateFault::Other),
        _ => None,
    }
}

/// Without HTTP there are no certificates.
#[cfg(not(feature = "http"))]
pub(crate) fn own_certificate_fault(_: &(dyn StdError + 'static)) -> Option<OwnCertificateFault> {
    None
}

/// The fault of a certificate in an error or its causes, if any.
#[cfg(feature = "http")]
pub(crate) fn certificate_fault(error: &(dyn StdError + 'static)) -> Option<CertificateFault> {
    use rustls::CertificateError as Fault;
    let fault = match tls_error(error)? {
        rustls::Error::InvalidCertificate(fault) => fault,
        error if lacks_trust(error) => return Some(CertificateFault::Untrusted),
        _ => return None,
    };
    Some(match fault {
        Fault::UnknownIssuer => CertificateFault::Untrusted,
        Fault::Expired | Fault::ExpiredContext { .. } => CertificateFault::Expired,
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => CertificateFault::NotYetValid,
        Fault::Revoked => CertificateFault::Revoked,
        Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => CertificateFault::OtherPurpose,
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => CertificateFault::OtherName,
        Fault::Other(other) => match other.0.downcast_ref::<webpki::Error>() {
            Some(webpki::Error::CaUsedAsEndEntity) => CertificateFault::OfAuthority,
            Some(webpki::Error::UnsupportedCertVersion) => CertificateFault::Version1,
            Some(_) => CertificateFault::Other,
            // The verifiers of some systems return their own errors.
            None => certificate_fault(&*other.0).unwrap_or(CertificateFault::Other),
        },
        _ => CertificateFault::Other,
    })
}

/// Without HTTP there are no certificates.
#[cfg(not(feature = "http"))]
pub(crate) fn certificate_fault(_: &(dyn StdError + 'static)) -> Option<CertificateFault> {
    None
}

/// True if an error is about a certificate, the server's or that of this app, and not about TLS itself.
#[cfg(feature = "http")]
pub(super) fn is_refused(error: &(dyn StdError + 'static)) -> bool {
    use rustls::Error as Tls;
    tls_error(error).is_some_and(|error| {
        let is_of_certificate = matches!(
            error,
            Tls::InvalidCertificate(_)
                | Tls::NoCertificatesPresented
                | Tls::InvalidCertRevocationList(_)
                | Tls::UnsupportedNameType
        );
        is_of_certificate || lacks_trust(error) || own_certificate_fault(error).is_some()
    })
}

/// True for the error of a machine that knows no authority, because the file of authorities that it was given cannot be read. Its
/// type says no more than that something failed.
#[cfg(feature = "http")]
fn lacks_trust(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::General(_)) && unreadable_trust().is_some()
}

/// The file of `SSL_CERT_FILE`, which takes the place of the authorities of the system, and why it cannot be read.
pub(crate) fn unreadable_trust() -> Option<(String, String)> {
    let file = std::env::var_os("SSL_CERT_FILE")?;
    let fault = match std::fs::read(&file) {
        Ok(text) if is_pem(&text) => return None,
        Ok(_) => words::no_certificate_in_it().to_string(),
        Err(fault) => fault.to_string(),
    };
    Some((file.to_string_lossy().into_owned(), fault))
}

fn is_pem(text: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN ";
    text.windows(BEGIN.len()).any(|window| window == BEGIN)
}

/// The error of TLS in a chain of causes.
#[cfg(feature = "http")]
pub(super) fn tls_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // The source of a system error is not its inner error, but the source of that.
        next = match error.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => match error.downcast_ref::<ureq::Error>() {
                Some(ureq::Error::Rustls(tls)) => return Some(tls),
                Some(ureq::Error::Io(io)) => Some(io as &(dyn StdError + 'static)),
                _ => error.source(),
            },
        };
    }
    None
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use rustls::CertificateError;
    use std::io;
    use std::sync::Arc;

    use super::*;

    fn of(fault: CertificateError) -> rustls::Error {
        rustls::Error::InvalidCertificate(fault)
    }

    #[test]
    fn a_fault_is_found_however_deep_it_lies() {
        let in_io = io::Error::new(io::ErrorKind::InvalidData, of(CertificateError::Expired));
        assert_eq!(certificate_fault(&in_io), Some(CertificateFault::Expired));
        let in_ureq = ureq::Error::Rustls(of(CertificateError::UnknownIssuer));
        assert_eq!(certificate_fault(&in_ureq), Some(CertificateFault::Untrusted));
        let in_both =
            ureq::Error::Io(io::Error::new(io::ErrorKind::InvalidData, of(CertificateError::NotValidForName)));
        assert_eq!(certificate_fault(&in_both), Some(CertificateFault::OtherName));
        let of_webpki = |fault: webpki::Error| of(CertificateError::Other(rustls::OtherError(Arc::new(fault))));
        for (error, fault) in [
            (of(CertificateError::NotValidYet), CertificateFault::NotYetValid),
            (of(CertificateError::Revoked), CertificateFault::Revoked),
            (of(CertificateError::InvalidPurpose), CertificateFault::OtherPurpose),
            (of_webpki(webpki::Error::CaUsedAsEndEntity), CertificateFault::OfAuthority),
            (of_webpki(webpki::Error::UnsupportedCertVersion), CertificateFault::Version1),
            (of_webpki(webpki::Error::BadDer), CertificateFault::Other),
            (of(CertificateError::BadSignature), CertificateFault::Other),
        ] {
            assert_eq!(certificate_fault(&error), Some(fault), "{error}");
        }
        assert!(is_refused(&in_both));
    }

    #[test]
    fn a_server_that_refuses_the_certificate_of_this_app_says_why() {
        use rustls::AlertDescription as Alert;
        for (alert, fault) in [
            (Alert::CertificateRequired, Some(OwnCertificateFault::Missing)),
            (Alert::UnknownCA, Some(OwnCertificateFault::Untrusted)),
            (Alert::CertificateExpired, Some(OwnCertificateFault::Expired)),
            (Alert::CertificateRevoked, Some(OwnCertificateFault::Revoked)),
            (Alert::BadCertificate, Some(OwnCertificateFault::Other)),
            (Alert::UnsupportedCertificate, Some(OwnCertificateFault::Other)),
            (Alert::DecryptError, Some(OwnCertificateFault::Other)),
            (Alert::ProtocolVersion, None),
        ] {
            let error = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::AlertReceived(alert));
            assert_eq!(own_certificate_fault(&error), fault, "{alert:?}");
            assert_eq!(is_refused(&error), fault.is_some(), "{alert:?}");
            assert_eq!(certificate_fault(&error), None, "{alert:?}: it is not the server's");
        }
        assert_eq!(own_certificate_fault(&of(CertificateError::Expired)), None);
    }

    #[test]
    fn words_prove_nothing() {
        let words = io::Error::other("certificate expired: UnknownIssuer");
        assert_eq!(certificate_fault(&words), None);
        assert!(!is_refused(&words));
        assert!(!is_refused(&rustls::Error::General("certificate".to_owned())));
    }
}
