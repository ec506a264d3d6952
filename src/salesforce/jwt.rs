//! The assertion of the JWT bearer flow (RFC 7523), signed with RS256.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

/// Salesforce takes assertions that end within three minutes; the rest is for clocks that differ.
const LIFE_SECONDS: i64 = 140;
/// No key is longer.
const MAX_FILE: u64 = 64 * 1024;

/// Why a key cannot sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("cannot be read: {0}")]
    File(String),
    #[error("is encrypted; write it without a passphrase: openssl rsa -in key.pem -out plain.pem")]
    Encrypted,
    #[error("holds a certificate and no private key; the certificate belongs into the app in Salesforce, the key here")]
    Certificate,
    #[error("holds a public key; the private key that belongs to it is needed")]
    Public,
    #[error("holds no RSA key but one of another kind; make one: openssl genrsa -out key.pem 2048")]
    NotRsa,
    #[error("holds an RSA key that is too short; make one of at least 2048 bits: openssl genrsa -out key.pem 2048")]
    TooShort,
    #[error("holds no private key in PEM; expected -----BEGIN PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY-----")]
    NoKey,
    #[error("holds a key that is damaged")]
    Damaged,
}

/// Who asks, for whom, where.
#[derive(Debug, Clone)]
pub(super) struct Claims<'a> {
    /// Consumer key of the app.
    pub issuer: &'a str,
    /// The user to work as.
    pub subject: &'a str,
    pub audience: &'a str,
}

/// Reads an RSA key from a PEM file, PKCS#8 or PKCS#1.
pub(super) fn key(path: &Path) -> Result<RsaKeyPair, KeyError> {
    let told = |error: std::io::Error| KeyError::File(error.to_string());
    if std::fs::metadata(path).map_err(told)?.len() > MAX_FILE {
        return Err(KeyError::NoKey);
    }
    parse(&std::fs::read(path).map_err(told)?)
}

/// `header.claims.signature`, each in base64url without padding (RFC 7515 section 3.1).
pub(super) fn sign(key: &RsaKeyPair, claims: &Claims<'_>, now: Timestamp) -> Result<String, KeyError> {
    let claims = json!({
        "iss": claims.issuer,
        "sub": claims.subject,
        "aud": claims.audience,
        "exp": now.as_second() + LIFE_SECONDS,
    });
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(r#"{"alg":"RS256"}"#), part(&claims.to_string()));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| KeyError::Damaged)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn parse(pem: &[u8]) -> Result<RsaKeyPair, KeyError> {
    let text = String::from_utf8_lossy(pem);
    // RFC 1421 section 4.6.1.1: the older way to say that what follows is encrypted.
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(KeyError::Encrypted);
    }
    let read = match PrivateKeyDer::from_pem_slice(pem) {
        Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        Ok(_) => return Err(KeyError::NotRsa),
        Err(_) => return Err(no_key(&text)),
    };
    read.map_err(|rejected| match rejected.to_string().as_str() {
        "TooSmall" => KeyError::TooShort,
        "WrongAlgorithm" => KeyError::NotRsa,
        _ => KeyError::Damaged,
    })
}

fn no_key(text: &str) -> KeyError {
    match text {
        text if text.contains("-----BEGIN CERTIFICATE") => KeyError::Certificate,
        text if text.contains("PUBLIC KEY-----") => KeyError::Public,
        text if text.contains("-----BEGIN OPENSSH") => KeyError::NotRsa,
        _ => KeyError::NoKey,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Result<RsaKeyPair, KeyError> {
        key(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys")).join(name))
    }

    #[test]
    fn both_spellings_of_an_rsa_key_are_read_and_sign_the_same() {
        let claims = Claims { issuer: "key", subject: "cti@acme.example", audience: "https://login.salesforce.com" };
        let now = Timestamp::from_second(1_795_000_000).unwrap();
        let signed = |name| sign(&fixture(name).unwrap(), &claims, now).unwrap();
        let assertion = signed("rsa-pkcs8.pem");
        assert_eq!(assertion, signed("rsa-pkcs1.pem"));
        let parts: Vec<_> = assertion.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        assert_eq!(parts[0], br#"{"alg":"RS256"}"#);
        let claims: serde_json::Value = serde_json::from_slice(&parts[1]).unwrap();
        assert_eq!(claims["exp"].as_i64(), Some(1_795_000_140));
        assert_eq!(parts[2].len(), 256);
    }

    #[test]
    fn a_key_that_cannot_sign_is_told_by_what_it_is() {
        for (name, expected) in [
            ("rsa-encrypted.pem", KeyError::Encrypted),
            ("rsa-encrypted-old.pem", KeyError::Encrypted),
            ("ec.pem", KeyError::NotRsa),
            ("ec-sec1.pem", KeyError::NotRsa),
            ("certificate.pem", KeyError::Certificate),
            ("rsa-public.pem", KeyError::Public),
            ("rsa-1024.pem", KeyError::TooShort),
            ("README.md", KeyError::NoKey),
        ] {
            assert_eq!(fixture(name).err(), Some(expected), "{name}");
        }
        assert!(matches!(fixture("nothing.pem").err(), Some(KeyError::File(_))));
        assert_eq!(
            parse(b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n").err(),
            Some(KeyError::Damaged)
        );
    }
}
