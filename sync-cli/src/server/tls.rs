//! TLS from certificate files.

use std::path::Path;
use std::sync::Arc;

use sync_core::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::sentences::input_given as given;
use crate::setup::text_of;

/// An end that shows this chain of certificates, both files in PEM.
pub(crate) fn acceptor(certificates: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let bad = |path: &Path, why: &dyn std::fmt::Display| {
        Error::bad_input(given::no_tls(path.display().to_string(), why.to_string()))
    };
    // Read as text first: behind the mark of an editor the reader of PEM would find nothing.
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(text_of(certificates)?.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| bad(certificates, &error))?;
    if chain.is_empty() {
        return Err(Error::bad_input(given::no_certificate(certificates.display().to_string())));
    }
    let secret = PrivateKeyDer::from_pem_slice(text_of(key)?.as_bytes()).map_err(|error| bad(key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_no_client_auth())
        .and_then(|builder| builder.with_single_cert(chain, secret))
        .map_err(|error| bad(certificates, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
