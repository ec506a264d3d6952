//! The smaller values of header fields: parameters, lists, `CSeq` and `Via`.

/// The parts of a value between separators, those inside quotes and angle brackets not counted; each trimmed, none empty.
pub fn split_outside(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let now = rest?;
        let at = end_outside(now, separator);
        let (part, after) = now.split_at_checked(at).unwrap_or((now, ""));
        rest = after.get(1..);
        Some(part.trim())
    })
    .filter(|part| !part.is_empty())
}

/// Where the separator first stands outside quotes and angle brackets, else the end.
fn end_outside(text: &str, separator: u8) -> usize {
    let (mut quoted, mut angle, mut escaped) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !angle => quoted = !quoted,
            b'<' if !quoted => angle = true,
            b'>' if !quoted => angle = false,
            _ if byte == separator && !quoted && !angle => return at,
            _ => {}
        }
    }
    text.len()
}

/// `;name=value;flag`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Params<'a>(pub &'a str);

impl<'a> Params<'a> {
    /// The value of a parameter, without its quotes; empty for a flag.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        split_outside(self.0, b';').map(|part| match part.split_once('=') {
            Some((name, value)) => (name.trim(), unquote(value.trim())),
            None => (part, ""),
        })
    }
}

/// Without the quotes around it; escapes inside stay.
pub(super) fn unquote(text: &str) -> &str {
    text.strip_prefix('"').map_or(text, |inner| inner.strip_suffix('"').unwrap_or(inner))
}

/// RFC 3261 20.16
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeq<'a> {
    pub number: u32,
    pub method: &'a str,
}

impl<'a> CSeq<'a> {
    /// Below 2^31, as RFC 3261 8.1.1.5 has it.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let (number, method) = text.trim().split_once(|c: char| c.is_ascii_whitespace())?;
        let number = number.parse().ok().filter(|number| *number < 1 << 31)?;
        let method = method.trim();
        (!method.is_empty()).then_some(Self { number, method })
    }
}

/// RFC 3261 20.42
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, …
    pub transport: &'a str,
    /// Without the brackets of an IPv6 address.
    pub host: &'a str,
    pub port: Option<u16>,
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// `SIP/2.0/UDP 192.0.2.1:5060;branch=…`, with white space wherever the grammar allows it.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let (_, rest) = text.split_once('/')?;
        let (_, rest) = rest.split_once('/')?;
        let rest = rest.trim_start();
        let (transport, rest) = rest.split_once(|c: char| c.is_ascii_whitespace())?;
        let (sent_by, params) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = host_and_port(sent_by);
        (!host.is_empty()).then_some(Self { transport, host, port, params: Params(params) })
    }

    #[must_use]
    pub fn branch(&self) -> &'a str {
        self.params.get("branch").unwrap_or_default()
    }
}

/// `example.com:5060`, `[2001:db8::1]:5060`; an unreadable port is none.
pub(super) fn host_and_port(text: &str) -> (&str, Option<u16>) {
    let text = text.trim();
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.trim_start().strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host.trim_end(), Some(port)),
            None => (text, None),
        },
    };
    (host, port.and_then(|port| port.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_quotes_and_brackets_separate_nothing() {
        let text = r#""a, \"b" <sip:x@y;p,q>;r=1 , <sip:z> ,, "#;
        assert_eq!(split_outside(text, b',').collect::<Vec<_>>(), [r#""a, \"b" <sip:x@y;p,q>;r=1"#, "<sip:z>"]);
    }

    #[test]
    fn parameters_lose_their_quotes_and_case() {
        let params = Params(r#";Text="a;b" ; LR;x = 1"#);
        assert_eq!(params.get("text"), Some("a;b"));
        assert_eq!(params.get("lr"), Some(""));
        assert_eq!(params.get("X"), Some("1"));
        assert_eq!(params.get("y"), None);
    }

    #[test]
    fn a_via_may_be_spread_out() {
        let via = Via::read("SIP  / 2.0\t / UDP   [2001:db8::1] : 5060 ;branch=z9hG4bK1 ; rport").unwrap();
        assert_eq!((via.transport, via.host, via.port), ("UDP", "2001:db8::1", Some(5060)));
        assert_eq!(via.branch(), "z9hG4bK1");
        assert_eq!(Via::read("SIP/2.0/TCP"), None);
    }

    #[test]
    fn a_cseq_has_a_number_below_two_to_the_31() {
        assert_eq!(CSeq::read(" 0009  INVITE "), Some(CSeq { number: 9, method: "INVITE" }));
        for text in ["2147483648 INVITE", "-1 INVITE", "1", "INVITE", ""] {
            assert_eq!(CSeq::read(text), None, "{text}");
        }
    }
}
