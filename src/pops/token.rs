//! Agents' tokens: made at random, kept as hashes, compared in constant time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;
/// What sets the details key apart from anything else that may be made from the same hash.
const DETAILS_LABEL: &[u8] = b"ctibridge details key v1\0";

/// SHA-256 of a token; what the settings and the state folder hold.
#[derive(Clone, Copy)]
pub(super) struct TokenHash([u8; 32]);

/// A new token.
///
/// # Errors
/// When the system has no randomness to give.
pub(super) fn make() -> Result<Secret, getrandom::Error> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

impl TokenHash {
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Reads 64 lower-case hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() != 64 || !lower {
            return None;
        }
        let mut bytes = [0_u8; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    pub fn to_hex(self) -> String {
        self.0.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    pub fn is(self, other: Self) -> bool {
        bool::from(self.0.ct_eq(&other.0))
    }

    /// The key that stands in `/details?k=`. It is made from the hash, so it ends with the token and needs no file of its own,
    /// and it cannot be turned back into the token or used as one.
    pub fn details_key(self) -> Secret {
        let digest = Sha256::new().chain_update(DETAILS_LABEL).chain_update(self.0).finalize();
        Secret::new(URL_SAFE_NO_PAD.encode(digest))
    }
}
