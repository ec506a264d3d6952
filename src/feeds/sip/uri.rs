//! A URI as SIP has it (RFC 3261 19.1, RFC 3966), taken apart and not judged.

use std::borrow::Cow;

use super::fields::{Params, host_and_port};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme<'a> {
    Sip,
    Sips,
    Tel,
    /// Kept as it is; all behind it is in `user`.
    Other(&'a str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    pub scheme: Scheme<'a>,
    /// As written, with its escapes and its own parameters, without the password. Of `tel:` the number.
    pub user: &'a str,
    /// Without the brackets of an IPv6 address. Empty for other schemes than `sip:` and `sips:`.
    pub host: &'a str,
    pub port: Option<u16>,
    pub params: Params<'a>,
    /// What follows the question mark: `Replaces=…`, escaped.
    pub headers: &'a str,
}

impl<'a> Uri<'a> {
    /// White space and angle brackets around it are tolerated. `None` where there is no scheme.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('<').map_or(text, |inner| inner.strip_suffix('>').unwrap_or(inner)).trim();
        let (scheme, rest) = text.split_once(':')?;
        let rest = rest.trim();
        let (scheme, of_sip) = match scheme {
            "" => return None,
            _ if scheme.eq_ignore_ascii_case("sip") => (Scheme::Sip, true),
            _ if scheme.eq_ignore_ascii_case("sips") => (Scheme::Sips, true),
            _ if scheme.eq_ignore_ascii_case("tel") => (Scheme::Tel, false),
            other if is_scheme(other) => (Scheme::Other(other), false),
            _ => return None,
        };
        if of_sip {
            return Some(Self::of_sip(scheme, rest));
        }
        let (user, params) = match scheme {
            Scheme::Tel => rest.split_once(';').unwrap_or((rest, "")),
            Scheme::Sip | Scheme::Sips | Scheme::Other(_) => (rest, ""),
        };
        Some(Self { scheme, user, host: "", port: None, params: Params(params), headers: "" })
    }

    fn of_sip(scheme: Scheme<'a>, rest: &'a str) -> Self {
        // A question mark may stand in the user part.
        let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let user = user.split_once(':').map_or(user, |(user, _password)| user);
        let (rest, headers) = rest.split_once('?').unwrap_or((rest, ""));
        let (place, params) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = host_and_port(place);
        Self { scheme, user, host, port, params: Params(params), headers }
    }

    /// Who it is: the user part or number without its parameters, its escapes resolved.
    #[must_use]
    pub fn who(&self) -> Cow<'a, str> {
        let user = self.user.split_once(';').map_or(self.user, |(user, _)| user);
        unescape(user)
    }

    /// A header that the URI asks to be set: `Replaces`, its escapes resolved.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        let pairs = self.headers.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| unescape(value))
    }
}

fn is_scheme(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Resolves `%41`; what is no escape stays. An escaped NUL or line end is no text and stays, too.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        let (byte, after) = match escaped.filter(|byte| *byte >= 0x20) {
            Some(byte) => (byte, after.get(2..).unwrap_or_default()),
            None => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_comes_apart() {
        let uri =
            Uri::read("sips:alice:secret@[2001:db8::9]:5061;transport=tcp;lr?Replaces=a%40b%3Bto-tag%3D1").unwrap();
        assert_eq!((uri.scheme, uri.user, uri.host, uri.port), (Scheme::Sips, "alice", "2001:db8::9", Some(5061)));
        assert_eq!(uri.params.get("transport"), Some("tcp"));
        assert_eq!(uri.header("replaces").as_deref(), Some("a@b;to-tag=1"));
    }

    #[test]
    fn who_is_meant_is_free_of_escapes_and_parameters() {
        for (text, who) in [
            ("sip:+44%2079%41@example.com;user=phone", "+44 79A"),
            ("sip:user;par=u%40example.net@example.com", "user"),
            ("tel:+44-7700-900123;phone-context=x", "+44-7700-900123"),
            ("<sip:101@pbx>", "101"),
            ("sip:pbx.example", ""),
            ("sip:null-%00-null@example.com", "null-%00-null"),
            ("sip:%E4@x", "\u{fffd}"),
            ("http://example.com/x", "//example.com/x"),
            ("sip:100%@x", "100%"),
        ] {
            assert_eq!(Uri::read(text).unwrap().who(), who, "{text}");
        }
    }

    #[test]
    fn without_a_scheme_it_is_none() {
        for text in ["", "101", ":101", "\"x\" 1:2", "<>"] {
            assert_eq!(Uri::read(text), None, "{text}");
        }
    }
}
