//! Where the PBX is: what `server` says, and the addresses that it comes to.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::Config;
use crate::feeds::sip::{Scheme, Uri};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`server` must be like sip:pbx.example:5060;transport=tcp, with udp, tcp or tls")]
pub struct BadServer;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    /// `None`: by SRV where the DNS has it, else the transport's own.
    pub port: Option<u16>,
    pub transport: Transport,
    /// Of the addresses that are subscribed to.
    pub domain: String,
}

impl Transport {
    /// As Via spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// As a URI's parameter spells it, with the semicolon; UDP needs none.
    #[must_use]
    pub fn param(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }
}

impl Server {
    pub fn of(config: &Config) -> Result<Self, BadServer> {
        let uri = Uri::read(&config.server).ok_or(BadServer)?;
        let transport = match (uri.scheme, uri.params.get("transport").map(str::to_ascii_lowercase).as_deref()) {
            (Scheme::Sips, None | Some("tls" | "tcp")) | (Scheme::Sip, Some("tls")) => Transport::Tls,
            (Scheme::Sip, None | Some("udp")) => Transport::Udp,
            (Scheme::Sip, Some("tcp")) => Transport::Tcp,
            (Scheme::Sip | Scheme::Sips | Scheme::Tel | Scheme::Other(_), _) => return Err(BadServer),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
        if uri.host.is_empty() || !uri.host.chars().all(is_host) {
            return Err(BadServer);
        }
        let host = uri.host.to_owned();
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let domain = if config.domain.is_empty() { bracketed } else { config.domain.clone() };
        Ok(Self { host, port: uri.port, transport, domain })
    }

    /// Whether nothing leaves this machine on the way to it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// The addresses to try, in their order.
    pub async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let port = self.port.unwrap_or(self.transport.port());
        Ok(tokio::net::lookup_host((self.host.as_str(), port)).await?.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    pub fn config(server: &str) -> Config {
        Config {
            name: "pbx1".to_owned(),
            server: server.to_owned(),
            domain: String::new(),
            username: "cti".to_owned(),
            password: Secret::new("secret"),
            extensions: Vec::new(),
            list: String::new(),
            same_pbx_as: String::new(),
            ca_file: String::new(),
            insecure: false,
        }
    }

    #[test]
    fn a_server_is_read_with_its_transport() {
        for (text, transport, port, host) in [
            ("sip:pbx.example:5070;transport=tcp", Transport::Tcp, Some(5070), "pbx.example"),
            ("sip:pbx.example", Transport::Udp, None, "pbx.example"),
            ("sips:pbx.example", Transport::Tls, None, "pbx.example"),
            ("sip:[2001:db8::1]:5061;transport=TLS", Transport::Tls, Some(5061), "2001:db8::1"),
        ] {
            let server = Server::of(&config(text)).unwrap();
            assert_eq!((server.transport, server.port, server.host.as_str()), (transport, port, host), "{text}");
        }
        assert_eq!(Server::of(&config("sip:[2001:db8::1]")).unwrap().domain, "[2001:db8::1]");
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for text in ["pbx.example", "", "tel:+49", "sip:", "sip:a b", "sip:x;transport=sctp", "sips:x;transport=udp"] {
            assert_eq!(Server::of(&config(text)), Err(BadServer), "{text}");
        }
    }
}
