//! Checks the section `[http]`.

use reqwest::Url;

use super::rules::{is_loopback, is_loopback_host};
use crate::http::{Config, Proxies};
use crate::settings::findings::Findings;

pub(super) fn check(http: &Config, findings: &mut Findings) {
    listen(http, findings);
    public_url(http, findings);
    match (http.tls_certificate.is_empty(), http.tls_key.is_empty()) {
        (true, true) => {}
        (false, false) => {
            findings.warning("http.tls_certificate", "not built yet: HTTP is served without TLS; put a proxy in front");
        }
        (true, false) => findings.problem("http.tls_certificate", "is not set though tls_key is", "both or none"),
        (false, true) => findings.problem("http.tls_key", "is not set though tls_certificate is", "both or none"),
    }
    if !http.admin_token.is_empty() && http.admin_token.expose().len() < 16 {
        findings.warning("http.admin_token", "is shorter than 16 characters and may be guessed");
    }
    if let Err(error) = Proxies::parse(&http.trusted_proxies) {
        let message = error.to_string();
        let (what, expected) = message.split_once("; expected ").unwrap_or((&message, "addresses"));
        findings.problem("http.trusted_proxies", what, expected);
    }
}

fn listen(http: &Config, findings: &mut Findings) {
    let parts = http.listen.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
    let Some((host, Ok(_port))) = parts.filter(|(host, _)| is_host(host)) else {
        findings.problem("http.listen", "is no address and port", "an address and port such as \"127.0.0.1:8460\"");
        return;
    };
    if !is_loopback_host(host) {
        let text = "answers other machines in plain text; put a proxy with TLS in front, or listen on 127.0.0.1";
        findings.warning("http.listen", text);
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)),
    }
}

fn public_url(http: &Config, findings: &mut Findings) {
    if http.public_url.is_empty() {
        return;
    }
    let url = Url::parse(&http.public_url).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none()
    });
    match url {
        None => findings.problem("http.public_url", "is no address", "an address such as \"https://cti.example.com\""),
        Some(url) if url.scheme() == "http" && !is_loopback(&url) => {
            findings.warning("http.public_url", "agents' tokens travel in plain text over http://");
        }
        Some(_) => {}
    }
}
