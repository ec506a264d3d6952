//! One message: its start line, its header fields in their order, its body.

use std::borrow::Cow;

use super::address::NameAddr;
use super::fields::{CSeq, Via, split_outside};
use super::name::Name;
use super::uri::Uri;

/// A longer message is not read: more than a datagram can hold.
pub const MAX_BYTES: usize = 65_535;
/// More header lines than any machine sends.
const MAX_HEADERS: usize = 512;

/// Why octets are not taken for a message. Says nothing of what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("more than {MAX_HEADERS} header lines")]
    TooManyHeaders,
    #[error("nothing but line ends")]
    Empty,
    #[error("the first line is neither a request's nor a response's")]
    StartLine,
    #[error("a version of SIP other than 2.0")]
    Version,
}

/// Why a message that was read cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("{name} is missing or unreadable", name = .0.long())]
    Without(Name),
    #[error("{name} is there more than once", name = .0.long())]
    Twice(Name),
    #[error("the method is not the one in CSeq")]
    OtherMethod,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'a> {
    Request {
        method: &'a str,
        /// As written; [`Message::request_uri`] takes it apart.
        uri: &'a str,
    },
    Response {
        /// 100 to 699
        code: u16,
        reason: &'a [u8],
    },
}

#[derive(Debug, Clone)]
pub struct Message<'a> {
    pub start: StartLine<'a>,
    headers: Vec<Header<'a>>,
    /// As long as Content-Length says, or as there is, where that is less or Content-Length is not to be read.
    pub body: &'a [u8],
}

#[derive(Debug, Clone)]
struct Header<'a> {
    name: Option<Name>,
    text: &'a str,
    /// On one line, in UTF-8; octets that are none are taken for Latin-1.
    value: Cow<'a, str>,
}

/// What tells a message's call and place in it (RFC 3261 8.1.1).
#[derive(Debug, Clone)]
pub struct Essentials<'m> {
    pub call_id: &'m str,
    pub from: NameAddr<'m>,
    pub to: NameAddr<'m>,
    pub cseq: CSeq<'m>,
    /// Of the topmost Via; empty where it has none (RFC 2543).
    pub branch: &'m str,
}

impl<'a> Message<'a> {
    /// Reads one message that fills a datagram, or a frame of a stream. What follows the body is not looked at.
    ///
    /// Beyond the grammar: line ends may lack their CR, there may be some before the start line, and any number of blanks in it.
    ///
    /// # Errors
    /// When there is no start line, or too much of anything. No header is a reason.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        if bytes.len() > MAX_BYTES {
            return Err(Unreadable::TooLong);
        }
        let mut lines = Lines { rest: skip_line_ends(bytes) };
        let start = start_line(lines.next().ok_or(Unreadable::Empty)?)?;
        let headers = headers(&mut lines)?;
        let mut message = Self { start, headers, body: lines.rest };
        if let Some(length) = message.content_length() {
            message.body = message.body.get(..length).unwrap_or(message.body);
        }
        Ok(message)
    }

    /// The method of a request, or of the request that a response is to.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => self.cseq().map(|cseq| cseq.method),
        }
    }

    /// The code of a response.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { code, .. } => Some(code),
        }
    }

    #[must_use]
    pub fn request_uri(&self) -> Option<Uri<'a>> {
        match self.start {
            StartLine::Request { uri, .. } => Uri::read(uri),
            StartLine::Response { .. } => None,
        }
    }

    /// The first line of this name, whole.
    #[must_use]
    pub fn header(&self, name: Name) -> Option<&str> {
        self.lines(name).next()
    }

    /// All lines of this name, whole.
    pub fn lines(&self, name: Name) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |header| header.name == Some(name)).map(|header| header.value.as_ref())
    }

    /// All values of this name, in their order, however they are spread over lines.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &str> {
        let separator = if name.is_list() { b',' } else { b'\n' };
        self.lines(name).flat_map(move |line| split_outside(line, separator))
    }

    /// The first line of a name that is not among [`Name`]: `X-Call-Uuid`.
    #[must_use]
    pub fn other(&self, name: &str) -> Option<&str> {
        let named = |header: &&Header<'a>| header.name.is_none() && header.text.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|header| header.value.as_ref())
    }

    /// Names and values of the headers that are not among [`Name`].
    pub fn extensions(&self) -> impl Iterator<Item = (&str, &str)> {
        let unknown = self.headers.iter().filter(|header| header.name.is_none());
        unknown.map(|header| (header.text, header.value.as_ref()))
    }

    #[must_use]
    pub fn call_id(&self) -> Option<&str> {
        self.header(Name::CallId).filter(|id| !id.is_empty())
    }

    #[must_use]
    pub fn cseq(&self) -> Option<CSeq<'_>> {
        CSeq::read(self.header(Name::CSeq)?)
    }

    /// The first address of this name: From, To, Contact and their like.
    #[must_use]
    pub fn address(&self, name: Name) -> Option<NameAddr<'_>> {
        NameAddr::read(self.values(name).next()?)
    }

    /// The topmost Via.
    #[must_use]
    pub fn via(&self) -> Option<Via<'_>> {
        Via::read(self.values(Name::Via).next()?)
    }

    /// All that must be there to follow a call.
    ///
    /// # Errors
    /// What is missing, unreadable or there twice.
    pub fn essentials(&self) -> Result<Essentials<'_>, Unfit> {
        for name in [Name::CallId, Name::From, Name::To, Name::CSeq] {
            if self.lines(name).nth(1).is_some() {
                return Err(Unfit::Twice(name));
            }
        }
        let without = Unfit::Without;
        let call_id = self.call_id().ok_or(without(Name::CallId))?;
        let from = self.address(Name::From).ok_or(without(Name::From))?;
        let to = self.address(Name::To).ok_or(without(Name::To))?;
        let cseq = self.cseq().ok_or(without(Name::CSeq))?;
        if let StartLine::Request { method, .. } = self.start
            && method != cseq.method
        {
            return Err(Unfit::OtherMethod);
        }
        let branch = self.via().ok_or(without(Name::Via))?.branch();
        Ok(Essentials { call_id, from, to, cseq, branch })
    }

    fn content_length(&self) -> Option<usize> {
        self.header(Name::ContentLength)?.trim().parse().ok()
    }
}

fn skip_line_ends(bytes: &[u8]) -> &[u8] {
    let first = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    bytes.get(first..).unwrap_or_default()
}

/// Lines up to the empty one; `rest` is what follows.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n').unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..).unwrap_or_default();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn next_is_folded(&self) -> bool {
        matches!(self.rest.first(), Some(b' ' | b'\t'))
    }
}

fn start_line(line: &[u8]) -> Result<StartLine<'_>, Unreadable> {
    let line = line.trim_ascii();
    let blank = line.iter().position(u8::is_ascii_whitespace).ok_or(Unreadable::StartLine)?;
    let (first, rest) = line.split_at_checked(blank).ok_or(Unreadable::StartLine)?;
    let rest = rest.trim_ascii_start();
    if first.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/")) {
        return response(first, rest);
    }
    let blank = rest.iter().rposition(u8::is_ascii_whitespace).ok_or(Unreadable::StartLine)?;
    let (uri, version) = rest.split_at_checked(blank).ok_or(Unreadable::StartLine)?;
    let method = text(first).filter(|method| method.bytes().all(is_token)).ok_or(Unreadable::StartLine)?;
    let uri = text(uri.trim_ascii()).ok_or(Unreadable::StartLine)?;
    check_version(version.trim_ascii())?;
    Ok(StartLine::Request { method, uri })
}

fn response<'a>(version: &[u8], rest: &'a [u8]) -> Result<StartLine<'a>, Unreadable> {
    check_version(version)?;
    let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    let (code, reason) = rest.split_at_checked(end).ok_or(Unreadable::StartLine)?;
    let code = text(code).and_then(|code| code.parse().ok()).filter(|code| (100..=699).contains(code));
    Ok(StartLine::Response { code: code.ok_or(Unreadable::StartLine)?, reason: reason.trim_ascii() })
}

fn check_version(version: &[u8]) -> Result<(), Unreadable> {
    if version.eq_ignore_ascii_case(b"SIP/2.0") {
        return Ok(());
    }
    let named = version.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
    Err(if named { Unreadable::Version } else { Unreadable::StartLine })
}

/// RFC 3261 25.1, `token`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn headers<'a>(lines: &mut Lines<'a>) -> Result<Vec<Header<'a>>, Unreadable> {
    let mut headers = Vec::with_capacity(24);
    while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
        if headers.len() >= MAX_HEADERS {
            return Err(Unreadable::TooManyHeaders);
        }
        let mut header = header(line);
        unfold(lines, header.as_mut());
        headers.extend(header);
    }
    Ok(headers)
}

/// `None`: a line without a name is passed over.
fn header(line: &[u8]) -> Option<Header<'_>> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = text(name.trim_ascii()).filter(|name| !name.is_empty())?;
    let value = decode(value.get(1..)?.trim_ascii());
    Some(Header { name: Name::of(name), text: name, value })
}

/// Takes the lines that go on with the one before (RFC 3261 7.3.1).
fn unfold(lines: &mut Lines<'_>, mut header: Option<&mut Header<'_>>) {
    while lines.next_is_folded() {
        if let (Some(line), Some(header)) = (lines.next(), header.as_mut()) {
            let value = header.value.to_mut();
            value.push(' ');
            value.push_str(&decode(line.trim_ascii()));
        }
    }
}

fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}
