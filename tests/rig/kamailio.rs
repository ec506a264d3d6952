//! The rig's Kamailio as a process, and the calls that its scripts place.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where it listens, by UDP and TCP.
pub const SIP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 15_060);
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Kamailio; it is stopped when this is dropped.
pub struct Kamailio(Child);

impl Kamailio {
    /// Mirrors to this port by UDP.
    pub async fn start(hep_port: u16) -> Self {
        Self::start_with(hep_port, &[]).await
    }

    /// With these variables for `up`: `HEP_TRANSPORT`, `SHA256`, …
    pub async fn start_with(hep_port: u16, environment: &[(&str, &str)]) -> Self {
        for tool in ["/usr/sbin/kamailio", "/usr/bin/sipp"] {
            assert!(PathBuf::from(tool).exists(), "{tool} is missing: install what tests/rig/kamailio/README.md names");
        }
        let mut command = Command::new(folder().join("up"));
        command.env("HEP_PORT", hep_port.to_string()).envs(environment.iter().copied());
        // A process group of its own, to be killed with all that it has started.
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let kamailio = Self(command.spawn().unwrap());
        tokio::task::spawn_blocking(until_it_answers).await.unwrap();
        kamailio
    }

    /// As the machine's end would: nothing is told to anybody.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/rig/kamailio")
}

fn until_it_answers() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let options = format!(
        "OPTIONS sip:{SIP} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKrig\r\nFrom: <sip:rig@rig>;tag=1\r\nTo: <sip:{SIP}>\r\n\
         Call-ID: rig\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        socket.local_addr().unwrap()
    );
    let until = Instant::now() + PATIENCE;
    let mut answer = [0; 2048];
    loop {
        assert!(Instant::now() < until, "Kamailio does not answer: is its port taken?");
        let _ = socket.send_to(options.as_bytes(), SIP);
        match socket.recv(&mut answer) {
            Ok(length) if answer[..length].starts_with(b"SIP/2.0 200") => return,
            Ok(_) => std::thread::sleep(Duration::from_millis(50)),
            Err(_) => {}
        }
    }
}

/// Places the calls of a script and returns when they are over: a line each, as who placed it tells it.
pub async fn place(script: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let mut command = Command::new(folder().join("calls").join(script));
    command.envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
