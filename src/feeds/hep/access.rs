//! Whose packets are read.

use std::net::IpAddr;

use crate::network::Network;
use crate::secret::Secret;

#[derive(Debug, Clone)]
pub struct Access {
    key: Secret,
    allow: Vec<Network>,
}

impl Access {
    pub fn new(key: Secret, allow: Vec<Network>) -> Self {
        Self { key, allow }
    }

    /// Whether this machine may send: by the list; without one, any that has the key; without a key, this machine.
    pub fn allows(&self, sender: IpAddr) -> bool {
        let sender = sender.to_canonical();
        if self.allow.is_empty() {
            return !self.key.is_empty() || sender.is_loopback();
        }
        self.allow.iter().any(|network| network.holds(sender))
    }

    /// Whether a packet carries the key, if one is asked for; compared in constant time.
    pub fn accepts(&self, key: &[u8]) -> bool {
        self.key.is_empty() || std::str::from_utf8(key).is_ok_and(|key| self.key.is(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(key: &str, allow: &[&str]) -> Access {
        Access::new(Secret::new(key), allow.iter().map(|text| Network::parse(text).unwrap()).collect())
    }

    #[test]
    fn without_a_key_only_this_machine_is_read_unless_told_otherwise() {
        let (here, there) = ("::ffff:127.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        assert!(access("", &[]).allows(here) && !access("", &[]).allows(there));
        assert!(access("k", &[]).allows(there));
        assert!(access("", &["192.0.2.0/24"]).allows(there) && !access("k", &["192.0.2.2"]).allows(there));
    }

    #[test]
    fn the_key_must_be_the_whole_key() {
        let access = access("secret", &[]);
        assert!(access.accepts(b"secret"));
        for key in [b"".as_slice(), b"secre", b"secrets", b"\xff\xfe"] {
            assert!(!access.accepts(key));
        }
    }
}
