//! Rules that several sections share: names, addresses, durations.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use reqwest::Url;

use crate::settings::findings::Findings;

pub(super) const NAME: &str = "1 to 20 letters, digits, - and _";

/// Whether it can be a part of a call key.
pub(super) fn is_name(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether it can be the API name of a field or an object in Salesforce.
pub(super) fn is_api_name(text: &str) -> bool {
    text.len() <= 80
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether it is the SHA-256 of something in lower-case hex.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What an address must be.
pub(super) struct Address<'a> {
    pub(super) key: &'a str,
    pub(super) text: &'a str,
    /// The scheme with TLS and the one without.
    pub(super) schemes: [&'a str; 2],
    /// Plain text to other machines is allowed.
    pub(super) insecure: bool,
    /// The section whose `insecure` would allow it.
    pub(super) section: &'a str,
}

impl Address<'_> {
    /// Reads the address and tells what is wrong with it.
    pub(super) fn check(&self, findings: &mut Findings) -> Option<Url> {
        let [tls, plain] = self.schemes;
        let expected = format!("{tls}://HOST or {plain}://HOST on this machine");
        let Some(url) = self.url() else {
            findings.problem(self.key, "is no address", expected);
            return None;
        };
        if url.scheme() != tls && url.scheme() != plain {
            let what = format!("begins with {:?}", url.scheme());
            findings.problem(self.key, what, expected);
            return None;
        }
        if !url.username().is_empty() || url.password().is_some() {
            findings.problem(self.key, "holds a user or a password", "them in keys of their own");
            return None;
        }
        if url.scheme() == plain && !self.insecure && !is_loopback(&url) {
            let what = "would send secrets and callers in plain text to another machine";
            let expected = format!("{tls}://, or `insecure = true` in {}", self.section);
            findings.problem(self.key, what, expected);
        }
        Some(url)
    }

    fn url(&self) -> Option<Url> {
        Url::parse(self.text).ok().filter(|url| url.host_str().is_some_and(|host| !host.is_empty()))
    }
}

/// Whether an address leads to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    is_loopback_host(url.host_str().unwrap_or_default())
}

pub(super) fn is_loopback_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A duration within sensible bounds, in milliseconds.
pub(super) fn duration(key: &str, value: Duration, sensible: RangeInclusive<u64>, findings: &mut Findings) {
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    if !sensible.contains(&millis) {
        let expected = format!("{} to {}", shown(*sensible.start()), shown(*sensible.end()));
        findings.problem(key, format!("is {}", shown(millis)), expected);
    }
}

fn shown(millis: u64) -> String {
    match millis {
        0 => "0s".to_owned(),
        hours if hours.is_multiple_of(3_600_000) => format!("{}h", hours / 3_600_000),
        minutes if minutes.is_multiple_of(60_000) => format!("{}m", minutes / 60_000),
        seconds if seconds.is_multiple_of(1000) => format!("{}s", seconds / 1000),
        millis => format!("{millis}ms"),
    }
}
