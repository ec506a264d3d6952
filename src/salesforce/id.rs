//! Record ids: 15 characters, or 18 with a checksum of their case.

use serde::{Deserialize, Serialize};

/// The id of a Salesforce record, kept in its 18-character form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordId(String);

/// A text that is no record id.
#[derive(Debug, thiserror::Error)]
#[error("not a Salesforce record id; expected 15 or 18 letters and digits")]
pub struct NotAnId;

impl RecordId {
    /// Takes 15 or 18 letters and digits; adds the checksum to 15.
    ///
    /// # Errors
    /// When the text is no id.
    pub fn parse(text: &str) -> Result<Self, NotAnId> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match text.len() {
            18 if plain => Ok(Self(text.to_owned())),
            15 if plain => Ok(Self(format!("{text}{}", checksum(text)))),
            _ => Err(NotAnId),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// For each block of five, bit i is set when character i is upper case; 0 to 31 are `A` to `Z` and `0` to `5`.
fn checksum(id: &str) -> String {
    id.as_bytes()
        .chunks(5)
        .map(|block| {
            let bits = block.iter().rev().fold(0_u8, |bits, byte| bits << 1 | u8::from(byte.is_ascii_uppercase()));
            char::from(if bits < 26 { b'A' + bits } else { b'0' + bits - 26 })
        })
        .collect()
}

impl TryFrom<String> for RecordId {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        Self::parse(&text)
    }
}

impl From<RecordId> for String {
    fn from(id: RecordId) -> Self {
        id.0
    }
}

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_characters_get_their_checksum() {
        assert_eq!(RecordId::parse("003xx000004TmiQ").unwrap().as_str(), "003xx000004TmiQAAS");
        assert_eq!(RecordId::parse("001D000000IqhSL").unwrap().as_str(), "001D000000IqhSLIAZ");
        assert!(RecordId::parse("003xx000004Tmi/").is_err());
    }
}
