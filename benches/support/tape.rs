//! The recorded calls without end: each time they are played, as other calls.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

const RECORDINGS: &str = "tests/fixtures/asterisk-ari";
/// What channel objects end with, and with what they end where `channelvars = CALLERID(pres)` is set.
const CHANNEL_END: (&str, &str) =
    (r#""language":"en"}"#, r#""language":"en","channelvars":{"CALLERID(pres)":"allowed_not_screened"}}"#);

/// Many recordings at once, one frame of each in turn.
pub struct Tape {
    recordings: Vec<Recording>,
    lanes: Vec<Lane>,
    next_lane: usize,
    plays: u32,
    calls: u64,
}

struct Lane {
    recording: usize,
    line: usize,
    /// Distinguishes this play of the recording from all others.
    play: u32,
}

struct Recording {
    frames: Vec<Vec<Piece>>,
    /// How many calls of it are to be logged.
    calls: u64,
}

/// A frame in parts, those named that differ from play to play.
enum Piece {
    Text(String),
    /// The first half of a channel id, in seconds since the recording began: `1795282284` of `1795282284.71`.
    Second(u32),
    /// The first eight digits of a bridge id.
    Bridge,
    /// The first four of the eight digits at the end of a channel's name.
    Serial,
}

impl Tape {
    /// `lanes`: how many recordings are played at once. `presentation`: whether channel objects tell it.
    pub fn new(presentation: bool) -> Self {
        Self { recordings: recordings(presentation), lanes: Vec::new(), next_lane: 0, plays: 0, calls: 0 }
    }

    /// Begins anew with so many recordings at once.
    pub fn lanes(mut self, lanes: usize) -> Self {
        for nth in 0..lanes {
            self.plays += 1;
            let recording = nth % self.recordings.len();
            self.lanes.push(Lane { recording, line: 0, play: self.plays });
        }
        self
    }

    /// How many calls to be logged were played to their ends.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    pub fn frame(&mut self) -> String {
        self.next_lane = (self.next_lane + 1) % self.lanes.len();
        let lane = &mut self.lanes[self.next_lane];
        let recording = &self.recordings[lane.recording];
        let text = write(&recording.frames[lane.line], lane.play);
        lane.line += 1;
        if lane.line == recording.frames.len() {
            self.calls += recording.calls;
            self.plays += 1;
            *lane = Lane { recording: (lane.recording + 1) % self.recordings.len(), line: 0, play: self.plays };
        }
        text
    }
}

/// Those that have no cut of the connection in them.
fn paths() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(RECORDINGS);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .filter(|path| path.with_extension("truth.json").exists() && !path.with_extension("rest.json").exists())
        .collect();
    paths.sort();
    paths
}

fn truth(recording: &Path) -> Vec<Value> {
    serde_json::from_str(&std::fs::read_to_string(recording.with_extension("truth.json")).unwrap()).unwrap()
}

fn recordings(presentation: bool) -> Vec<Recording> {
    let read = |path: std::path::PathBuf| {
        let mut text = std::fs::read_to_string(&path).unwrap();
        if presentation {
            text = text.replace(CHANNEL_END.0, CHANNEL_END.1);
        }
        let calls = truth(&path).iter().filter(|row| row["log_to_crm"] == true).count();
        let first = text.lines().find_map(|line| pieces(line, 0).iter().find_map(second)).unwrap();
        Recording { frames: text.lines().map(|line| pieces(line, first)).collect(), calls: calls as u64 }
    };
    paths().into_iter().map(read).collect()
}

fn second(piece: &Piece) -> Option<u32> {
    match piece {
        Piece::Second(second) => Some(*second),
        Piece::Text(_) | Piece::Bridge | Piece::Serial => None,
    }
}

fn pieces(line: &str, first_second: u32) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut at, mut text) = (0, 0);
    while at < line.len() {
        let Some((length, piece)) = named(line, at, first_second) else {
            at += 1;
            continue;
        };
        pieces.push(Piece::Text(line[text..at].to_owned()));
        pieces.push(piece);
        at += length;
        text = at;
    }
    pieces.push(Piece::Text(line[text..].to_owned()));
    pieces
}

/// The piece that begins here, and its length.
fn named(line: &str, at: usize, first_second: u32) -> Option<(usize, Piece)> {
    let bytes = line.as_bytes();
    let before = bytes[at.checked_sub(1)?];
    let run = |from: usize, of: fn(&u8) -> bool| bytes[from..].iter().take_while(|byte| of(byte)).count();
    if !before.is_ascii_alphanumeric()
        && run(at, u8::is_ascii_digit) == 10
        && bytes[at + 10] == b'.'
        && bytes[at + 11].is_ascii_digit()
    {
        let second: u32 = line[at..at + 10].parse().unwrap();
        return Some((10, Piece::Second(second.saturating_sub(first_second))));
    }
    if run(at, u8::is_ascii_hexdigit) != 8 {
        return None;
    }
    if before == b'-' {
        return Some((4, Piece::Serial));
    }
    let is_bridge = bytes[at + 8] == b'-' && run(at + 9, u8::is_ascii_hexdigit) == 4 && bytes[at + 13] == b'-';
    (!before.is_ascii_alphanumeric() && is_bridge).then_some((8, Piece::Bridge))
}

fn write(pieces: &[Piece], play: u32) -> String {
    let mut frame = String::with_capacity(1024);
    for piece in pieces {
        match piece {
            Piece::Text(text) => frame.push_str(text),
            Piece::Second(second) => write!(frame, "{}", 1_000_000_000 + play * 1000 + second).unwrap(),
            Piece::Bridge => write!(frame, "{play:08x}").unwrap(),
            Piece::Serial => write!(frame, "{:04x}", play & 0xffff).unwrap(),
        }
    }
    frame
}
