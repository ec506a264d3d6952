//! Messages on a stream: each as long as its Content-Length says (RFC 3261 18.3).

use super::message::{MAX_BYTES, Message};
use super::name::Name;

/// Why a stream cannot be followed any further: it is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStream {
    #[error("a message longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("a message whose end cannot be found: its Content-Length is no number")]
    NoLength,
    #[error("something that is no SIP message")]
    NotSip,
}

/// Cuts what comes over a stream into messages. Holds no more than one message and what was pushed last.
#[derive(Debug, Default)]
pub struct Frames {
    waiting: Vec<u8>,
    /// No end of the headers begins before here.
    searched: usize,
}

impl Frames {
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next whole message's octets; `None` until more is pushed. Line ends between messages (keep-alives, RFC 5626 3.5.1) are
    /// passed over. A message without Content-Length, which a stream must not carry, is taken to have no body.
    ///
    /// # Errors
    /// When the end of a message cannot be found.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, BadStream> {
        self.skip_line_ends();
        let Some(head) = self.head() else {
            return if self.waiting.len() > MAX_BYTES { Err(BadStream::TooLong) } else { Ok(None) };
        };
        let length = body_length(self.waiting.get(..head).unwrap_or_default())?;
        let whole = head.saturating_add(length);
        if whole > MAX_BYTES {
            return Err(BadStream::TooLong);
        }
        if self.waiting.len() < whole {
            return Ok(None);
        }
        self.searched = 0;
        Ok(Some(self.waiting.drain(..whole).collect()))
    }

    fn skip_line_ends(&mut self) {
        let first = self.waiting.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(self.waiting.len());
        if first > 0 {
            self.waiting.drain(..first);
            self.searched = 0;
        }
    }

    /// The length of start line and headers with the empty line behind them.
    fn head(&mut self) -> Option<usize> {
        let unsearched = self.waiting.get(self.searched..)?;
        let mut ends = unsearched.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
        let found = ends.find_map(|at| match unsearched.get(at + 1..)? {
            [b'\n', ..] => Some(at + 2),
            [b'\r', b'\n', ..] => Some(at + 3),
            _ => None,
        });
        if found.is_none() {
            // The last three octets may be the beginning of the end.
            self.searched = self.waiting.len().saturating_sub(3);
        }
        found.map(|end| self.searched + end)
    }
}

fn body_length(head: &[u8]) -> Result<usize, BadStream> {
    if head.len() > MAX_BYTES {
        return Err(BadStream::TooLong);
    }
    let message = Message::read(head).map_err(|_| BadStream::NotSip)?;
    let Some(length) = message.header(Name::ContentLength) else {
        return Ok(0);
    };
    length.trim().parse().map_err(|_| BadStream::NoLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[u8] = b"OPTIONS sip:x SIP/2.0\r\nl : 3\r\n\r\nabc";

    fn frames(stream: &[u8], step: usize) -> Result<Vec<Vec<u8>>, BadStream> {
        let (mut frames, mut out) = (Frames::default(), Vec::new());
        for piece in stream.chunks(step) {
            frames.push(piece);
            while let Some(frame) = frames.next_frame()? {
                out.push(frame);
            }
        }
        Ok(out)
    }

    #[test]
    fn messages_are_cut_at_their_lengths_however_they_arrive() {
        let bare = b"SIP/2.0 200 OK\nContent-Length: 0\n\n".as_slice();
        let stream = [b"\r\n\r\n", OPTIONS, b"\r\n", bare, OPTIONS].concat();
        for step in 1..stream.len() {
            assert_eq!(frames(&stream, step).unwrap(), [OPTIONS, bare, OPTIONS], "{step}");
        }
    }

    #[test]
    fn a_message_without_a_length_has_no_body() {
        let stream = [b"OPTIONS sip:x SIP/2.0\r\nv: x\r\n\r\n".as_slice(), OPTIONS].concat();
        assert_eq!(frames(&stream, 7).unwrap().len(), 2);
    }

    #[test]
    fn what_cannot_be_framed_ends_the_stream() {
        assert_eq!(frames(b"OPTIONS sip:x SIP/2.0\r\nl: -1\r\n\r\n", 9), Err(BadStream::NoLength));
        assert_eq!(frames(b"OPTIONS sip:x SIP/2.0\r\nl: 65535\r\n\r\n", 9), Err(BadStream::TooLong));
        assert_eq!(frames(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 9), Err(BadStream::NotSip));
        assert_eq!(frames(&vec![b'x'; 70_000], 1000), Err(BadStream::TooLong));
    }
}
