//! Frames of recorded calls through the whole bridge in a second of processor time, against receiving and parsing them alone.
//!
//! The bridge alone is in this process; phone system and Salesforce are in another. Counted is all that the bridge does for a
//! frame: socket, mapping, tracking, look-ups, the journal with its fsyncs, pops, Tasks sent.

#[path = "support/drive.rs"]
mod drive;
#[path = "support/far.rs"]
mod far;
#[path = "support/pbx.rs"]
mod pbx;
#[path = "support/process.rs"]
mod process;
#[path = "support/site.rs"]
mod site;
#[path = "support/tape.rs"]
mod tape;

use std::time::Duration;

use drive::{CHUNK, Drive};
use far::{Ask, Far, MARK};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;

const CHUNKS: usize = 60;
const WARM_UP: usize = 4;

fn main() {
    if far::be_far_side() {
        return;
    }
    println!("{} frames each, of recorded calls, as fast as they are read", CHUNK * CHUNKS);
    println!("{:<44}{:>18}{:>18}{:>10}", "", "bridge, /cpu-s", "limit, /cpu-s", "of limit");
    for (name, lanes, presentation) in [
        ("20 recordings at once", 20, true),
        ("400 recordings at once", 400, true),
        ("20 at once, presentation by REST", 20, false),
    ] {
        // Side by side, since a machine that others use as well is not as fast at all times.
        let (limit, bridge) = (receive_and_parse().per_cpu_second(), bridge(lanes, presentation).per_cpu_second());
        println!("{name:<44}{bridge:>18.0}{limit:>18.0}{:>9.0}%", bridge / limit * 100.0);
    }
}

struct Rate {
    frames: u32,
    cpu: Duration,
}

impl Rate {
    fn per_cpu_second(&self) -> f64 {
        f64::from(self.frames) / self.cpu.as_secs_f64()
    }
}

/// Counts the processor time from now on.
fn rate(run: impl FnOnce() -> usize) -> Rate {
    let (frames, cpu) = process::timed(run);
    Rate { frames: u32::try_from(frames).unwrap(), cpu }
}

// ---- the limit

/// What any reader of these frames has to find out.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    channel: Option<Channel<'a>>,
}

#[derive(Deserialize)]
struct Channel<'a> {
    id: &'a str,
}

fn receive_and_parse() -> Rate {
    let (runtime, mut far) = (Runtime::new().unwrap(), Far::start());
    far.ask(Ask::Begin { lanes: 20, presentation: true });
    let url = format!("ws://{}/ari/events", far.addresses.asterisk);
    let connected = runtime.block_on(tokio_tungstenite::connect_async_with_config(url, None, true));
    let (mut socket, _) = connected.unwrap();
    far.answer();
    for _ in 0..CHUNKS {
        far.ask(Ask::Play { frames: CHUNK });
    }
    rate(|| {
        let (mut frames, mut characters) = (0, 0);
        runtime.block_on(async {
            while frames < CHUNKS * (CHUNK + MARK) {
                if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
                    let frame: Frame<'_> = serde_json::from_str(&text).unwrap();
                    characters += frame.kind.len() + frame.channel.map_or(0, |channel| channel.id.len());
                    frames += 1;
                }
            }
        });
        assert!(characters > 0);
        frames
    })
}

// ---- the bridge

fn bridge(lanes: usize, presentation: bool) -> Rate {
    let mut drive = Drive::start(lanes, presentation);
    drive.play(Ask::Play { frames: CHUNK }, WARM_UP);
    let rate = rate(|| drive.play(Ask::Play { frames: CHUNK }, CHUNKS));
    drive.stop();
    rate
}
