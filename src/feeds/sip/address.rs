//! A name, an address and its parameters: the form of From, To, Contact and their like (RFC 3261 20.10).

use std::borrow::Cow;

use super::fields::Params;
use super::uri::Uri;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// Its quotes and escapes resolved; empty where there is none.
    pub display: Cow<'a, str>,
    pub uri: Uri<'a>,
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// `"Alice" <sip:alice@example.com>;tag=1`, or without the brackets: then parameters are the field's, not the URI's.
    /// A quote that is not closed and a name that should have been quoted are tolerated.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (display, rest) = display(text);
        if let Some(inner) = rest.strip_prefix('<') {
            let (uri, params) = inner.split_once('>').unwrap_or((inner, ""));
            return Some(Self { display, uri: Uri::read(uri)?, params: Params(params) });
        }
        let (uri, params) = rest.split_once(';').unwrap_or((rest, ""));
        Some(Self { display, uri: Uri::read(uri)?, params: Params(params) })
    }

    #[must_use]
    pub fn tag(&self) -> &'a str {
        self.params.get("tag").unwrap_or_default()
    }
}

/// The name before the address, and the rest.
fn display(text: &str) -> (Cow<'_, str>, &str) {
    if let Some(inner) = text.strip_prefix('"')
        && let Some(end) = closing_quote(inner)
    {
        let (name, rest) = inner.split_at_checked(end).unwrap_or((inner, ""));
        return (resolve(name), rest.get(1..).unwrap_or_default().trim_start());
    }
    match text.find('<').and_then(|at| text.split_at_checked(at)) {
        Some((name, rest)) => (Cow::Borrowed(name.trim().trim_start_matches('"')), rest),
        None => (Cow::Borrowed(""), text),
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// Takes the backslashes out of a quoted text.
fn resolve(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        clean.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, String) {
        let read = NameAddr::read(text).unwrap();
        (read.display.clone().into_owned(), read.uri.who().into_owned(), read.tag().to_owned())
    }

    #[test]
    fn names_addresses_and_tags_come_apart() {
        for (text, display, who, tag) in [
            ("sip:a@b;tag=1", "", "a", "1"),
            ("<sip:a@b;tag=2>;tag=1", "", "a", "1"),
            ("Alice Smith<sip:a@b>;tag=1", "Alice Smith", "a", "1"),
            (r#""A \"<sip:x@y>\", \\ B" <sip:a@b> ; tag = 1"#, r#"A "<sip:x@y>", \ B"#, "a", "1"),
            (r#""no end <sip:a@b>"#, "no end", "a", ""),
            ("Bell, Alexander <sip:a@b>", "Bell, Alexander", "a", ""),
            ("\"Thomas\" < sip:a@b >", "Thomas", "a", ""),
            ("<tel:+447700900123>;tag=x", "", "+447700900123", "x"),
            (r#"<sip:a@b;x>;+sip.instance="<urn:uuid:1>";tag=1"#, "", "a", "1"),
            ("<sip:a@b", "", "a", ""),
        ] {
            assert_eq!(parts(text), (display.into(), who.into(), tag.into()), "{text}");
        }
    }

    #[test]
    fn what_holds_no_address_is_none() {
        for text in ["", "*", "\"Alice\"", "<>", "Alice"] {
            assert_eq!(NameAddr::read(text), None, "{text}");
        }
    }
}
