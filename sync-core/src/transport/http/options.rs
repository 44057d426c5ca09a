//! What a host chooses about HTTP: time limits, whom it trusts, how it shows who it is, and the proxy.

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, parse_pem};

use super::{ANSWER_BYTES_MAX, Proxies, Timeouts};
use crate::error::{Error, Result};
use crate::text::sentences::error_detail as words;

/// The settings of an [`HttpTransport`](super::HttpTransport). A host that needs another HTTP client implements
/// [`Transport`](crate::transport::Transport) instead.
///
/// ```
/// # fn options(authority: &str) -> sync_core::Result<sync_core::transport::HttpTransport> {
/// use sync_core::transport::{HttpOptions, HttpTransport, Timeouts};
///
/// let options = HttpOptions::default().timeouts(Timeouts::default()).trust_only(authority)?.no_proxy();
/// Ok(HttpTransport::with_options(&options))
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HttpOptions {
    pub(super) timeouts: Timeouts,
    pub(super) answer_bytes_max: u64,
    pub(super) roots: RootCerts,
    pub(super) client_certificate: Option<ClientCert>,
    pub(super) proxies: Proxies,
}

impl Default for HttpOptions {
    /// The default time limits, answers of at most 256 MiB, the authorities that this machine trusts, no client certificate, and the
    /// proxies of the environment.
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            answer_bytes_max: ANSWER_BYTES_MAX,
            roots: RootCerts::PlatformVerifier,
            client_certificate: None,
            proxies: Proxies::of_environment(),
        }
    }
}

impl HttpOptions {
    /// Sets the time limits.
    #[must_use]
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// Sets the most bytes of a decoded answer. A larger answer is not held in memory: the site asks for fewer records
    /// instead. Files do not count.
    #[must_use]
    pub fn answer_max(self, bytes: u64) -> Self {
        Self { answer_bytes_max: bytes, ..self }
    }

    /// Trusts the authorities of Mozilla's list as of the release of this library, and not those of the machine. For systems whose own
    /// list cannot be read, such as Android without an initialised verifier.
    #[must_use]
    pub fn trust_bundled(self) -> Self {
        Self { roots: RootCerts::WebPki, ..self }
    }

    /// Trusts only these certificates (PEM): authorities, or the very certificate of a server, which pins that server.
    ///
    /// # Errors
    /// [`Error::BadInput`]: the text holds no certificate, or one that cannot be read.
    pub fn trust_only(self, pem: &str) -> Result<Self> {
        let certificates = certificates(pem)?;
        let mut store = rustls::RootCertStore::empty();
        for certificate in &certificates {
            store.add(CertificateDer::from(certificate.der())).map_err(|error| unusable(&error))?;
        }
        Ok(Self { roots: RootCerts::new_with_certs(&certificates), ..self })
    }

    /// Shows this certificate to servers that ask for one: the chain and its private key (PEM).
    ///
    /// # Errors
    /// [`Error::BadInput`]: one of them cannot be read, or the key does not belong to the certificate.
    pub fn client_certificate(self, chain: &str, key: &str) -> Result<Self> {
        let chain = certificates(chain)?;
        let Ok(key_der) = PrivateKeyDer::from_pem_slice(key.as_bytes()) else {
            return Err(Error::bad_input(words::no_private_key()));
        };
        // The HTTP client expects no fault here, so it must be found before.
        let chain_der = chain.iter().map(|one| CertificateDer::from(one.der()).into_owned()).collect();
        rustls::sign::CertifiedKey::from_der(chain_der, key_der, &default_provider())
            .map_err(|error| unusable(&error))?;
        let key = PrivateKey::from_pem(key.as_bytes()).map_err(|error| unusable(&error))?;
        Ok(Self { client_certificate: Some(ClientCert::new_with_certs(&chain, key)), ..self })
    }

    /// Sends every request through this proxy (`http://[user:password@]host:port`), whatever the environment says.
    #[must_use]
    pub fn proxy(self, url: &str) -> Self {
        Self { proxies: Proxies::only(url), ..self }
    }

    /// Connects directly, whatever the environment says.
    #[must_use]
    pub fn no_proxy(self) -> Self {
        Self { proxies: Proxies::of(|_| None), ..self }
    }
}

fn unusable(error: &dyn std::error::Error) -> Error {
    Error::bad_input(words::certificate_unusable(error.to_string()))
}

fn certificates(pem: &str) -> Result<Vec<Certificate<'static>>> {
    let mut found = Vec::new();
    for item in parse_pem(pem.as_bytes()) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unusable(&error))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(Error::bad_input(words::no_certificate()));
    }
    Ok(found)
}
