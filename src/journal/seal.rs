//! Checksums for what is on disk: a text that was changed by anything but us is not read. Pure.

use sha2::{Digest, Sha256};

/// 16 hexadecimal digits.
pub(super) fn sum(bytes: &[u8]) -> String {
    let sum = Sha256::digest(bytes).iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    format!("{sum:016x}")
}

/// The text, a tab and its checksum. The text is JSON or an id, which hold no tab.
pub(super) fn seal(text: &str) -> String {
    format!("{text}\t{}", sum(text.as_bytes()))
}

/// The text alone; `None` when it is not as it was sealed. The first release wrote texts without a seal.
pub(super) fn unseal(sealed: &str) -> Option<&str> {
    match sealed.split_once('\t') {
        Some((text, found)) => (found == sum(text.as_bytes())).then_some(text),
        None => Some(sealed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_is_read_as_it_was_or_not_at_all() {
        let text = r#"{"number":"+4930","since":1}"#;
        let sealed = seal(text);
        assert_eq!(unseal(&sealed), Some(text));
        assert_eq!(unseal("[]"), Some("[]"));
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] ^= 1;
            let damaged = String::from_utf8(bytes).unwrap();
            let read = unseal(&damaged);
            // Without its tab it is no JSON any more.
            assert!(read.is_none_or(|text| text.len() == sealed.len()), "{damaged}");
        }
    }
}
