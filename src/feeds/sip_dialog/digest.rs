//! Digest authentication of our requests (RFC 7616, RFC 8760): MD5, SHA-256 and SHA-512-256, each with and without `-sess`.

use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512_256};

use crate::feeds::sip::split_outside;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
    Sha512,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Qop {
    Auth,
    AuthInt,
}

/// What a server asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// It comes from a proxy on the way (407), not from the server (401).
    pub by_proxy: bool,
    /// The nonce was too old; the password may be right.
    pub is_stale: bool,
    pub nonce: String,
    pub realm: String,
    opaque: Option<String>,
    /// As the server spells it; it goes back so.
    algorithm: Option<String>,
    hash: Hash,
    session: bool,
    qop: Option<Qop>,
}

/// Who we are.
pub struct Credentials<'a> {
    pub username: &'a str,
    pub password: &'a str,
}

/// The request that is to be let through.
pub struct Asked<'a> {
    pub method: &'a str,
    pub uri: &'a str,
    pub cnonce: &'a str,
    /// How often this nonce has been used, this time included.
    pub count: u32,
}

impl Challenge {
    /// One value of `WWW-Authenticate` or `Proxy-Authenticate`. `None`: another scheme, or an algorithm or `qop` that is not known,
    /// which is to be passed over (RFC 7616 3.7).
    #[must_use]
    pub fn read(text: &str, by_proxy: bool) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(|c: char| c.is_ascii_whitespace())?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let fields: Vec<(&str, &str)> = split_outside(rest, b',')
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.trim(), unquote(value.trim())))
            .collect();
        let field = |name: &str| fields.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        let algorithm = field("algorithm");
        let (hash, session) = hash(algorithm.unwrap_or("MD5"))?;
        Some(Self {
            by_proxy,
            is_stale: field("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            nonce: field("nonce")?.to_owned(),
            realm: field("realm").unwrap_or_default().to_owned(),
            opaque: field("opaque").map(str::to_owned),
            algorithm: algorithm.map(str::to_owned),
            hash,
            session,
            qop: match field("qop") {
                None | Some("") => None,
                Some(offered) => Some(qop(offered)?),
            },
        })
    }

    /// The value of `Authorization` or `Proxy-Authorization` for a request without a body.
    #[must_use]
    pub fn answer(&self, who: &Credentials<'_>, asked: &Asked<'_>) -> String {
        let Asked { method, uri, cnonce, count } = asked;
        let (realm, nonce) = (&self.realm, &self.nonce);
        let mut secret = self.hex(&format!("{}:{realm}:{}", who.username, who.password));
        if self.session {
            secret = self.hex(&format!("{secret}:{nonce}:{cnonce}"));
        }
        let request = match self.qop {
            Some(Qop::AuthInt) => self.hex(&format!("{method}:{uri}:{}", self.hex(""))),
            Some(Qop::Auth) | None => self.hex(&format!("{method}:{uri}")),
        };
        let word = match self.qop {
            Some(Qop::AuthInt) => "auth-int",
            Some(Qop::Auth) | None => "auth",
        };
        let response = match self.qop {
            Some(_) => self.hex(&format!("{secret}:{nonce}:{count:08x}:{cnonce}:{word}:{request}")),
            None => self.hex(&format!("{secret}:{nonce}:{request}")),
        };
        let username = who.username.replace('\\', "\\\\").replace('"', "\\\"");
        let mut text = format!(
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\""
        );
        if let Some(algorithm) = &self.algorithm {
            let _ = write!(text, ", algorithm={algorithm}");
        }
        if self.qop.is_some() {
            let _ = write!(text, ", qop={word}, nc={count:08x}");
        }
        if self.qop.is_some() || self.session {
            let _ = write!(text, ", cnonce=\"{cnonce}\"");
        }
        if let Some(opaque) = &self.opaque {
            let _ = write!(text, ", opaque=\"{opaque}\"");
        }
        text
    }

    /// The header field that takes the answer.
    #[must_use]
    pub fn field(&self) -> &'static str {
        if self.by_proxy { "Proxy-Authorization" } else { "Authorization" }
    }

    fn hex(&self, text: &str) -> String {
        match self.hash {
            Hash::Md5 => hex(&Md5::digest(text)),
            Hash::Sha256 => hex(&Sha256::digest(text)),
            Hash::Sha512 => hex(&Sha512_256::digest(text)),
        }
    }
}

/// Escapes inside stay: they go into the hash, and back, as they came.
fn unquote(text: &str) -> &str {
    text.strip_prefix('"').map_or(text, |inner| inner.strip_suffix('"').unwrap_or(inner))
}

fn hash(word: &str) -> Option<(Hash, bool)> {
    let word = word.to_ascii_uppercase();
    let (name, session) = word.strip_suffix("-SESS").map_or((word.as_str(), false), |name| (name, true));
    let hash = match name {
        "MD5" => Hash::Md5,
        "SHA-256" => Hash::Sha256,
        "SHA-512-256" => Hash::Sha512,
        _ => return None,
    };
    Some((hash, session))
}

fn qop(offered: &str) -> Option<Qop> {
    let offers = |word: &str| offered.split(',').any(|it| it.trim().eq_ignore_ascii_case(word));
    if offers("auth") { Some(Qop::Auth) } else { offers("auth-int").then_some(Qop::AuthInt) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(answer: &str) -> &str {
        answer.split("response=\"").nth(1).unwrap().split('"').next().unwrap()
    }

    /// RFC 7616 3.9.1
    #[test]
    fn the_examples_of_the_standard_come_out() {
        let rest = r#"realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
        let who = Credentials { username: "Mufasa", password: "Circle of Life" };
        let asked = Asked {
            method: "GET",
            uri: "/dir/index.html",
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            count: 1,
        };
        for (algorithm, expected) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let challenge = Challenge::read(&format!("Digest {rest}, algorithm={algorithm}"), false).unwrap();
            let answer = challenge.answer(&who, &asked);
            assert_eq!(response(&answer), expected);
            assert!(answer.contains(&format!("algorithm={algorithm}, qop=auth, nc=00000001")), "{answer}");
        }
    }

    /// Recorded on Kamailio 5.6: a phone that it let in with these.
    #[test]
    fn an_answer_that_a_real_server_took_comes_out() {
        let text = r#"Digest realm="pbx.example", nonce="awHWXWsB1TFhpi8qqDUdethO7gRYrnT3", qop="auth""#;
        let who = Credentials { username: "cti", password: "ctisecret" };
        let asked = Asked { method: "SUBSCRIBE", uri: "sip:201@pbx.example", cnonce: "05d4652f8091a574", count: 1 };
        let answer = Challenge::read(text, false).unwrap().answer(&who, &asked);
        assert_eq!(response(&answer), "a2991f875612779a8d3724c402b15852");
    }

    /// RFC 2617 3.2.2.2, computed with coreutils: H(H(H(a:r:p):n:c):n:00000002:c:auth:H(SUBSCRIBE:sip:x)).
    #[test]
    fn a_session_binds_the_nonces_and_the_count_is_hexadecimal() {
        let challenge =
            Challenge::read(r#"Digest realm="r", nonce="n", algorithm=MD5-sess, qop="auth""#, true).unwrap();
        let who = Credentials { username: "a", password: "p" };
        let asked = Asked { method: "SUBSCRIBE", uri: "sip:x", cnonce: "c", count: 26 };
        let answer = challenge.answer(&who, &asked);
        assert!(answer.contains("nc=0000001a"), "{answer}");
        assert_eq!(challenge.field(), "Proxy-Authorization");
        let plain = Challenge::read(r#"Digest realm="r", nonce="n", qop="auth""#, true).unwrap();
        assert_ne!(response(&plain.answer(&who, &asked)), response(&answer));
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        for text in [
            "Basic realm=\"x\"",
            "Digest realm=\"x\", nonce=\"n\", algorithm=SHA-3",
            "Digest realm=\"x\", nonce=\"n\", qop=\"token\"",
            "Digest realm=\"x\"",
            "Digest",
            "",
        ] {
            assert_eq!(Challenge::read(text, false), None, "{text}");
        }
    }
}
