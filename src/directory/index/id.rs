//! A record id in 15 bytes, and in eight where its beginning is a common one.

use crate::salesforce::RecordId;

/// How many characters the ids of one object at one place of Salesforce's share: the object, the place, and a reserved one.
pub(super) const HEAD: usize = 6;
/// The characters behind these, which 54 bits hold.
const TAIL: usize = 9;
const BASE: u64 = 62;

/// The 15 characters that count; the other three are a checksum of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub [u8; HEAD + TAIL]);

impl Id {
    pub fn of(id: &RecordId) -> Self {
        let mut bytes = [b'0'; HEAD + TAIL];
        for (byte, char) in bytes.iter_mut().zip(id.as_str().bytes()) {
            *byte = char;
        }
        Self(bytes)
    }

    /// `None` for bytes that are no id, which none of ours is.
    pub fn record(&self) -> Option<RecordId> {
        RecordId::parse(std::str::from_utf8(&self.0).ok()?).ok()
    }

    pub fn split(&self) -> ([u8; HEAD], u64) {
        let (mut head, mut tail) = ([0; HEAD], 0);
        for (nth, &byte) in self.0.iter().enumerate() {
            match head.get_mut(nth) {
                Some(place) => *place = byte,
                None => tail = tail * BASE + digit(byte),
            }
        }
        (head, tail)
    }

    pub fn join(head: [u8; HEAD], mut tail: u64) -> Self {
        let mut bytes = [0; HEAD + TAIL];
        for (byte, char) in bytes.iter_mut().zip(head) {
            *byte = char;
        }
        for byte in bytes.iter_mut().skip(HEAD).rev() {
            *byte = char_of(tail % BASE);
            tail /= BASE;
        }
        Self(bytes)
    }

    /// Two words that together are the id, to be hashed.
    pub fn words(&self) -> (u64, u64) {
        let (head, tail) = self.split();
        (head_word(head), tail)
    }
}

pub(super) fn head_word(head: [u8; HEAD]) -> u64 {
    head.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

fn digit(byte: u8) -> u64 {
    u64::from(match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'Z' => byte - b'A' + 10,
        b'a'..=b'z' => byte - b'a' + 36,
        _never => 0,
    })
}

fn char_of(digit: u64) -> u8 {
    // A table: what comes next in an id cannot be guessed, as branches would be.
    const CHARS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    usize::try_from(digit).ok().and_then(|digit| CHARS.get(digit)).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_after_it_was_split() {
        for text in ["003xx000004TmiQ", "001D000000IqhSL", "00Q000000000000", "a0Bzzzzzzzzzzzz"] {
            let id = Id::of(&RecordId::parse(text).unwrap());
            let (head, tail) = id.split();
            assert!(tail < 1 << 54);
            assert!(Id::join(head, tail) == id);
            assert_eq!(id.record().unwrap(), RecordId::parse(text).unwrap());
        }
    }
}
