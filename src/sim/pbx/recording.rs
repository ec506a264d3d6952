//! Plays what a real Asterisk once sent, frame for frame, with the snapshots and cuts that went with it.
//!
//! Beside `NAME.jsonl`, one frame a line, there may be `NAME.vars.json` (`{"CHANNEL ID": {"VARIABLE": "value"}}`) and `NAME.rest.json`
//! (`{"connections": [{"from_line": 1, "channels": […], "bridges": […]}]}`, lines counted from 1).

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::asterisk::Asterisk;
use super::clock::from_text;

/// How long a client may take to connect, at first or after a cut.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// How long the play holds back for a client that reads no snapshot; one that does is waited for no longer than it takes.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(2);

/// How fast to play.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// Without waits, but never faster than the socket is read.
    /// Variables of channels that have ended are answered meanwhile, since every question comes late.
    AsFast,
    /// So many times as fast as it was: 1.0 is real time, 10.0 a tenth of it.
    Times(f64),
}

/// A recorded file, in memory.
#[derive(Debug, Clone)]
pub struct Recording {
    frames: Vec<Frame>,
    variables: BTreeMap<String, BTreeMap<String, String>>,
    connections: Vec<Connection>,
}

#[derive(Debug, Clone)]
struct Frame {
    text: String,
    time: Option<Timestamp>,
    /// From the first frame's time stamp; never less than that of a frame before.
    at: Duration,
}

/// What REST said when a connection was opened, and the line with which its frames begin.
#[derive(Debug, Clone, Deserialize)]
struct Connection {
    from_line: usize,
    channels: Vec<Value>,
    bridges: Vec<Value>,
    closed: Option<Closed>,
}

/// How a connection ended.
#[derive(Debug, Clone, Deserialize)]
struct Closed {
    at: Timestamp,
}

#[derive(Deserialize)]
struct Rest {
    connections: Vec<Connection>,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not what it should be: {source}", path = path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlayError {
    #[error("no client connected in time")]
    NobodyConnected,
    #[error("the client did not come back in time after the cut before line {0}")]
    DidNotComeBack(usize),
}

impl Recording {
    /// Reads `NAME.jsonl` and what lies beside it.
    ///
    /// # Errors
    /// A file cannot be read, or a sibling is not of the shape above.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let text = read(path)?;
        let variables = sibling(path, "vars.json")?.unwrap_or_default();
        let connections = sibling::<Rest>(path, "rest.json")?.map(|rest| rest.connections).unwrap_or_default();
        Ok(Self { frames: frames(&text), variables, connections })
    }

    /// How many frames there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The time stamp of the frame on this line, counted from 0; `None` when it has none.
    #[must_use]
    pub fn stamp(&self, line: usize) -> Option<Timestamp> {
        self.frames.get(line)?.time
    }

    /// The text of the frame on this line, counted from 0.
    #[must_use]
    pub fn frame(&self, line: usize) -> Option<&str> {
        self.frames.get(line).map(|frame| frame.text.as_str())
    }

    /// Serves the recording's variables and first snapshot, before a client connects. [`Recording::play`] does so too,
    /// but must then cut a client that has already read something else.
    pub fn prepare(&self, asterisk: &Asterisk) {
        for (channel, variables) in &self.variables {
            for (name, value) in variables {
                asterisk.set_variable(channel, name, value);
            }
        }
        if let Some(first) = self.connections.first() {
            first.serve(asterisk);
        }
    }

    /// Plays all frames in their order; waits for a client first, and again after each cut. Returns when the last frame is written.
    ///
    /// # Errors
    /// No client connected, or it did not come back after a cut.
    pub async fn play(&self, asterisk: &Asterisk, speed: Speed) -> Result<(), PlayError> {
        self.play_lines(asterisk, 0..self.len(), speed).await
    }

    /// Plays the frames on these lines, counted from 0: from the beginning it waits for a client first, later it goes on with whoever
    /// is connected.
    ///
    /// # Errors
    /// No client connected, or it did not come back after a cut.
    pub async fn play_lines(&self, asterisk: &Asterisk, lines: Range<usize>, speed: Speed) -> Result<(), PlayError> {
        asterisk.world().keep_variables_of_ended(speed == Speed::AsFast);
        if lines.start == 0 {
            self.open(asterisk).await?;
        }
        let mut pace = Pace::begin(speed);
        for (line, frame) in self.numbered(lines) {
            if let Some(next) = self.later_connection(line) {
                self.wait_for_loss(line, &mut pace).await;
                next.begin(asterisk).await?;
                pace = Pace::begin(speed);
            }
            pace.wait_for(frame.at).await;
            asterisk.send(&frame.text).await;
        }
        asterisk.flush().await;
        Ok(())
    }

    /// Lets what these lines tell happen while nobody listens; the caller has seen to it that no socket is open.
    pub async fn lose_lines(&self, asterisk: &Asterisk, lines: Range<usize>) {
        for (line, frame) in self.numbered(lines) {
            if let Some(next) = self.later_connection(line) {
                next.serve(asterisk);
            }
            asterisk.send(&frame.text).await;
        }
    }

    /// The frames on these lines, which are counted from 0, with their numbers as an editor counts them.
    fn numbered(&self, lines: Range<usize>) -> impl Iterator<Item = (usize, &Frame)> {
        (1..).zip(&self.frames).skip(lines.start).take(lines.len())
    }

    /// The connection that begins with this line, unless it is the first.
    fn later_connection(&self, line: usize) -> Option<&Connection> {
        self.connections.iter().skip(1).find(|next| next.from_line == line)
    }

    /// A connection is lost some time after its last frame.
    async fn wait_for_loss(&self, next_line: usize, pace: &mut Pace) {
        let lost = self.connections.iter().rev().find(|connection| connection.from_line < next_line);
        let first = self.frames.iter().find_map(|frame| frame.time);
        if let (Some(first), Some(closed)) = (first, lost.and_then(|connection| connection.closed.as_ref())) {
            pace.wait_for(Duration::try_from(closed.at.duration_since(first)).unwrap_or_default()).await;
        }
    }

    async fn open(&self, asterisk: &Asterisk) -> Result<(), PlayError> {
        let stale = self.connections.first().is_some_and(|first| !first.is_served(asterisk));
        let mut wanted = asterisk.connections();
        self.prepare(asterisk);
        if asterisk.open_sockets() == 0 {
            wanted += 1;
        } else if stale {
            asterisk.cut();
            wanted += 1;
        }
        if !asterisk.wait_connected(wanted, CONNECT_LIMIT).await {
            return Err(PlayError::NobodyConnected);
        }
        // A client that never asks gets its frames all the same.
        let _ = asterisk.wait_snapshot_read(SNAPSHOT_LIMIT).await;
        Ok(())
    }
}

impl Connection {
    fn serve(&self, asterisk: &Asterisk) {
        asterisk.set_channels(self.channels.clone());
        asterisk.set_bridges(self.bridges.clone());
    }

    fn is_served(&self, asterisk: &Asterisk) -> bool {
        let ids = |objects: &[Value]| objects.iter().map(|object| object.get("id").cloned()).collect::<Vec<_>>();
        let same = |one: &[Value], other: &[Value]| {
            let (one, other) = (ids(one), ids(other));
            one.len() == other.len() && one.iter().all(|id| other.contains(id))
        };
        same(&asterisk.channels(), &self.channels) && same(&asterisk.bridges(), &self.bridges)
    }

    /// The frames before have all been written; then the line goes, and the PBX is found as this connection found it.
    async fn begin(&self, asterisk: &Asterisk) -> Result<(), PlayError> {
        asterisk.flush().await;
        let opened = asterisk.connections();
        self.serve(asterisk);
        asterisk.cut();
        if !asterisk.wait_connected(opened + 1, CONNECT_LIMIT).await {
            return Err(PlayError::DidNotComeBack(self.from_line));
        }
        let _ = asterisk.wait_snapshot_read(SNAPSHOT_LIMIT).await;
        Ok(())
    }
}

/// The clock of a play, begun anew after each cut.
struct Pace {
    speed: Speed,
    begun: Option<(Instant, Duration)>,
}

impl Pace {
    fn begin(speed: Speed) -> Self {
        Self { speed, begun: None }
    }

    async fn wait_for(&mut self, at: Duration) {
        let Speed::Times(times) = self.speed else {
            return tokio::task::yield_now().await;
        };
        let (begun, first) = *self.begun.get_or_insert((Instant::now(), at));
        let seconds = at.saturating_sub(first).as_secs_f64() / times;
        // A speed of zero or less has no time that would ever come.
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        sleep_until(begun + wait).await;
    }
}

fn frames(text: &str) -> Vec<Frame> {
    let mut first = None;
    let mut latest = Duration::ZERO;
    let mut frames = Vec::new();
    for text in text.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(time) = time_of(text) {
            let since = time.duration_since(*first.get_or_insert(time));
            latest = latest.max(Duration::try_from(since).unwrap_or_default());
        }
        frames.push(Frame { text: text.to_owned(), time: time_of(text), at: latest });
    }
    frames
}

fn time_of(frame: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Stamped {
        timestamp: String,
    }
    let stamped = serde_json::from_str::<Stamped>(frame).ok()?;
    from_text(&stamped.timestamp).ok()
}

fn read(path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })
}

/// `None` where there is no such file.
fn sibling<T: for<'a> Deserialize<'a>>(path: &Path, extension: &str) -> Result<Option<T>, LoadError> {
    let path = path.with_extension(extension);
    if !path.exists() {
        return Ok(None);
    }
    let text = read(&path)?;
    serde_json::from_str(&text).map(Some).map_err(|source| LoadError::Parse { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_never_run_backwards() {
        let text = [
            r#"{"type":"A","timestamp":"2026-11-21T17:26:44.085+0000"}"#,
            r#"{"type":"B","timestamp":"2026-11-21T17:26:45.085+0000"}"#,
            r#"{"type":"C","timestamp":"2026-11-21T17:26:45.000+0000"}"#,
            r#"{"type":"D"}"#,
        ]
        .join("\n");
        let at = frames(&text).iter().map(|frame| frame.at.as_millis()).collect::<Vec<_>>();
        assert_eq!(at, [0, 1_000, 1_000, 1_000]);
    }
}
