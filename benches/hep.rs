//! HEP packets a second on one core: received, read and followed, beside receiving alone; and whether any is lost at 50,000 a second.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use ctibridge::calls::Site;
use ctibridge::calls::feed::{FeedMessage, Snapshot};
use ctibridge::calls::tracker::Tracker;
use ctibridge::feeds::hep::map::{Map, Trunk};
use ctibridge::feeds::hep::packet::{Packet, Payload};
use ctibridge::feeds::{self, Phones, StatusHandle, hep};
use ctibridge::phone::NumberPlan;
use ctibridge::secret::Secret;
use flate2::read::GzDecoder;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const PACKETS: usize = 100_000;
/// What fits into the smallest receive buffer.
const BURST: usize = 64;
const RATE: u32 = 50_000;
const SECONDS: u32 = 10;

fn main() {
    let packets = packets();
    let bytes: usize = packets.iter().map(Vec::len).sum();
    println!(
        "{} packets of calls through a Kamailio, {} bytes each on average, one thread",
        packets.len(),
        bytes / packets.len()
    );
    let received = received(&packets, |_| {});
    let mut follower = Follower::new();
    let began = Instant::now();
    for packet in &packets {
        follower.take(packet);
    }
    let alone = began.elapsed();
    let steps = follower.steps;
    let mut follower = Follower::new();
    let both = self::received(&packets, |packet| follower.take(packet));
    for (name, time) in
        [("received alone", received), ("read and followed", alone), ("received, read and followed", both)]
    {
        let rate = f64::from(u32::try_from(packets.len()).unwrap()) / time.as_secs_f64();
        println!("{name:<32}{rate:>12.0} a second{:>10.2} us", 1e6 / rate);
    }
    println!("{steps} steps came of them");
    loss(&packets);
}

/// The same calls again and again, each time with Call-IDs of their own.
fn packets() -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hep/kamailio-many.hex.gz");
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let digit = |text: &str, at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    let once: Vec<Vec<u8>> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap().1)
        .map(|hex| (0..hex.len()).step_by(2).map(|at| digit(hex, at)).collect())
        .collect();
    (0..PACKETS).map(|nth| with_call_id_of(&once[nth % once.len()], nth / once.len())).collect()
}

fn with_call_id_of(packet: &[u8], lap: usize) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let name = b"Call-ID: ";
    if let Some(at) = packet.windows(name.len()).position(|window| window == name) {
        let start = at + name.len();
        packet[start..start + 5].copy_from_slice(format!("{lap:05}").as_bytes());
    }
    packet
}

/// The time that it takes to receive them and to do this with each; sending is not counted.
fn received(packets: &[Vec<u8>], mut with: impl FnMut(&[u8])) -> Duration {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (to, mut buffer, mut time) = (receiver.local_addr().unwrap(), vec![0; 65_535], Duration::ZERO);
    for burst in packets.chunks(BURST) {
        for packet in burst {
            sender.send_to(packet, to).unwrap();
        }
        let began = Instant::now();
        for _ in burst {
            let (length, _) = receiver.recv_from(&mut buffer).unwrap();
            with(&buffer[..length]);
        }
        time += began.elapsed();
    }
    time
}

fn plan() -> NumberPlan {
    NumberPlan::new("GB", "", "2-6").unwrap()
}

struct Follower {
    map: Map,
    tracker: Tracker,
    steps: usize,
}

impl Follower {
    fn new() -> Self {
        let site = Site { bridge: "hq".into(), plan: plan() };
        let (mut tracker, _) = Tracker::new(&site, &["pbx1".into()], Vec::new(), Instant::now());
        tracker.handle("pbx1", FeedMessage::Up(Snapshot::Unknowable), Instant::now());
        let trunks = vec![Trunk::parse("127.0.0.1:15090").unwrap()];
        Self { map: Map::new(trunks, &BTreeMap::new()), tracker, steps: 0 }
    }

    fn take(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        let packet = Packet::read(bytes).unwrap();
        let Payload::Sip(sip) = &packet.payload else { return };
        for event in self.map.packet(&packet, sip, now).unwrap_or_default() {
            self.steps += self.tracker.handle("pbx1", FeedMessage::Call(event), now).len();
        }
    }
}

/// The whole feed on a real socket with the kernel's usual buffers.
fn loss(packets: &[Vec<u8>]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let config = hep::Config {
        name: "pbx1".into(),
        listen: vec![format!("udp://127.0.0.1:{port}")],
        auth_key: Secret::new("rig-hep-key"),
        allow: Vec::new(),
        trunks: vec!["127.0.0.1:15090".into()],
        tls_certificate: String::new(),
        tls_key: String::new(),
        same_pbx_as: String::new(),
    };
    let phones = Phones { devices: BTreeMap::new(), agents: Vec::new(), plan: plan() };
    let (status, stop) = (StatusHandle::new("pbx1"), CancellationToken::new());
    let (out, mut messages) = mpsc::channel(4096);
    let feed = feeds::run(feeds::Config::Hep(config), phones, out, status.clone(), stop.clone());
    let feed = runtime.handle().clone().spawn_blocking({
        let handle = runtime.handle().clone();
        move || handle.block_on(feed)
    });
    let reader = std::thread::spawn(move || {
        let mut follower = Follower::new();
        while let Some((_, message)) = messages.blocking_recv() {
            follower.steps += follower.tracker.handle("pbx1", message, Instant::now()).len();
        }
    });
    while !status.get().been_up {
        std::thread::sleep(Duration::from_millis(10));
    }
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (began, all) = (Instant::now(), RATE * SECONDS);
    for (nth, packet) in (0..all).zip(packets.iter().cycle()) {
        sender.send_to(packet, (Ipv4Addr::LOCALHOST, port)).unwrap();
        if nth % 50 == 49 {
            let due = began + Duration::from_secs(1) * (nth + 1) / RATE;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    let took = began.elapsed();
    std::thread::sleep(Duration::from_secs(1));
    let seen = status.get();
    println!(
        "{all} packets in {took:.2?} to the whole feed: {} came, {} lost in the kernel, {} dropped",
        seen.frames,
        u64::from(all) - seen.frames,
        seen.dropped
    );
    stop.cancel();
    runtime.block_on(feed).unwrap();
    drop(runtime);
    reader.join().unwrap();
}
