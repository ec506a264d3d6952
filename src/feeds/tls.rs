//! Whom a feed trusts when it connects by TLS: the system's authorities and, where it is set, a private one.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("`ca_file` {path}: {source}")]
    CaFile { path: String, source: pem::Error },
    #[error("`ca_file` {0} holds no certificate in PEM form")]
    NoCertificate(String),
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Trusts the system's authorities and those in `ca_file`, if it is not empty.
///
/// Reads both from disk, so that a change holds from the next connection on.
pub fn trusting(ca_file: &str) -> Result<Arc<ClientConfig>, SetupError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(roots(ca_file)?, provider.clone())?;
    build(provider, Arc::new(verifier))
}

/// For a connection without TLS, by libraries that want a configuration all the same: trusts nobody.
pub fn unused() -> Result<Arc<ClientConfig>, SetupError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Whether a connection failed because the other side's certificate is not trusted.
pub fn is_distrust(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))))
}

/// An error and all that is behind it, the outermost first.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| behind(*error))
}

/// An IO error that wraps another one names that one's cause as its own, and not the one that it wraps.
fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn build(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<Arc<ClientConfig>, SetupError> {
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn roots(ca_file: &str) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    if ca_file.is_empty() {
        return Ok(Vec::new());
    }
    let unreadable = |source| SetupError::CaFile { path: ca_file.to_owned(), source };
    let roots = CertificateDer::pem_file_iter(Path::new(ca_file))
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    if roots.is_empty() {
        return Err(SetupError::NoCertificate(ca_file.to_owned()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let error = trusting(path).unwrap_err();
        assert!(matches!(&error, SetupError::NoCertificate(named) if named == path));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = trusting("/nowhere/ca.pem").unwrap_err().to_string();
        assert!(error.contains("/nowhere/ca.pem"), "{error}");
    }
}
