//! The settings of a feed of the kind `hep`.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::map::Trunk;
use crate::network::Network;
use crate::secret::Secret;

/// A mirror of SIP signalling.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Letters, digits, `-` and `_`; part of every call key.
    pub name: String,
    /// `udp://`, `tcp://` or `tls://`, an address and a port.
    pub listen: Vec<String>,
    /// What each packet must carry. Empty: no key is asked for.
    #[serde(default)]
    pub auth_key: Secret,
    /// Addresses or networks that may send. Empty: with a key all, else this machine.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Addresses, with or without port, or domains that lead outside; the rest are phones.
    #[serde(default)]
    pub trunks: Vec<String>,
    /// Name of another feed that watches the same phone system and leads: a call that both see is one call.
    #[serde(default)]
    pub same_pbx_as: String,
    /// PEM certificate chain of `tls://`, with `tls_key`.
    #[serde(default)]
    pub tls_certificate: String,
    /// PEM private key of `tls://`.
    #[serde(default)]
    pub tls_key: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// One place where packets are received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    pub transport: Transport,
    pub address: SocketAddr,
}

/// A setting that cannot be; `key` is the name within the feed's section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {what}; expected {expected}")]
pub struct BadSetting {
    pub key: &'static str,
    pub what: String,
    pub expected: &'static str,
}

impl Listen {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, address) = text.split_once("://")?;
        let transport = match scheme {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            _ => return None,
        };
        Some(Self { transport, address: address.parse().ok()? })
    }
}

impl Config {
    /// Where to listen.
    ///
    /// # Errors
    /// At the first address that is none, or when there is none.
    pub fn listens(&self) -> Result<Vec<Listen>, BadSetting> {
        if self.listen.is_empty() {
            return Err(bad("listen", "is empty".to_owned(), LISTEN));
        }
        let read =
            |text: &String| Listen::parse(text).ok_or_else(|| bad("listen", format!("{text:?} is no address"), LISTEN));
        self.listen.iter().map(read).collect()
    }

    /// Who may send.
    ///
    /// # Errors
    /// At the first text that is no address.
    pub fn allowed(&self) -> Result<Vec<Network>, BadSetting> {
        let read =
            |text: &String| Network::parse(text).ok_or_else(|| bad("allow", format!("{text:?} is no address"), ALLOW));
        self.allow.iter().map(read).collect()
    }

    /// What leads outside.
    ///
    /// # Errors
    /// At the first text that is neither an address nor a domain.
    pub fn trunks(&self) -> Result<Vec<Trunk>, BadSetting> {
        let read = |text: &String| {
            Trunk::parse(text)
                .map_err(|_| bad("trunks", format!("{text:?} is neither an address nor a domain"), TRUNKS))
        };
        self.trunks.iter().map(read).collect()
    }
}

const LISTEN: &str =
    "addresses with ports such as \"udp://127.0.0.1:9060\", \"tcp://0.0.0.0:9060\" or \"tls://[::]:9061\"";
const ALLOW: &str = "addresses such as 10.0.0.7, 10.0.0.0/8 or fd00::/8";
const TRUNKS: &str = "such as 192.0.2.1, 192.0.2.1:5060, [2001:db8::1]:5060 or carrier.example";

fn bad(key: &'static str, what: String, expected: &'static str) -> BadSetting {
    BadSetting { key, what, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_listen_is_a_transport_an_address_and_a_port() {
        let listen = Listen::parse("tls://[::1]:9061").unwrap();
        assert_eq!((listen.transport, listen.address.port()), (Transport::Tls, 9061));
        for text in
            ["127.0.0.1:9060", "udp://127.0.0.1", "udp:127.0.0.1:9060", "http://127.0.0.1:1", "udp://pbx:9060", ""]
        {
            assert_eq!(Listen::parse(text), None, "{text}");
        }
    }
}
