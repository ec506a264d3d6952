//! HEP packets a second on one core: received, read and followed, beside receiving alone; and whether any is lost at 50,000 a second.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
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
use socket2::{Domain, Socket, Type};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const PACKETS: usize = 100_000;
/// What fits into the smallest receive buffer.
const BURST: usize = 64;
const RATE: u32 = 50_000;
const SECONDS: u32 = 10;
/// Packets that are sent in one go: one each twentieth of a millisecond is more than a sleep can do.
const TOGETHER: u32 = 10;
const MAKES_UP: Duration = Duration::from_millis(1);

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
    sipcapture(&packets);
    loss_of_receiving(&packets);
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

/// Sends them at [`RATE`] for [`SECONDS`]; tells how many, and how long it took. Who was kept from sending for a moment does not
/// make up for it in one go, which would ask more than that rate.
fn send_evenly(packets: &[Vec<u8>], port: u16) -> (u64, Duration) {
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (began, all) = (Instant::now(), RATE * SECONDS);
    let mut due = began;
    for (nth, packet) in (0..all).zip(packets.iter().cycle()) {
        sender.send_to(packet, (Ipv4Addr::LOCALHOST, port)).unwrap();
        if (nth + 1) % TOGETHER == 0 {
            due += Duration::from_secs(1) * TOGETHER / RATE;
            let now = Instant::now();
            std::thread::sleep(due.saturating_duration_since(now));
            due = due.max(now.checked_sub(MAKES_UP).unwrap_or(now));
        }
    }
    (all.into(), began.elapsed())
}

/// What is lost where nothing is done but to receive: the least that this machine loses now.
fn loss_of_receiving(packets: &[Vec<u8>]) {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_recv_buffer_size(8 << 20).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    println!("the kernel gives {} bytes to datagrams that wait", socket.recv_buffer_size().unwrap());
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let port = socket.local_addr().unwrap().port();
    let reader = std::thread::spawn(move || {
        let (mut buffer, mut read) = (vec![0; 65_535], 0_u64);
        while socket.recv_from(&mut buffer).is_ok() {
            read += 1;
        }
        read
    });
    let (all, took) = send_evenly(packets, port);
    println!("{all} packets in {took:.2?} to a bare receiver: {} not read", all - reader.join().unwrap());
}

/// Kamailio's own receiver of mirrors, which reads each message and writes it into a file, by one process.
const CAPTURE: &str = r#"
debug=0
log_stderror=yes
children=1
auto_aliases=no
dns=no
rev_dns=no
disable_tcp=yes
mpath="MODULES"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "db_flatstore.so"
loadmodule "sipcapture.so"
modparam("db_flatstore", "flush", 0)
modparam("sipcapture", "db_url", "flatstore:ROWS")
modparam("sipcapture", "hep_capture_on", 1)
modparam("sipcapture", "capture_on", 1)
modparam("sipcapture", "insert_retry_timeout", 0)
route { sip_capture(); drop; }
onreply_route { sip_capture(); drop; }
"#;
const MODULES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/kamailio/modules",
    "/usr/lib/aarch64-linux-gnu/kamailio/modules",
    "/usr/lib64/kamailio/modules",
];
/// Of the times in `/proc/PID/stat`.
const TICKS_A_SECOND: f64 = 100.0;

/// What each packet costs Kamailio, where it is installed.
fn sipcapture(packets: &[Vec<u8>]) {
    let Some(modules) = MODULES.into_iter().find(|folder| Path::new(folder).join("sipcapture.so").exists()) else {
        return println!("no Kamailio with sipcapture is installed: not compared");
    };
    let dir = tempfile::TempDir::new().unwrap();
    let rows = dir.path().join("rows");
    std::fs::create_dir(&rows).unwrap();
    let config = CAPTURE.replace("MODULES", modules).replace("ROWS", rows.to_str().unwrap());
    let file = dir.path().join("kamailio.cfg");
    std::fs::write(&file, config).unwrap();
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut command = Command::new("kamailio");
    command.arg("-f").arg(&file).args(["-l", &format!("udp:127.0.0.1:{port}"), "-DD", "-E"]);
    command.arg("-Y").arg(dir.path()).arg("-w").arg(dir.path()).arg("-P").arg(dir.path().join("pid"));
    let mut kamailio = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (line, until) = (format!(":{port:04X} "), Instant::now() + Duration::from_secs(20));
    while !std::fs::read_to_string("/proc/net/udp").unwrap().contains(&line) {
        assert!(Instant::now() < until, "Kamailio does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(2));
    let before = cpu_of_children(kamailio.id());
    let (all, took) = send_evenly(packets, port);
    std::thread::sleep(Duration::from_secs(2));
    let used = cpu_of_children(kamailio.id()) - before;
    assert!(Command::new("kill").arg(kamailio.id().to_string()).status().unwrap().success());
    kamailio.wait().unwrap();
    let files = std::fs::read_dir(&rows).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let kept: usize = files.map(|file| String::from_utf8_lossy(&file).lines().count()).sum();
    let kept = u32::try_from(kept).unwrap();
    let each = used / f64::from(kept.max(1));
    println!(
        "{all} packets in {took:.2?} to Kamailio's sipcapture: {} not kept; one process, {:.2} us of CPU each, {:.0} a second and core",
        all - u64::from(kept),
        each * 1e6,
        1.0 / each
    );
}

/// Seconds that its processes have had of a CPU.
fn cpu_of_children(of: u32) -> f64 {
    let children = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap();
    let ticks = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let columns: Vec<f64> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_ascii_whitespace().skip(11).take(2).map(|it| it.parse().unwrap()).collect())
            .unwrap_or_default();
        columns.iter().sum::<f64>()
    };
    children.split_ascii_whitespace().map(ticks).sum::<f64>() / TICKS_A_SECOND
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
    let (all, took) = send_evenly(packets, port);
    // The feed asks the kernel once a second what it threw away.
    std::thread::sleep(Duration::from_secs(3));
    let seen = status.get();
    println!(
        "{all} packets in {took:.2?} to the whole feed: {} not read, {} told to be not read",
        all - (seen.frames - seen.dropped),
        seen.dropped
    );
    stop.cancel();
    runtime.block_on(feed).unwrap();
    drop(runtime);
    reader.join().unwrap();
}
