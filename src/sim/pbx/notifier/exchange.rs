//! A recorded exchange between a watcher and a PBX: the messages as they were, with their times.
//!
//! Each is preceded by a line, `### UNIX-TIME send|recv TRANSPORT BYTES` or `--- out|in TIME BYTES bytes`, and followed by a line end
//! that is not part of it.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

#[derive(Debug, Clone)]
pub struct Exchange {
    pub messages: Vec<Recorded>,
}

#[derive(Debug, Clone)]
pub struct Recorded {
    pub at: Timestamp,
    pub by_watcher: bool,
    pub text: String,
}

/// What a PBX told of one extension.
#[derive(Debug, Clone)]
pub struct Notification {
    pub at: Timestamp,
    pub extension: String,
    /// Of the subscription: `active`, `pending` or `terminated`.
    pub state: String,
    /// Empty where there is none.
    pub content_type: String,
    pub body: String,
}

impl Exchange {
    /// # Errors
    /// When the file cannot be read, or a line that tells of a message is not understood.
    pub fn load(path: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(path)?;
        let mut messages = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at_checked(end).unwrap_or_default();
            let line = String::from_utf8_lossy(line).into_owned();
            let after = after.get(1..).unwrap_or_default();
            if line.trim().is_empty() {
                rest = after;
                continue;
            }
            let (at, by_watcher, length) = heading(&line).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{}: `{line}` is no heading of a message", path.display()),
                )
            })?;
            let text = String::from_utf8_lossy(after.get(..length).unwrap_or(after)).into_owned();
            messages.push(Recorded { at, by_watcher, text });
            rest = after.get(length..).unwrap_or_default();
        }
        Ok(Self { messages })
    }

    /// All that the PBX notified, in order.
    #[must_use]
    pub fn notifications(&self) -> Vec<Notification> {
        self.messages.iter().filter(|message| !message.by_watcher).filter_map(notification).collect()
    }

    /// Those of which something was notified.
    #[must_use]
    pub fn extensions(&self) -> Vec<String> {
        let all: std::collections::BTreeSet<String> = self.notifications().into_iter().map(|it| it.extension).collect();
        all.into_iter().collect()
    }

    /// From the first message to the last.
    #[must_use]
    pub fn length(&self) -> Duration {
        match (self.messages.first(), self.messages.last()) {
            (Some(first), Some(last)) => last.at.duration_since(first.at).unsigned_abs(),
            _ => Duration::ZERO,
        }
    }
}

fn heading(line: &str) -> Option<(Timestamp, bool, usize)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["###", at, way, _transport, length] => {
            let seconds: f64 = at.parse().ok()?;
            let at = Timestamp::UNIX_EPOCH + Duration::try_from_secs_f64(seconds).ok()?;
            Some((at, *way == "send", length.parse().ok()?))
        }
        ["---", way, at, length, "bytes"] => Some((at.parse().ok()?, *way == "out", length.parse().ok()?)),
        _ => None,
    }
}

fn notification(message: &Recorded) -> Option<Notification> {
    let (head, body) = message.text.split_once("\r\n\r\n")?;
    if !head.starts_with("NOTIFY ") {
        return None;
    }
    let from = field(head, "From")?;
    let extension = from.split_once("sip:")?.1.split(['@', '>', ';']).next()?.to_owned();
    let state = field(head, "Subscription-State")?.split(';').next()?.trim().to_owned();
    let content_type = field(head, "Content-Type").unwrap_or_default();
    Some(Notification { at: message.at, extension, state, content_type, body: body.to_owned() })
}

/// The first value of a header field.
#[must_use]
pub fn field(head: &str, name: &str) -> Option<String> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(found, value)| found.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned()))
}
