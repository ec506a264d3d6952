//! From a frame written to the event websocket to the pop's bytes at the agent's stream, against a websocket echo of the same pace.
//!
//! The bridge and the far sides have runtimes of their own. A call's beginning is written at once, as Asterisk does when the dial
//! plan goes straight to the phones; the rest of the call follows when its pop has come.

#[path = "support/agent.rs"]
mod agent;
#[path = "support/pbx.rs"]
mod pbx;
#[path = "support/site.rs"]
mod site;

use std::time::{Duration, Instant};

use agent::Agent;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use ctibridge::bridge::Bridge;
use ctibridge::calls::record::{CallKey, Extension};
use ctibridge::directory::Mode;
use ctibridge::directory::row::{Change, Row};
use ctibridge::salesforce::RecordId;
use ctibridge::sim::Salesforce;
use ctibridge::sim::pbx::script::Ids;
use ctibridge::sim::pbx::{Caller, Script};
use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use pbx::Pbx;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite;

const CALLS: usize = 600;
/// Calls before the first that counts: connections, caches and buffers come into being.
const WARM_UP: usize = 50;
/// Between two calls.
const PACE: Duration = Duration::from_millis(10);
/// Between a call's beginning and its ring, where they are not written at once: the look-up has answered by then.
const RING_AFTER: Duration = Duration::from_millis(5);
/// As [`RING_AFTER`], where the index answers at once and calls come twice as fast.
const RING_SOON: Duration = Duration::from_millis(2);
const LIMIT: Duration = Duration::from_secs(5);
/// Contacts in the index.
const CONTACTS: u32 = 1_000_000;

/// What is measured.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// From the frame that rings, long after the call began; else from the call's first frame.
    ring_alone: bool,
    /// The channel objects carry `CALLERID(pres)`; else it is asked for by REST.
    channelvars: bool,
    /// Every caller is a new one; else it is always the same, whose look-up is remembered.
    new_callers: bool,
    pace: Duration,
}

const CASES: [Case; 5] = [
    Case { name: "ring, caller looked up before", ring_alone: true, channelvars: true, new_callers: false, pace: PACE },
    Case {
        name: "whole beginning, caller remembered",
        ring_alone: false,
        channelvars: true,
        new_callers: false,
        pace: PACE,
    },
    Case { name: "  and presentation by REST", ring_alone: false, channelvars: false, new_callers: false, pace: PACE },
    Case { name: "whole beginning, live look-up", ring_alone: false, channelvars: true, new_callers: true, pace: PACE },
    Case { name: "  and presentation by REST", ring_alone: false, channelvars: false, new_callers: true, pace: PACE },
];

/// With an index of a million contacts: 200 rings a second, and some 5,000 frames.
const INDEXED: [Case; 3] = [
    Case { name: "ring, known by the index", ring_alone: true, channelvars: true, new_callers: true, pace: SOON },
    Case {
        name: "whole beginning, known by the index",
        ring_alone: false,
        channelvars: true,
        new_callers: true,
        pace: SOON,
    },
    Case {
        name: "whole beginning, 10 a second",
        ring_alone: false,
        channelvars: true,
        new_callers: true,
        pace: SELDOM,
    },
];
/// Between two calls, where the index answers.
const SOON: Duration = Duration::from_millis(5);
const SELDOM: Duration = Duration::from_millis(100);

fn main() {
    let (far, near) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    far.block_on(measure(near.handle()));
}

async fn measure(near: &Handle) {
    let call = call(&new_caller(0, 0), true);
    let bytes: usize = call.beginning.iter().chain([&call.ring]).map(|frame| frame.len()).sum();
    println!(
        "{CALLS} calls each, one every {PACE:?}, that begin with {} frames of {bytes} bytes",
        call.beginning.len() + 1
    );
    println!("times in µs");
    println!("{:<40}{:>8}{:>8}{:>16}", "", "p50", "p99", "p50 / echo p50");
    let slow = Times::of(echo(near, PACE).await);
    slow.print("websocket echo of one frame", &slow);
    let mut world = World::start(near, Beside::Salesforce, Mode::Live).await;
    for (nth, case) in CASES.into_iter().enumerate() {
        world.run(case, nth, WARM_UP).await;
        Times::of(world.run(case, nth, CALLS).await).print(case.name, &slow);
    }
    print_look_up(&world).await;
    drop(world);
    for (name, beside) in [("an index of a million", Beside::Salesforce), ("and Salesforce down", Beside::Nobody)] {
        println!("{name}");
        let mut world = World::start(near, beside, Mode::Index).await;
        world.index();
        for (nth, case) in INDEXED.into_iter().enumerate() {
            let echo = Times::of(echo(near, case.pace).await);
            world.run(case, nth, WARM_UP).await;
            let times = Times::of(world.run(case, nth, CALLS).await);
            echo.print("  websocket echo of the same pace", &echo);
            times.print(&format!("  {}", case.name), &echo);
            let (p50, p99) = (times.at(50) - echo.at(50), times.at(99) - echo.at(99));
            println!("{:<40}{p50:>8.0}{p99:>8.0}{:>16}", "  above the echo", "(wish 150, 1000)");
        }
    }
}

/// The round trip that is below all else: a frame to a server and back.
async fn echo(near: &Handle, pace: Duration) -> Vec<Duration> {
    let (pbx, mut tasks) = (Pbx::start(), JoinSet::new());
    let mut pbx = near.spawn(pbx).await.unwrap();
    let url = format!("ws://{}/ari/events", pbx.address);
    let request = tokio_tungstenite::connect_async_with_config(url, None, true);
    let (mut client, _) = request.await.unwrap();
    let socket = pbx.socket().await;
    tasks.spawn_on(send_back(socket), near);
    let frame = tungstenite::Utf8Bytes::from(call(&new_caller(0, 0), true).ring.as_str());
    let mut pace = interval(pace);
    let mut times = Vec::new();
    for _ in 0..WARM_UP + CALLS {
        pace.tick().await;
        let began = Instant::now();
        client.send(tungstenite::Message::Text(frame.clone())).await.unwrap();
        client.next().await.unwrap().unwrap();
        times.push(began.elapsed());
    }
    times.split_off(WARM_UP)
}

async fn send_back(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(_) = message {
            socket.send(message).await.unwrap();
        }
    }
}

/// Whom the bridge finds where Salesforce should be.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    Salesforce,
    Nobody,
}

struct World {
    socket: WebSocket,
    agent: Agent,
    bridge: Bridge,
    ids: Ids,
    _pbx: Pbx,
    _salesforce: Salesforce,
    _dir: TempDir,
}

impl World {
    async fn start(near: &Handle, beside: Beside, mode: Mode) -> Self {
        let salesforce = site::salesforce(numbers()).await;
        let mut pbx = Pbx::start().await;
        let dir = TempDir::new().unwrap();
        let mut config = site::config(pbx.address, &salesforce.url(), &salesforce.credentials(), dir.path());
        if beside == Beside::Nobody {
            "http://127.0.0.1:9".clone_into(&mut config.salesforce.endpoint);
        }
        config.directory.mode = mode;
        let bridge = near.spawn(Bridge::start(config)).await.unwrap().unwrap();
        let token = bridge.agents().make_token(&Extension("101".into())).unwrap();
        let agent = Agent::watch(bridge.address(), "101", token.expose()).await;
        let socket = pbx.socket().await;
        // The snapshot is read and the login is done.
        sleep(Duration::from_secs(1)).await;
        Self { socket, agent, bridge, ids: Ids::new(1), _pbx: pbx, _salesforce: salesforce, _dir: dir }
    }

    /// Fills the index: with the callers, and with as many others as make a million.
    fn index(&self) {
        let index = self.bridge.directory().index();
        let callers: Vec<String> =
            (0..WARM_UP + CALLS).flat_map(|nth| (0..INDEXED.len()).map(move |case| number(case, nth))).collect();
        let others = (0..CONTACTS).map(|nth| format!("+4989{:08}", 10_000_000 + nth)).skip(callers.len());
        let rows = callers.into_iter().chain(others).zip(0..).map(|(number, nth)| Change::Put(contact(nth, number)));
        index.apply(rows.collect());
        index.synced(Timestamp::now());
        // The pretend org's own are in as well, where it is there.
        assert!(index.stats().numbers >= u64::from(CONTACTS));
    }

    async fn run(&mut self, case: Case, nth_case: usize, calls: usize) -> Vec<Duration> {
        let mut pace = interval(case.pace);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut times = Vec::new();
        for nth in 0..calls {
            // The warm-up has the callers behind those that count.
            let nth = if calls == WARM_UP { CALLS + nth } else { nth };
            let caller = new_caller(nth_case, if case.new_callers { nth } else { 0 });
            let call = call_with(&caller, case.channelvars, &self.ids);
            pace.tick().await;
            times.push(self.perform(case, call).await);
        }
        times
    }

    async fn perform(&mut self, case: Case, call: Frames) -> Duration {
        let began = if case.ring_alone {
            pbx::write(&mut self.socket, call.beginning).await;
            sleep(if case.pace < PACE { RING_SOON } else { RING_AFTER }).await;
            let began = Instant::now();
            pbx::write(&mut self.socket, [call.ring]).await;
            began
        } else {
            let began = Instant::now();
            pbx::write(&mut self.socket, call.beginning.into_iter().chain([call.ring])).await;
            began
        };
        let popped = timeout(LIMIT, self.agent.pop(&call.key)).await.expect("a pop");
        pbx::write(&mut self.socket, call.rest).await;
        popped - began
    }
}

/// The frames of one call around the first that says that the phone rings.
struct Frames {
    key: String,
    beginning: Vec<Utf8Bytes>,
    ring: Utf8Bytes,
    rest: Vec<Utf8Bytes>,
}

fn call(caller: &Caller, channelvars: bool) -> Frames {
    call_with(caller, channelvars, &Ids::new(0))
}

fn call_with(caller: &Caller, channelvars: bool, ids: &Ids) -> Frames {
    let script = Script::inbound(caller, "+493023125101").ring(&["101"]).after(2_000).hangup_by_caller();
    let reel = script.reel(Timestamp::now(), ids).unwrap();
    let frames: Vec<Value> = reel.cues.iter().map(|cue| serde_json::from_str(&cue.frame).unwrap()).collect();
    let ring = frames.iter().position(rings).unwrap();
    let id = frames[0]["channel"]["id"].as_str().unwrap();
    let key = CallKey::new("hq", "pbx1", id).as_str().to_owned();
    let mut texts: Vec<Utf8Bytes> = frames
        .into_iter()
        .map(|frame| if channelvars { with_presentation(frame) } else { frame })
        .map(|frame| frame.to_string().into())
        .collect();
    let rest = texts.split_off(ring + 1);
    let ring = texts.pop().unwrap();
    Frames { key, beginning: texts, ring, rest }
}

fn rings(frame: &Value) -> bool {
    let (kind, status) = (&frame["type"], &frame["dialstatus"]);
    (kind == "ChannelStateChange" && frame["channel"]["state"] == "Ringing") || (kind == "Dial" && status == "RINGING")
}

fn with_presentation(mut frame: Value) -> Value {
    for place in ["channel", "caller", "peer"] {
        if frame[place].is_object() {
            frame[place]["channelvars"] = json!({ "CALLERID(pres)": "allowed_not_screened" });
        }
    }
    frame
}

fn contact(nth: u32, number: String) -> Row {
    Row {
        object: "Contact".to_owned(),
        id: RecordId::parse(&format!("0035g0{nth:09}")).unwrap(),
        name: format!("Party {number}"),
        account: Some(format!("Account {}", nth / 5)),
        account_id: Some(RecordId::parse(&format!("0015g0{:09}", nth / 5)).unwrap()),
        owner_id: None,
        person_contact_id: None,
        phones: vec![("Phone".to_owned(), number)],
    }
}

fn new_caller(case: usize, nth: usize) -> Caller {
    Caller::new(&number(case, nth), "")
}

/// The numbers of all callers.
fn numbers() -> impl Iterator<Item = String> {
    let callers = |case: Case| if case.new_callers { WARM_UP + CALLS } else { 1 };
    CASES.into_iter().enumerate().flat_map(move |(nth, case)| (0..callers(case)).map(move |caller| number(nth, caller)))
}

fn number(case: usize, nth: usize) -> String {
    format!("+493090{case}{nth:05}")
}

struct Times {
    sorted: Vec<Duration>,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self { sorted: times }
    }

    fn at(&self, percent: usize) -> f64 {
        self.sorted[(self.sorted.len() - 1) * percent / 100].as_secs_f64() * 1e6
    }

    fn print(&self, name: &str, echo: &Self) {
        let (p50, p99) = (self.at(50), self.at(99));
        println!("{name:<40}{p50:>8.0}{p99:>8.0}{:>16.1}", p50 / echo.at(50));
    }
}

/// What of that was the look-up, in which the pretend Salesforce's own work is the most.
async fn print_look_up(world: &World) {
    let url = format!("http://{}/metrics", world.bridge.address());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let text = client.get(url).send().await.unwrap().text().await.unwrap();
    let sum =
        text.lines().find_map(|line| line.strip_prefix(r#"ctibridge_lookup_seconds_sum{source="live"} "#)).unwrap();
    let mean = sum.parse::<f64>().unwrap() * 1e6 / f64::from(u32::try_from(numbers().count()).unwrap());
    println!("{:<40}{mean:>8.0}", "  a look-up of theirs, on average");
}
