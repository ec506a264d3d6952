//! One phone system that speaks to one bridge by two feeds, on real sockets: each call is one Task and its pops, restarted or not.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ctibridge::bridge;
use ctibridge::calls::record::CallKey;
use ctibridge::feeds;
use ctibridge::secret::Secret;
use ctibridge::sim::pbx::notifier::{Manners, Transport};
use ctibridge::sim::pbx::recording::{Recording, Speed};
use ctibridge::sim::pbx::script::{Ids, Reel};
use ctibridge::sim::pbx::{self, Asterisk, Caller, Notifier, Script};
use ctibridge::sim::{Options, Salesforce};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::support::mirror::{self, ASTERISK};
use crate::support::people::people;
use crate::support::process::Daemon;
use crate::support::truth;
use crate::support::verdict::{ROUNDED, Scene, compare};
use crate::support::world::{LOOPBACK, World, comes, seed, wait};

/// Calls of which both feeds tell the same: where the leader is late on a busy machine, the other one's words are as good. All
/// recordings are played in `twins`, where no machine is too busy.
const RECORDINGS: [&str; 12] = [
    "01-inbound-answered",
    "02-inbound-missed-caller-cancels",
    "04-ring-group-102-answers",
    "06-blind-transfer",
    "07-attended-transfer",
    "08-outbound-answered",
    "09-outbound-unanswered",
    "11-hold-unhold",
    "13-two-calls-one-agent",
    "22-attended-transfer-early",
    "30-caller-quits-on-hold",
    "33-outbound-transferred",
];
/// Worlds at the same time; each waits most of its time.
const AT_ONCE: usize = 6;
/// So many times as fast as it was.
const FASTER: f64 = 2.0;

/// A mirror beside the REST Interface, which leads.
fn mirrored(config: &mut bridge::Config, port: u16) {
    config.directory.deadline = Duration::from_secs(10);
    let first = config.agents.first_mut().unwrap();
    first.devices.extend(ASTERISK.devices.iter().map(|device| (*device).to_owned()));
    config.feeds.push(feeds::Config::Hep(feeds::hep::Config {
        name: "mirror".to_owned(),
        listen: vec![format!("udp://127.0.0.1:{port}")],
        auth_key: Secret::default(),
        allow: Vec::new(),
        trunks: ASTERISK.trunks.iter().map(|trunk| (*trunk).to_owned()).collect(),
        same_pbx_as: "pbx1".to_owned(),
        tls_certificate: String::new(),
        tls_key: String::new(),
    }));
}

/// Both were recorded in the same minutes, by the same clock.
async fn faults(path: &Path) -> Vec<String> {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let rows = truth::rows(path);
    let people = people(&rows);
    let (recording, packets) = (Recording::load(path).unwrap(), mirror::timed(&format!("asterisk-{name}")));
    let port = mirror::free_port();
    let world = World::with(&people.seed, |config| mirrored(config, port)).await;
    recording.prepare(&world.asterisk);
    mirror::ready(&world.bridge).await;
    let began = (0..recording.len()).find_map(|line| recording.stamp(line)).unwrap();
    let play_mirror = async {
        let (socket, start) = (UdpSocket::bind(LOOPBACK).unwrap(), Instant::now());
        for (at, packet) in &packets {
            let after = Duration::try_from(at.duration_since(began)).unwrap_or_default();
            sleep_until(start + after.div_f64(FASTER)).await;
            socket.send_to(packet, (LOOPBACK.ip(), port)).unwrap();
        }
    };
    let (played, ()) = tokio::join!(recording.play(&world.asterisk, Speed::Times(FASTER)), play_mirror);
    played.unwrap();
    let expected = rows.iter().filter(|row| row.logged).count();
    comes(|| world.tasks().len() >= expected).await;
    let quiet = || {
        let counts = world.bridge.journal().counts();
        counts.open == 0 && counts.waiting == 0
    };
    let quiet = comes(quiet).await;
    let scene = Scene { salesforce: &world.salesforce, screens: &world.screens, slack: ROUNDED };
    let mut faults = compare(&scene, &rows, &people).await;
    if !quiet {
        faults.push("a call never ends".to_owned());
    }
    if !faults.is_empty() {
        let tasks = world.tasks();
        let keys: Vec<&str> = tasks.iter().map(|task| task["CallObject"].as_str().unwrap()).collect();
        faults.push(format!("{} connections; the Tasks are of {keys:?}", world.asterisk.connections()));
    }
    world.bridge.stop().await;
    faults.into_iter().map(|fault| format!("{name}: {fault}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_that_asterisk_tells_by_rest_and_by_mirror_is_one_task_and_its_pops() {
    let paths = RECORDINGS.map(|name| truth::folder("asterisk-ari").join(name).with_extension("jsonl"));
    let (room, mut worlds) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for path in paths {
        let room = Arc::clone(&room);
        worlds.spawn(async move {
            let _place = room.acquire().await.unwrap();
            faults(&path).await
        });
    }
    let mut wrong: Vec<String> = worlds.join_all().await.into_iter().flatten().collect();
    wrong.sort();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

const DIALOG_INFO: &str = "application/dialog-info+xml";
const CALLER: &str = "+4930231250444";
const ANOTHER: &str = "+493023125999";

/// The dialogs of 101.
fn document(version: u32, dialogs: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"{version}\" state=\"full\" \
         entity=\"sip:101@pbx.example\">{dialogs}</dialog-info>"
    )
}

/// The state of the only one, and who is said to be at its other end.
fn dialog(state: &str, other: &str) -> String {
    format!(
        "<dialog id=\"d1\" call-id=\"c1\" direction=\"recipient\"><state>{state}</state>\
         <remote><identity>sip:{other}@pbx.example</identity></remote></dialog>"
    )
}

struct Pair {
    salesforce: Salesforce,
    asterisk: Asterisk,
    notifier: Notifier,
    daemon: Daemon,
}

impl Pair {
    async fn new() -> Self {
        let people = json!({ "Contact": [{ "LastName": "Caller", "Phone": CALLER }] });
        let salesforce = Salesforce::start(Options { seed: seed(&people), ..Options::default() }).await.unwrap();
        let asterisk = Asterisk::start(LOOPBACK, pbx::Options::default()).await.unwrap();
        let notifier = Notifier::start(LOOPBACK, Transport::Udp, Manners::default()).await.unwrap();
        let feed = format!(
            "[[feed]]\nname = \"blf\"\nkind = \"sip-dialog\"\nserver = \"{}\"\ndomain = \"pbx.example\"\nusername = \"cti\"\n\
             password = \"ctisecret\"\nextensions = [\"101\"]\nsame_pbx_as = \"pbx1\"\n",
            notifier.uri()
        );
        let daemon = Daemon::new(&salesforce, &asterisk, |settings| settings + &feed);
        Self { salesforce, asterisk, notifier, daemon }
    }

    async fn start(&mut self) {
        self.daemon.start();
        self.daemon.ready().await;
        self.notifier.subscribed(&["101"]).await;
    }

    async fn notify(&self, document: &str) {
        self.notifier.notify("101", "active", DIALOG_INFO, document).await;
    }

    async fn open_calls(&self) -> Vec<String> {
        let (_, calls) = self.daemon.ask("/api/v1/calls").await.unwrap();
        let calls = calls["calls"].as_array().unwrap_or_else(|| panic!("{calls}"));
        calls.iter().map(|call| call["call"].as_str().unwrap().to_owned()).collect()
    }
}

/// 101 is called and talks; the second is what ends it.
fn call() -> (Vec<String>, Vec<String>, String) {
    let script = Script::inbound(&Caller::new(CALLER, ""), "+493023125101").ring(&["101"]).after(10).answer("101");
    let reel = script.talk(1000).hangup_by_caller().reel(Timestamp::now(), &Ids::new(7)).unwrap();
    let key = key(&reel);
    let (before, after) = reel.cues.into_iter().partition::<Vec<_>, _>(|cue| cue.at < Duration::from_secs(1));
    let frames = |cues: Vec<pbx::script::Cue>| cues.into_iter().map(|cue| cue.frame).collect();
    (frames(before), frames(after), key)
}

fn key(reel: &Reel) -> String {
    let outside = reel.cues.iter().find_map(|cue| {
        let frame: Value = serde_json::from_str(&cue.frame).unwrap();
        let is_outside = frame["channel"]["name"].as_str()?.starts_with("PJSIP/trunk");
        is_outside.then(|| frame["channel"]["id"].as_str().unwrap().to_owned())
    });
    CallKey::new("hq", "pbx1", &outside.unwrap()).to_string()
}

/// After the restart no rule could find that both are one: the other feed names somebody else, and did not see it ring.
#[tokio::test(flavor = "multi_thread")]
async fn a_twin_is_known_after_the_daemon_is_killed_in_the_middle_of_a_call() {
    let mut pair = Pair::new().await;
    pair.notifier.set_first("101", DIALOG_INFO, &document(0, ""));
    pair.start().await;
    let (before, after, key) = call();
    for frame in before {
        pair.asterisk.send(&frame).await;
    }
    pair.asterisk.flush().await;
    pair.notify(&document(1, &dialog("early", CALLER))).await;
    pair.notify(&document(2, &dialog("confirmed", CALLER))).await;
    // Longer than the bridge waits for the leader.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(pair.open_calls().await, [key.as_str()]);
    let alias = CallKey::new("hq", "blf", "c1");
    let (_, by_alias) = pair.daemon.ask(&format!("/api/v1/calls/{alias}")).await.unwrap();
    assert_eq!(by_alias["call"], *key);

    pair.daemon.kill();
    pair.notifier.forget();
    pair.notifier.set_first("101", DIALOG_INFO, &document(0, &dialog("confirmed", ANOTHER)));
    pair.start().await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(pair.open_calls().await, [key.as_str()]);

    for frame in after {
        pair.asterisk.send(&frame).await;
    }
    pair.notify(&document(1, &dialog("terminated", ANOTHER))).await;
    wait("the Task", || !pair.salesforce.rows("Task").is_empty()).await;
    sleep(Duration::from_secs(2)).await;
    let keys: Vec<_> = pair.salesforce.rows("Task").iter().map(|task| task["CallObject"].clone()).collect();
    assert_eq!(keys, [json!(key)]);
}
