//! Each call that a mirror has recorded, over real sockets through the whole bridge: Tasks and pops are those that the truth asks for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ctibridge::feeds;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::mirror::{ASTERISK, KAMAILIO, Mirror, folder, packets};
use crate::support::people::people;
use crate::support::truth::{self, Row};
use crate::support::verdict::{ROUNDED, Scene, compare};
use crate::support::world::{SOON, comes, http};

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
    let scene = Scene { salesforce: &mirror.salesforce, screens: &mirror.screens, slack: ROUNDED };
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

/// Packets with another key, which is as long.
fn forged(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (key, other) = (b"rig-hep-key", b"rig-hep-kez");
    let forge = |packet: &Vec<u8>| {
        let at = packet.windows(key.len()).position(|window| window == key).unwrap();
        let mut packet = packet.clone();
        packet[at..at + key.len()].copy_from_slice(other);
        packet
    };
    packets.iter().map(forge).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_packets_with_a_wrong_key_pop_nothing() {
    let rows = truth::table(&folder().join("kamailio-answered.tsv"));
    let people = people(&rows);
    let mirror = Mirror::new(&KAMAILIO, &people.seed).await;
    let many = forged(&packets("kamailio-many"));
    let flood: Vec<Vec<u8>> = many.iter().cycle().take(100_000).cloned().collect();
    mirror.play_tcp(&flood).await;
    comes_to(&mirror, "dropped", 100_000).await;
    assert!(mirror.salesforce.rows("Task").is_empty());
    assert!(mirror.screens.iter().all(|(_, screen)| screen.events().iter().all(|event| event.kind != "pop")));
    // Whoever has the key is heard as before.
    mirror.play_tcp(&packets("kamailio-answered")).await;
    let faults = verdict(&mirror, &rows, &people, "after the flood").await;
    assert!(faults.is_empty(), "{faults:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_hep_is_counted_and_harms_nothing() {
    let mirror = Mirror::new(&KAMAILIO, &serde_json::json!({})).await;
    let version_two = [&[2_u8, 16, 2, 17][..], &[0; 40]].concat();
    let garbage =
        [version_two, b"OPTIONS sip:x SIP/2.0\r\n\r\n".to_vec(), b"HEP3\x00\x09abc".to_vec(), vec![0; 60_000]];
    mirror.play_udp(&garbage).await;
    // On a stream the first of them ends the connection.
    mirror.play_tcp(&garbage[..1]).await;
    comes_to(&mirror, "bad", 5).await;
}

/// Waits until so many packets of a kind have been counted.
async fn comes_to(mirror: &Mirror, kind: &str, count: u64) {
    let line = format!("ctibridge_feed_frames_total{{feed=\"pbx1\",kind=\"{kind}\"}} {count}");
    let url = format!("http://{}/metrics", mirror.bridge.address());
    let until = Instant::now() + SOON * 3;
    loop {
        let text = http().get(&url).send().await.unwrap().text().await.unwrap();
        if text.lines().any(|other| other == line) {
            return;
        }
        assert!(Instant::now() < until, "{line} is not in\n{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The feeds that `/readyz` calls degraded.
async fn degraded(mirror: &Mirror) -> Vec<String> {
    let url = format!("http://{}/readyz", mirror.bridge.address());
    let answer: serde_json::Value = http().get(&url).send().await.unwrap().json().await.unwrap();
    answer["degraded"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_is_lost_when_the_last_sender_is_gone_and_goes_on_with_the_next() {
    let rows = truth::table(&folder().join("kamailio-answered.tsv"));
    let people = people(&rows);
    let mirror = Mirror::new(&KAMAILIO, &people.seed).await;
    let packets = packets("kamailio-answered");
    let end = packets.iter().position(|packet| packet.windows(8).any(|window| window == b"BYE sip:")).unwrap();
    let connect = || tokio::net::TcpStream::connect(("127.0.0.1", mirror.port));
    let (mut one, mut other) = (connect().await.unwrap(), connect().await.unwrap());
    for packet in &packets[..end] {
        one.write_all(packet).await.unwrap();
    }
    comes_to(&mirror, "known", u64::try_from(end).unwrap()).await;
    // Somebody else sends as well, and a stranger to the key comes and goes.
    other.write_all(&packets[end - 1]).await.unwrap();
    comes_to(&mirror, "known", u64::try_from(end + 1).unwrap()).await;
    drop(one);
    connect().await.unwrap().write_all(&forged(&packets[..1])[0]).await.unwrap();
    comes_to(&mirror, "dropped", 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(degraded(&mirror).await.is_empty());
    drop(other);
    let until = Instant::now() + SOON;
    while degraded(&mirror).await != ["pbx1"] {
        assert!(Instant::now() < until, "the feed is not said to be lost");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    mirror.play_udp(&packets[end..]).await;
    let faults = verdict(&mirror, &rows, &people, "after the loss").await;
    assert!(faults.is_empty(), "{faults:?}");
    assert!(degraded(&mirror).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_may_come_by_tls() {
    let rows = truth::table(&folder().join("kamailio-answered.tsv"));
    let people = people(&rows);
    let (certificate, key) = (folder().join("tls-certificate.pem"), folder().join("tls-key.pem"));
    let by_tls = |config: &mut ctibridge::bridge::Config| {
        let Some(feeds::Config::Hep(feed)) = config.feeds.first_mut() else { panic!("another feed") };
        feed.listen.iter_mut().for_each(|listen| *listen = listen.replace("tcp://", "tls://"));
        feed.tls_certificate = certificate.to_str().unwrap().into();
        feed.tls_key = key.to_str().unwrap().into();
    };
    let mirror = Mirror::with(&KAMAILIO, &people.seed, by_tls).await;
    let mut trusted = rustls::RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_file(folder().join("tls-certificate.pem")).unwrap()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let socket = tokio::net::TcpStream::connect(("127.0.0.1", mirror.port)).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let mut tls = tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, socket).await.unwrap();
    for packet in packets("kamailio-answered") {
        tls.write_all(&packet).await.unwrap();
    }
    tls.shutdown().await.unwrap();
    let faults = verdict(&mirror, &rows, &people, "tls").await;
    assert!(faults.is_empty(), "{faults:?}");
}
