//! Each call that a mirror has recorded, over real sockets through the whole bridge: Tasks and pops are those that the truth asks for.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::mirror::{ASTERISK, KAMAILIO, Mirror, folder, packets};
use crate::support::people::people;
use crate::support::truth::{self, Row};
use crate::support::verdict::{Scene, compare};
use crate::support::world::comes;

/// Bridges at the same time, on a machine with two cores.
const AT_ONCE: usize = 6;

async fn asterisk_faults(name: String) -> Vec<String> {
    let mut rows = truth::rows(&truth::folder("asterisk-ari").join(&name).with_extension("jsonl"));
    for row in &mut rows {
        as_sip_tells(&name, row);
    }
    let people = people(&rows);
    let mirror = Mirror::new(&ASTERISK, &people.seed).await;
    mirror.play_tcp(&packets(&format!("asterisk-{name}"))).await;
    verdict(&mirror, &rows, &people, &name).await
}

/// What signalling alone cannot tell is asked of it no more.
fn as_sip_tells(recording: &str, row: &mut Row) {
    // A queue is an application within the PBX: it has no name in SIP.
    row.queue = None;
    let mut is = |disposition: &str| row.dispositions = vec![disposition.to_owned()];
    match (recording, row.number) {
        // The PBX itself answers: a queue, a mailbox and an announcement look alike.
        ("15-queue-abandoned" | "37-queue-left-before-ringing" | "36-queue-gives-up", 1)
        | ("16-answered-by-machine", 2)
        | ("31-mixed-25-calls", 2 | 9 | 20)
        | ("56-mixed-60-hard", 21 | 23) => is("Missed"),
        // Who transfers by a feature code hears the PBX's voice while dialling on: the codes are in the audio, which is not mirrored.
        ("20-blind-transfer-feature-code", 1) => row.owner = None,
        // These began before the mirror did.
        ("53-calls-up-at-connect", _) => row.logged = false,
        _ => {}
    }
}

async fn kamailio_faults(name: String) -> Vec<String> {
    let rows = truth::table(&folder().join(format!("kamailio-{name}.tsv")));
    let people = people(&rows);
    let mirror = Mirror::new(&KAMAILIO, &people.seed).await;
    let packets = packets(&format!("kamailio-{name}"));
    if name.starts_with("tcp") {
        mirror.play_tcp(&packets).await;
    } else {
        mirror.play_udp(&packets).await;
    }
    verdict(&mirror, &rows, &people, &name).await
}

async fn verdict(mirror: &Mirror, rows: &[Row], people: &crate::support::people::People, name: &str) -> Vec<String> {
    let expected = rows.iter().filter(|row| row.logged).count();
    comes(|| mirror.salesforce.rows("Task").len() >= expected).await;
    let quiet = || {
        let counts = mirror.bridge.journal().counts();
        counts.open == 0 && counts.waiting == 0
    };
    let quiet = comes(quiet).await;
    let scene = Scene { salesforce: &mirror.salesforce, screens: &mirror.screens };
    let mut faults = compare(&scene, rows, people).await;
    if !quiet {
        faults.push("a call never ends".into());
    }
    for fault in &mut faults {
        *fault = format!("{name}: {fault}");
    }
    faults
}

async fn check<F, Fut>(names: Vec<String>, faults: F)
where
    F: Fn(String) -> Fut,
    Fut: Future<Output = Vec<String>> + Send + 'static,
{
    let (room, mut worlds) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for name in names {
        let (room, faults) = (Arc::clone(&room), faults(name));
        worlds.spawn(async move {
            let _place = room.acquire().await.unwrap();
            faults.await
        });
    }
    let mut wrong: Vec<String> = worlds.join_all().await.into_iter().flatten().collect();
    wrong.sort();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What is recorded of a phone system.
fn recorded(of: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files.filter_map(|file| Some(file.strip_prefix(of)?.strip_suffix(".hex.gz")?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_through_a_recorded_kamailio_is_one_task_and_its_pops() {
    check(recorded("kamailio-"), kamailio_faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_a_recorded_asterisk_is_one_task_and_its_pops() {
    check(recorded("asterisk-"), asterisk_faults).await;
}
