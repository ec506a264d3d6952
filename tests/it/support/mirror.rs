//! A bridge that listens to a mirror, and the mirror: recorded HEP packets on a real socket.

use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ctibridge::bridge::{self, Bridge};
use ctibridge::sim::{Options, Salesforce};
use flate2::read::GzDecoder;
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::sse::Screen;
use super::world::{self, LOOPBACK, SOON, http, screens, seed_with};

/// The phone system that was mirrored.
pub struct Site {
    pub region: &'static str,
    pub outside_prefix: &'static str,
    pub trunks: &'static [&'static str],
    pub agents: &'static [(&'static str, &'static str)],
    pub auth_key: &'static str,
    /// Those of the first agent.
    pub devices: &'static [&'static str],
}

pub const ASTERISK: Site = Site {
    region: "DE",
    outside_prefix: "9",
    trunks: &["127.0.0.2", "127.0.0.3", "127.0.1.2", "127.0.1.3"],
    agents: &[("101", "Anna"), ("102", "Ben"), ("103", "Cleo")],
    auth_key: "",
    devices: &["101", "101-web"],
};

pub const KAMAILIO: Site = Site {
    region: "GB",
    outside_prefix: "",
    trunks: &["127.0.0.1:15090"],
    agents: &[("201", "Anna"), ("202", "Ben"), ("203", "Cleo"), ("204", "Dan"), ("205", "Eve")],
    auth_key: "rig-hep-key",
    devices: &[],
};

pub struct Mirror {
    pub salesforce: Salesforce,
    pub bridge: Bridge,
    pub screens: Vec<(String, Screen)>,
    pub port: u16,
    _dir: TempDir,
}

impl Mirror {
    pub async fn new(site: &Site, people: &Value) -> Self {
        Self::with(site, people, |_| {}).await
    }

    /// With the settings changed.
    pub async fn with(site: &Site, people: &Value, change: impl FnOnce(&mut bridge::Config)) -> Self {
        let seed = seed_with(site.agents, people);
        let salesforce = Salesforce::start(Options { seed, ..Options::default() }).await.unwrap();
        let dir = TempDir::new().unwrap();
        let port = free_port();
        let mut config = world::config(&settings(site, &salesforce, port, dir.path()));
        change(&mut config);
        let bridge = Bridge::start(config).await.unwrap();
        let agents: Vec<&str> = site.agents.iter().map(|(extension, _)| *extension).collect();
        let mut opened = Vec::new();
        for (extension, screen) in screens(&bridge, &agents) {
            opened.push((extension, screen.opened().await));
        }
        let mirror = Self { screens: opened, salesforce, bridge, port, _dir: dir };
        ready(&mirror.bridge).await;
        mirror
    }

    pub async fn play_tcp(&self, packets: &[Vec<u8>]) {
        let mut socket = TcpStream::connect((LOOPBACK.ip(), self.port)).await.unwrap();
        for packet in packets {
            socket.write_all(packet).await.unwrap();
        }
        socket.shutdown().await.unwrap();
    }

    /// At a pace that the smallest of buffers can take.
    pub async fn play_udp(&self, packets: &[Vec<u8>]) {
        let socket = UdpSocket::bind(LOOPBACK).unwrap();
        for (nth, packet) in packets.iter().enumerate() {
            socket.send_to(packet, (LOOPBACK.ip(), self.port)).unwrap();
            if nth % 32 == 31 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }
}

/// Waits until all feeds are up and Salesforce is known.
pub async fn ready(bridge: &Bridge) {
    let (url, client) = (format!("http://{}/readyz", bridge.address()), http());
    let until = Instant::now() + SOON;
    while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
        assert!(Instant::now() < until, "the bridge does not become ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Free for UDP and TCP.
pub fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind(LOOPBACK).unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind((LOOPBACK.ip(), port)).is_ok() {
            return port;
        }
    }
}

fn settings(site: &Site, salesforce: &Salesforce, port: u16, state_dir: &Path) -> String {
    let login = salesforce.credentials();
    let devices = |nth: usize| if nth == 0 { site.devices } else { &[] };
    let agents = site.agents.iter().enumerate().map(|(nth, (extension, name))| {
        format!("[[agent]]\nextension = \"{extension}\"\nname = \"{name}\"\ndevices = {:?}\n", devices(nth))
    });
    let agents: Vec<String> = agents.collect();
    let agents = agents.concat();
    format!(
        r#"
[bridge]
name = "hq"
default_region = "{region}"
outside_prefix = "{prefix}"
state_dir = '{state_dir}'
[http]
listen = "127.0.0.1:0"
[salesforce]
endpoint = "{url}"
client_id = "{id}"
client_secret = "{secret}"
[directory]
deadline = "10s"
[log]
batch_window = "50ms"
[[feed]]
name = "pbx1"
kind = "hep"
listen = ["udp://127.0.0.1:{port}", "tcp://127.0.0.1:{port}"]
auth_key = "{key}"
trunks = {trunks:?}
{agents}"#,
        region = site.region,
        prefix = site.outside_prefix,
        state_dir = state_dir.display(),
        url = salesforce.url(),
        id = login.client_id,
        secret = login.client_secret,
        key = site.auth_key,
        trunks = site.trunks,
    )
}

/// `tests/fixtures/hep/NAME.hex.gz`: a packet a line, in hex, after the time at which it was recorded.
pub fn packets(name: &str) -> Vec<Vec<u8>> {
    timed(name).into_iter().map(|(_, packet)| packet).collect()
}

/// The same, each with its time.
pub fn timed(name: &str) -> Vec<(Timestamp, Vec<u8>)> {
    let path = folder().join(format!("{name}.hex.gz"));
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines()
        .map(|line| {
            let (at, hex) = line.split_once(' ').unwrap();
            let (seconds, micros) = at.split_once('.').unwrap();
            (Timestamp::new(seconds.parse().unwrap(), micros.parse::<i32>().unwrap() * 1000).unwrap(), unhex(hex))
        })
        .collect()
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hep")
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
