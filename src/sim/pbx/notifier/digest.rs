//! Asks for a digest and checks it (RFC 7616).

use md5::Md5;
use sha2::{Digest as _, Sha256};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Md5Session,
    Sha256,
    Sha256Session,
    /// One that nobody knows.
    Strange,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Session => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Session => "SHA-256-sess",
            Self::Strange => "XYZ-9",
        }
    }

    fn hash(self, text: &str) -> String {
        let bytes = match self {
            Self::Md5 | Self::Md5Session | Self::Strange => Md5::digest(text).to_vec(),
            Self::Sha256 | Self::Sha256Session => Sha256::digest(text).to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

pub(super) fn challenge(algorithm: Algorithm, nonce: &str) -> String {
    format!(
        "WWW-Authenticate: Digest realm=\"pbx.example\", nonce=\"{nonce}\", opaque=\"o\", algorithm={}, qop=\"auth\"\r\n",
        algorithm.name()
    )
}

pub(super) fn is_right(answer: &str, method: &str, username: &str, password: &str, known: &[Algorithm]) -> bool {
    let value = |name: &str| -> Option<String> {
        let parts = answer.trim_start_matches("Digest ").split(", ").filter_map(|part| part.split_once('='));
        parts.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value.trim_matches('"').to_owned())
    };
    let (Some(nonce), Some(uri), Some(response), Some(cnonce), Some(count)) =
        (value("nonce"), value("uri"), value("response"), value("cnonce"), value("nc"))
    else {
        return false;
    };
    let word = value("algorithm").unwrap_or_default();
    let Some(algorithm) = known.iter().copied().find(|it| it.name() == word) else {
        return false;
    };
    let mut secret = algorithm.hash(&format!("{username}:pbx.example:{password}"));
    if matches!(algorithm, Algorithm::Md5Session | Algorithm::Sha256Session) {
        secret = algorithm.hash(&format!("{secret}:{nonce}:{cnonce}"));
    }
    let request = algorithm.hash(&format!("{method}:{uri}"));
    let expected = algorithm.hash(&format!("{secret}:{nonce}:{count}:{cnonce}:auth:{request}"));
    value("username").as_deref() == Some(username) && response == expected
}
