//! TLS from certificates and a key in PEM.

use std::path::Path;
use std::sync::Arc;

use sync_core::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::sentences::input_given as given;

/// Text in PEM.
#[derive(Clone, Copy)]
pub struct Pem<'a> {
    /// Its origin, for errors.
    pub path: &'a Path,
    /// The text, without a byte order mark.
    pub text: &'a str,
}

/// The server's end of TLS.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

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
        let secret = PrivateKeyDer::from_pem_slice(key.text.as_bytes()).map_err(|error| bad(key.path, &error))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(chain, secret))
            .map_err(|error| bad(certificates.path, &error))?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.0.clone()
    }
}
