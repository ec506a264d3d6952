//! How the key of a call is made: the same after every restart, safe in a URL path and in SOQL.

use sha2::{Digest, Sha256};

const MAX_KEY: usize = 64;
/// Room for what `per = "agent"` appends: `-` and an extension of up to six digits.
const ROOM_FOR_AGENT: usize = 7;
const MAX_NAME: usize = 20;

/// `BRIDGE-FEED-UNIQUE`; a unique part that is too long or has odd characters is replaced by its hash.
pub(super) fn compose(bridge: &str, feed: &str, unique: &str) -> String {
    let head = format!("{}-{}-", clean(bridge), clean(feed));
    let room = MAX_KEY - ROOM_FOR_AGENT - head.len();
    let plain = unique.replace('.', "-");
    if plain.len() <= room && plain.bytes().all(is_safe) && !unique.contains('-') {
        return head + &plain;
    }
    let hex = hash(unique);
    head + hex.get(..room.min(22)).unwrap_or(&hex)
}

/// The key of one agent's part: `KEY-EXTENSION`; an extension that is too long is replaced by its hash.
pub(super) fn of_agent(call: &str, extension: &str) -> String {
    let plain: String = extension.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if call.len() + 1 + plain.len() <= MAX_KEY {
        return format!("{call}-{plain}");
    }
    let room = MAX_KEY.saturating_sub(call.len() + 1);
    let hash = hash(extension);
    format!("{call}-{}", hash.get(..room).unwrap_or(&hash))
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn clean(name: &str) -> String {
    name.bytes().filter(|byte| is_safe(*byte)).take(MAX_NAME).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_id_stays_readable_and_others_are_hashed() {
        assert_eq!(compose("hq", "pbx1", "1795282967.390"), "hq-pbx1-1795282967-390");
        let hashed = compose("hq", "pbx1", "3c26 70/9@host");
        assert_eq!(hashed.len(), "hq-pbx1-".len() + 22);
        assert_ne!(compose("hq", "pbx1", "1-2"), compose("hq", "pbx1", "1.2"));
    }

    #[test]
    fn no_key_is_longer_than_64_with_any_agent_behind_it() {
        let long = compose(&"b".repeat(90), &"f".repeat(90), &"x".repeat(300));
        let keys = ["101", "reception_desk_2", "reception_desk_3"].map(|extension| of_agent(&long, extension));
        assert!(keys.iter().all(|key| key.len() <= MAX_KEY), "{keys:?}");
        assert!(keys[0].ends_with("-101"));
        assert_ne!(keys[1], keys[2]);
    }

    #[test]
    fn no_key_is_longer_than_64_with_an_extension_behind_it() {
        let long = compose(&"b".repeat(90), &"f".repeat(90), &"x".repeat(300));
        assert!(long.len() + ROOM_FOR_AGENT <= MAX_KEY, "{long}");
    }
}
