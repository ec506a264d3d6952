//! The far sides as a process of their own: the pretend phone system plays on demand, the pretend Salesforce answers.
//!
//! The bench runs itself with [`ARGUMENT`]; what is asked and answered goes line by line over the pipes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use axum::extract::ws::Utf8Bytes;
use ctibridge::sim::Credentials;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::pbx::{self, Pbx};
use crate::site;
use crate::tape::Tape;

const ARGUMENT: &str = "far-side";
const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/asterisk-ari");
/// Frames in one write of the far side.
const AT_ONCE: usize = 64;
/// Frames of the call behind each play.
pub const MARK: usize = 2;

#[derive(Serialize, Deserialize)]
pub struct Addresses {
    pub asterisk: SocketAddr,
    pub salesforce: String,
    pub login: Credentials,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub enum Ask {
    /// To whoever has connected last: so many recordings at once, the presentation in the frames or not.
    Begin {
        lanes: usize,
        presentation: bool,
    },
    Play {
        frames: usize,
    },
    /// Of a type that nobody knows.
    PlayUnknown {
        frames: usize,
    },
}

#[derive(Serialize, Deserialize)]
pub struct Played {
    /// How many calls to be logged have been played to their ends.
    pub calls: u64,
    /// A call that begins and ends behind all else: when it is in the journal, so is the rest.
    pub mark: Option<String>,
}

pub struct Far {
    pub addresses: Addresses,
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Far {
    pub fn start() -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child =
            Command::new(program).arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let asks = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        Self { addresses: read(&mut answers).unwrap(), child, asks, answers }
    }

    pub fn ask(&mut self, ask: Ask) {
        writeln!(self.asks, "{}", serde_json::to_string(&ask).unwrap()).unwrap();
    }

    /// Waits for the answer to the first question that has none yet.
    pub fn answer(&mut self) -> Played {
        read(&mut self.answers).unwrap()
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Is the far side, if this process was started to be it; then it ends with the pipe.
pub fn be_far_side() -> bool {
    let is_far_side = std::env::args().nth(1).is_some_and(|argument| argument == ARGUMENT);
    if is_far_side {
        let runtime = Runtime::new().unwrap();
        let (mut pbx, salesforce) = runtime.block_on(async { (Pbx::start().await, site::salesforce(numbers()).await) });
        let (salesforce_url, login) = (salesforce.url(), salesforce.credentials());
        say(&Addresses { asterisk: pbx.address, salesforce: salesforce_url, login });
        serve(&runtime, &mut pbx);
    }
    is_far_side
}

fn serve(runtime: &Runtime, pbx: &mut Pbx) {
    let mut asks = BufReader::new(std::io::stdin());
    let (mut socket, mut tape, mut marks) = (None, Tape::new(true), 0);
    while let Some(ask) = read(&mut asks) {
        let mut mark = None;
        match (ask, &mut socket) {
            (Ask::Begin { lanes, presentation }, _) => {
                tape = Tape::new(presentation).lanes(lanes);
                socket = Some(runtime.block_on(pbx.socket()));
                marks = 0;
            }
            (Ask::Play { frames }, Some(socket)) => {
                for _ in 0..frames.div_ceil(AT_ONCE) {
                    let burst: Vec<_> = (0..AT_ONCE).map(|_| tape.frame().into()).collect();
                    runtime.block_on(pbx::write(socket, burst));
                }
            }
            (Ask::PlayUnknown { frames }, Some(socket)) => {
                for burst in 0..frames.div_ceil(AT_ONCE) {
                    let unknown = |nth| format!(r#"{{"type":"Unheard{burst}","nth":{nth},"of":"no use"}}"#).into();
                    runtime.block_on(pbx::write(socket, (0..AT_ONCE).map(unknown)));
                }
            }
            (Ask::Play { .. } | Ask::PlayUnknown { .. }, None) => panic!("nobody has connected"),
        }
        if let (Ask::Play { .. } | Ask::PlayUnknown { .. }, Some(socket)) = (ask, &mut socket) {
            marks += 1;
            let id = format!("9999999999.{marks}");
            runtime.block_on(pbx::write(socket, marking_call(&id)));
            mark = Some(id);
        }
        say(&Played { calls: tape.calls(), mark });
    }
}

/// A caller without a number who gives up at once.
fn marking_call(id: &str) -> [Utf8Bytes; MARK] {
    ["ChannelCreated", "ChannelDestroyed"].map(|kind| {
        let frame = json!({
            "type": kind, "timestamp": "2026-11-21T17:31:24.107+0000", "cause": 16,
            "channel": {
                "id": id, "name": "PJSIP/trunk-ffffffff", "state": "Ring",
                "caller": { "name": "", "number": "anonymous" }, "dialplan": { "exten": "+493023125101" },
                "channelvars": { "CALLERID(pres)": "allowed_not_screened" },
            },
        });
        frame.to_string().into()
    })
}

/// The numbers of all outside parties of the recordings.
fn numbers() -> BTreeSet<String> {
    let paths = std::fs::read_dir(RECORDINGS).unwrap().map(|entry| entry.unwrap().path());
    let truths = paths.filter(|path| path.to_string_lossy().ends_with(".truth.json"));
    let rows = truths
        .flat_map(|path| -> Vec<Value> { serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() });
    let number = |row: Value| row["external_number_presented"].as_str().map(str::to_owned);
    rows.filter_map(number).filter(|number| number.starts_with('+')).collect()
}

fn say(what: &impl Serialize) {
    println!("{}", serde_json::to_string(what).unwrap());
}

fn read<T: for<'a> Deserialize<'a>>(from: &mut impl BufRead) -> Option<T> {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
}
