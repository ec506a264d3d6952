//! Frames of recorded calls through the whole bridge in a second of processor time, against receiving and parsing them alone.
//!
//! The bridge alone is in this process; phone system and Salesforce are in another. Counted is all that the bridge does for a
//! frame: socket, mapping, tracking, look-ups, the journal with its fsyncs, pops, Tasks sent.

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

use std::time::{Duration, Instant};

use ctibridge::bridge::Bridge;
use ctibridge::calls::record::CallKey;
use far::{Ask, Far, MARK, Played};
use futures_util::StreamExt;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

/// Frames that are asked for in one go: two such fit into the feed's store, so that it is never overrun.
const CHUNK: usize = 8192;
const CHUNKS: usize = 60;
const WARM_UP: usize = 4;
const LIMIT: Duration = Duration::from_mins(1);

fn main() {
    if far::be_far_side() {
        return;
    }
    println!("{} frames each, of recorded calls, as fast as they are read", CHUNK * CHUNKS);
    println!("{:<52}{:>14}{:>10}{:>12}", "", "frames/cpu-s", "of limit", "frames/s");
    let limit = receive_and_parse();
    limit.print("receive and parse alone", &limit);
    for (name, lanes, presentation) in [
        ("bridge, 20 recordings at once", 20, true),
        ("bridge, 400 recordings at once", 400, true),
        ("bridge, 20 at once, presentation by REST", 20, false),
    ] {
        bridge(lanes, presentation).print(name, &limit);
    }
}

struct Rate {
    frames: u32,
    cpu: Duration,
    wall: Duration,
}

impl Rate {
    fn per_cpu_second(&self) -> f64 {
        f64::from(self.frames) / self.cpu.as_secs_f64()
    }

    fn print(&self, name: &str, limit: &Self) {
        let (rate, per_second) = (self.per_cpu_second(), f64::from(self.frames) / self.wall.as_secs_f64());
        let share = rate / limit.per_cpu_second() * 100.0;
        println!("{name:<52}{rate:>14.0}{share:>9.0}%{per_second:>12.0}");
    }
}

/// Counts the processor time from now on.
fn timed(run: impl FnOnce() -> usize) -> Rate {
    let began = Instant::now();
    let (frames, cpu) = process::timed(run);
    Rate { frames: u32::try_from(frames).unwrap(), cpu, wall: began.elapsed() }
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
    timed(|| {
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
    let (runtime, dir, mut far) = (Runtime::new().unwrap(), TempDir::new().unwrap(), Far::start());
    let to = &far.addresses;
    let config = site::config(to.asterisk, &to.salesforce, &to.login, dir.path());
    let bridge = runtime.block_on(Bridge::start(config)).unwrap();
    far.ask(Ask::Begin { lanes, presentation });
    far.answer();
    play(&runtime, &bridge, &mut far, WARM_UP);
    let rate = timed(|| play(&runtime, &bridge, &mut far, CHUNKS));
    runtime.block_on(bridge.stop());
    rate
}

/// Plays so many chunks, one ahead of what the bridge has taken, and waits for the last Task. Tells how many frames there were.
fn play(runtime: &Runtime, bridge: &Bridge, far: &mut Far, chunks: usize) -> usize {
    far.ask(Ask::Play { frames: CHUNK });
    for nth in 1..=chunks {
        if nth < chunks {
            far.ask(Ask::Play { frames: CHUNK });
        }
        let played = far.answer();
        runtime.block_on(taken(bridge, &played));
    }
    runtime.block_on(until(|| bridge.journal().counts().waiting == 0));
    chunks * (CHUNK + MARK)
}

async fn taken(bridge: &Bridge, played: &Played) {
    let key = CallKey::new("hq", "pbx1", played.mark.as_deref().unwrap());
    let began = Instant::now();
    while bridge.journal().agents_of(key.as_str()).await.is_none() || ended(bridge) < played.calls {
        assert!(began.elapsed() < LIMIT, "{:?}: {} calls were to end", bridge.journal().counts(), played.calls);
        sleep(Duration::from_millis(10)).await;
    }
}

fn ended(bridge: &Bridge) -> u64 {
    let counts = bridge.journal().counts();
    counts.waiting + counts.parked + counts.done
}

async fn until(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "what was waited for did not come");
        sleep(Duration::from_millis(10)).await;
    }
}
