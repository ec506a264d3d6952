//! Record ids: three characters of type, twelve of sequence, three of checksum.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECKS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// The 18-character id number `sequence` of the type whose key prefix is `prefix`.
pub(crate) fn make(prefix: &str, sequence: u64) -> String {
    let mut tail = Vec::new();
    let mut rest = sequence;
    while tail.len() < 9 {
        let digit = usize::try_from(rest % 62).unwrap_or_default();
        tail.push(DIGITS.get(digit).copied().unwrap_or(b'0'));
        rest /= 62;
    }
    let tail: String = tail.iter().rev().map(|byte| char::from(*byte)).collect();
    with_checksum(&format!("{prefix}gL0{tail}"))
}

/// The 18-character form of a 15- or 18-character id; `None` when it is neither.
pub(crate) fn normal(text: &str) -> Option<String> {
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    match text.len() {
        15 => Some(with_checksum(text)),
        18 => {
            let full = with_checksum(text.get(..15)?);
            full.eq_ignore_ascii_case(text).then_some(full)
        }
        _ => None,
    }
}

/// The 15 case-sensitive characters of an id.
pub(crate) fn short(id: &str) -> &str {
    id.get(..15).unwrap_or(id)
}

/// Each block of five gives one character: bit `i` says whether its character `i` is upper-case.
fn with_checksum(short: &str) -> String {
    let mut full = short.to_owned();
    for block in short.as_bytes().chunks(5) {
        let mask = block
            .iter()
            .enumerate()
            .filter(|(_, byte)| byte.is_ascii_uppercase())
            .fold(0_usize, |mask, (bit, _)| mask | 1 << bit);
        full.push(CHECKS.get(mask).map_or('A', |byte| char::from(*byte)));
    }
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_match_published_pairs() {
        assert_eq!(normal("003xx000004TmiQ").as_deref(), Some("003xx000004TmiQAAS"));
        assert_eq!(normal("001D000000IqhSL").as_deref(), Some("001D000000IqhSLIAZ"));
    }

    #[test]
    fn a_wrong_checksum_is_no_id() {
        assert_eq!(normal("001D000000IqhSLIAA"), None);
        assert_eq!(normal("pbx1-1732208400"), None);
    }

    #[test]
    fn made_ids_sort_in_the_order_they_were_made() {
        assert!(make("00T", 61) < make("00T", 62));
        assert!(make("00T", 9) < make("00T", 10));
        assert_eq!(make("00T", 5).len(), 18);
    }
}
