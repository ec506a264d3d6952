//! The certificate that a feed shows to those who send by TLS.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Config;

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("`{key}` {path}: {source}")]
    File { key: &'static str, path: String, source: pem::Error },
    #[error("`tls_certificate` and `tls_key` do not fit: {0}")]
    Unfit(#[from] rustls::Error),
}

/// None when no certificate is set.
pub fn identity(config: &Config) -> Result<Option<Arc<ServerConfig>>, IdentityError> {
    if config.tls_certificate.is_empty() {
        return Ok(None);
    }
    let chain = CertificateDer::pem_file_iter(Path::new(&config.tls_certificate))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| unreadable("tls_certificate", &config.tls_certificate, source))?;
    let key = PrivateKeyDer::from_pem_file(Path::new(&config.tls_key))
        .map_err(|source| unreadable("tls_key", &config.tls_key, source))?;
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Some(Arc::new(server)))
}

fn unreadable(key: &'static str, path: &str, source: pem::Error) -> IdentityError {
    IdentityError::File { key, path: path.to_owned(), source }
}
