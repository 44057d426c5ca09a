//! TLS from certificates and a key in PEM.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sync_core::Error;
use sync_core::clock::Timestamp;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{self, CertificateError, RootCertStore, ServerConfig};

use crate::sentences::input_given as given;

/// The last second of the year 9999, in seconds since 1970: the latest end that a certificate can have.
const LATE: u64 = 253_402_300_799;

/// Text in PEM.
#[derive(Clone, Copy)]
pub struct Pem<'a> {
    /// Its origin, for errors.
    pub path: &'a Path,
    /// The text, without a byte order mark.
    pub text: &'a str,
}

/// The server's end of TLS. A clone is the same end.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Used>>);

/// What the next connection uses.
#[derive(Clone)]
struct Used {
    acceptor: TlsAcceptor,
    /// The server's certificate, the first of the chain.
    certificate: Option<CertificateDer<'static>>,
    begins_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    is_of_authority: bool,
    is_not_renewed: bool,
}

impl Tls {
    /// Uses this chain of certificates and its key.
    ///
    /// # Errors
    /// [`Error::BadInput`]: there is no certificate or no key in a text, or they do not belong together.
    pub fn from_pem(certificates: Pem<'_>, key: Pem<'_>) -> Result<Self, Error> {
        let bad = |path: &Path, why: &dyn std::fmt::Display| {
            Error::bad_input(given::no_tls(path.display().to_string(), why.to_string()))
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates.text.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| bad(certificates.path, &error))?;
        if chain.is_empty() {
            return Err(Error::bad_input(given::no_certificate(certificates.path.display().to_string())));
        }
        let (begins_at, ends_at) = (chain.first().and_then(begin_of), chain.first().and_then(end_of));
        let is_of_authority = chain.first().zip(ends_at).is_some_and(|(first, end)| is_of_authority(first, end));
        let certificate = chain.first().cloned();
        let secret = PrivateKeyDer::from_pem_slice(key.text.as_bytes()).map_err(|error| bad(key.path, &error))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(chain, secret))
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    let (key, file) = (key.path.display().to_string(), certificates.path.display().to_string());
                    Error::bad_input(given::key_of_another(key, file))
                }
                error => bad(certificates.path, &error),
            })?;
        Ok(Self(Arc::new(RwLock::new(Used {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate,
            begins_at,
            ends_at,
            is_of_authority,
            is_not_renewed: false,
        }))))
    }

    /// From when on the server's certificate is valid, as far as it can be read; `None` if that was before 1970.
    pub fn begins_at(&self) -> Option<Timestamp> {
        self.used().begins_at
    }

    /// When the server's certificate ends, as far as it can be read.
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.used().ends_at
    }

    /// True if the server's certificate is the own certificate of an authority (`CA:TRUE`), as a self-signed one often is. Sites of this
    /// library refuse it.
    pub fn is_of_authority(&self) -> bool {
        self.used().is_of_authority
    }

    /// True if the server's certificate is for this host, a name or an IP address: sites that ask another one refuse the server.
    pub fn is_for(&self, host: &str) -> bool {
        let Ok(name) = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']').to_owned()) else {
            return false;
        };
        self.used().certificate.is_some_and(|certificate| is_for(&certificate, &name))
    }

    /// True if a site that asks for one of this certificate's names may also find it in the other one. A certificate without names has
    /// none to miss.
    pub fn shares_name_with(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.used().certificate, other.used().certificate);
        let Some((ours, theirs)) = ours.zip(theirs) else { return true };
        let (our_names, their_names) = (names_of(&ours), names_of(&theirs));
        let is_any_for = |names: &[String], certificate: &CertificateDer<'_>| {
            names.iter().any(|name| ServerName::try_from(name.as_str()).is_ok_and(|name| is_for(certificate, &name)))
        };
        our_names.is_empty()
            || our_names.iter().any(|name| their_names.contains(name))
            || is_any_for(&dns_names_of(&ours), &theirs)
            || is_any_for(&dns_names_of(&theirs), &ours)
    }

    /// Uses the certificates and the key of another one from the next connection on.
    pub fn replace(&self, other: &Self) {
        let used = other.used();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = used;
    }

    /// Notes that the files hold another certificate, which cannot be used in the place of this one: `/health` tells it until
    /// [`replace`](Self::replace).
    pub fn keep_former(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).is_not_renewed = true;
    }

    /// True after [`keep_former`](Self::keep_former).
    pub fn is_not_renewed(&self) -> bool {
        self.used().is_not_renewed
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.used().acceptor
    }

    fn used(&self) -> Used {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The host of an address of HTTPS; `None` for another address.
pub fn https_host(url: &str) -> Option<String> {
    let url: axum::http::Uri = url.parse().ok()?;
    url.host().filter(|_| url.scheme_str() == Some("https")).map(str::to_owned)
}

/// The fault that a certificate has at a time when no authority is trusted. There always is one.
fn fault_at(certificate: &CertificateDer<'_>, seconds: u64) -> Option<CertificateError> {
    let certificate = ParsedCertificate::try_from(certificate).ok()?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let provider = ring::default_provider();
    let schemes = provider.signature_verification_algorithms.all;
    let nobody = RootCertStore::empty();
    match verify_server_cert_signed_by_trust_anchor(&certificate, &nobody, &[], at, schemes) {
        Err(rustls::Error::InvalidCertificate(fault)) => Some(fault),
        _ => None,
    }
}

/// True for the own certificate of an authority. That is known only within the time for which the certificate is valid, so this asks
/// about its last second.
fn is_of_authority(certificate: &CertificateDer<'_>, end: Timestamp) -> bool {
    let last = u64::try_from(end.unix_millis() / 1000).unwrap_or(0).saturating_sub(1);
    match fault_at(certificate, last) {
        Some(CertificateError::Other(other)) => {
            matches!(other.0.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

fn is_for(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let certificate = webpki::EndEntityCert::try_from(certificate);
    certificate.is_ok_and(|certificate| certificate.verify_is_valid_for_subject_name(name).is_ok())
}

/// The names of a certificate of all kinds, IP addresses too, as text that serves only to compare them. The library of TLS lists them
/// where it misses a name, so this asks it for one that nobody has.
fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(nobody) = ServerName::try_from("nobody.invalid") else { return Vec::new() };
    let found =
        webpki::EndEntityCert::try_from(certificate).map(|found| found.verify_is_valid_for_subject_name(&nobody));
    match found {
        Ok(Err(webpki::Error::CertNotValidForName(context))) => {
            context.presented.into_iter().map(|name| name.to_ascii_lowercase()).collect()
        }
        _ => Vec::new(),
    }
}

fn dns_names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate);
    certificate.map(|found| found.valid_dns_names().map(str::to_owned).collect()).unwrap_or_default()
}

/// From when on a certificate is valid, which is asked as its end is, about the year 1970.
fn begin_of(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    match fault_at(certificate, 0) {
        Some(CertificateError::NotValidYetContext { not_before, .. }) => {
            let millis = i64::try_from(not_before.as_secs()).ok()?.checked_mul(1000)?;
            Some(Timestamp::from_unix_millis(millis))
        }
        _ => None,
    }
}

/// When a certificate ends. The library of TLS tells it only where it refuses the certificate, so this asks it about a time
/// when every certificate has ended.
fn end_of(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    match fault_at(certificate, LATE) {
        Some(CertificateError::ExpiredContext { not_after, .. }) => {
            let millis = i64::try_from(not_after.as_secs()).ok()?.checked_mul(1000)?;
            Some(Timestamp::from_unix_millis(millis))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_and_whether_it_is_of_an_authority() {
        for is_ca in [false, true] {
            let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
            if is_ca {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }
            params.not_before = rcgen::date_time_ymd(2029, 1, 2);
            params.not_after = rcgen::date_time_ymd(2031, 3, 4);
            let key = rcgen::KeyPair::generate().expect("a key");
            let made = params.self_signed(&key).expect("a certificate");
            let end = end_of(made.der());
            assert_eq!(begin_of(made.der()), Timestamp::parse("2029-01-02T00:00:00Z"), "{is_ca}");
            assert_eq!(end, Timestamp::parse("2031-03-04T00:00:00Z"), "{is_ca}");
            assert_eq!(is_of_authority(made.der(), end.expect("it is read")), is_ca);
        }
    }

    #[test]
    fn a_certificate_is_compared_with_another_one_by_its_names() {
        let of = |names: &[&str]| {
            let made =
                rcgen::generate_simple_self_signed(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
            let made = made.expect("a certificate");
            let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
            let path = Path::new("pem");
            Tls::from_pem(Pem { path, text: &chain }, Pem { path, text: &key }).expect("a certificate and its key")
        };
        for (used, new, is_shared) in [
            (&["a.example.org"][..], &["A.example.org"][..], true),
            (&["a.example.org", "b.example.org"], &["b.example.org"], true),
            (&["a.example.org"], &["*.example.org"], true),
            (&["*.example.org"], &["a.example.org"], true),
            (&["192.0.2.1"], &["192.0.2.1"], true),
            (&["192.0.2.1"], &["192.0.2.2"], false),
            (&["a.example.org"], &["a.example.com"], false),
            (&["a.example.org"], &[], false),
            (&[], &["a.example.org"], true),
        ] {
            assert_eq!(of(used).shares_name_with(&of(new)), is_shared, "{used:?} {new:?}");
        }
        let both = of(&["*.example.org", "192.0.2.1", "2001:db8::1"]);
        assert!(["a.example.org", "192.0.2.1", "[2001:db8::1]"].iter().all(|host| both.is_for(host)));
        assert!(["example.org", "a.example.com", "192.0.2.2", "", "a b"].iter().all(|host| !both.is_for(host)));
    }
}
