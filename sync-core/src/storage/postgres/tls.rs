//! Encrypted connections, whose server shows a certificate that is verified.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Error, Result};
use crate::text::sentences::input;

/// Trusts the certificates of a file, or those that the machine trusts.
pub(super) fn encryption(root_certificates: Option<&Path>) -> Result<MakeRustlsConnect> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let failed = |error: rustls::Error| Error::bad_input(input::postgres_tls(error.to_string()));
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(failed)?;
    let config = match root_certificates {
        Some(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
        None => {
            let verifier = Arc::new(Verifier::new(provider).map_err(failed)?);
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn roots(path: &Path) -> Result<RootCertStore> {
    let file = path.display().to_string();
    let unreadable = |error: String| Error::bad_input(input::file_unreadable(&file, error));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
    }
    if roots.is_empty() { Err(Error::bad_input(input::no_certificate(&file))) } else { Ok(roots) }
}
