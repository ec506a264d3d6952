//! Who is at the other end of a connection, directly or behind a trusted proxy.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::network::Network;

/// Headers that only a proxy adds.
const FORWARDING: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// The far end of the TCP connection; put into each request by the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

/// Whom a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    pub address: IpAddr,
    /// A program on this machine, and no proxy that speaks for somebody else.
    pub is_local: bool,
}

/// The proxies whose word on the client's address counts.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<Network>);

/// A text that is no address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no address; expected one such as 10.0.0.7, 10.0.0.0/8 or fd00::/8")]
pub struct NotAnAddress(String);

impl Proxies {
    /// Reads addresses and networks.
    ///
    /// # Errors
    /// At the first text that is neither.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, NotAnAddress> {
        texts
            .iter()
            .map(|text| {
                let text = text.as_ref();
                Network::parse(text).ok_or_else(|| NotAnAddress(text.to_owned()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The client: the peer itself, or, when that is a trusted proxy, the last address in `X-Forwarded-For` that is none.
    pub(super) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> Client {
        let peer = peer.ip().to_canonical();
        let forwarded = FORWARDING.iter().any(|name| headers.contains_key(*name));
        let told = || {
            headers
                .get_all("x-forwarded-for")
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .filter_map(|address| address.trim().parse::<IpAddr>().ok())
                .map(|address| address.to_canonical())
                .rfind(|address| !self.trusts(*address))
        };
        Client {
            address: if self.trusts(peer) { told().unwrap_or(peer) } else { peer },
            is_local: peer.is_loopback() && !forwarded,
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &[&str], peer: &str, forwarded_for: Option<&str>) -> (String, bool) {
        let mut headers = HeaderMap::new();
        if let Some(value) = forwarded_for {
            headers.insert("x-forwarded-for", value.parse().unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 9);
        let client = Proxies::parse(proxies).unwrap().client(peer, &headers);
        (client.address.to_string(), client.is_local)
    }

    #[test]
    fn only_a_trusted_proxy_speaks_for_others() {
        let hops = Some("1.1.1.1, 203.0.113.9, 10.2.3.4");
        assert_eq!(client(&["10.0.0.0/8"], "10.9.9.9", hops), ("203.0.113.9".into(), false));
        assert_eq!(client(&["10.0.0.1"], "192.0.2.1", hops), ("192.0.2.1".into(), false));
    }

    #[test]
    fn a_forwarded_request_is_never_local() {
        assert_eq!(client(&[], "127.0.0.1", None), ("127.0.0.1".into(), true));
        assert_eq!(client(&[], "::ffff:127.0.0.1", None), ("127.0.0.1".into(), true));
        assert_eq!(client(&[], "127.0.0.1", Some("::1")), ("127.0.0.1".into(), false));
    }

    #[test]
    fn what_is_no_address_is_named() {
        for text in ["", "proxy.example", "10.0.0.0/33", "::/129", "10.0.0.1/x"] {
            assert_eq!(Proxies::parse(&[text]).err(), Some(NotAnAddress(text.into())));
        }
        assert!(Proxies::parse(&["::/0", "0.0.0.0/0", "fd00::1"]).is_ok());
    }
}
