//! The daemon as a process of its own, to be killed and started again on the same state folder.

use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use ctibridge::sim::Salesforce;
use ctibridge::sim::pbx::Asterisk;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::sse::Screen;
use super::world::{self, http, wait};

/// The tokens of all agents and of the operator.
pub const TOKEN: &str = "a-token-that-only-this-test-knows";

const BINARY: &str = env!("CARGO_BIN_EXE_ctibridge");

/// A state folder, a settings file and, while it runs, the process.
pub struct Daemon {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
    client: reqwest::Client,
    level: String,
    /// What fakes its clock, where something does.
    faker: Option<PathBuf>,
    /// That clock is also the one by which it waits.
    fakes_waits: bool,
}

impl Daemon {
    /// Writes the settings between these two, changed by `change`; starts nothing yet.
    pub fn new(salesforce: &Salesforce, asterisk: &Asterisk, change: impl FnOnce(String) -> String) -> Self {
        let dir = TempDir::new().unwrap();
        let port = TcpListener::bind(world::LOOPBACK).unwrap().local_addr().unwrap().port();
        let hash = Sha256::digest(TOKEN);
        let settings = world::settings(salesforce, &asterisk.url(), &dir.path().join("state"))
            .replace("listen = \"127.0.0.1:0\"", &format!("listen = \"127.0.0.1:{port}\"\nadmin_token = \"{TOKEN}\""))
            .replace("[[agent]]", &format!("[[agent]]\ntoken_sha256 = \"{hash:x}\""));
        let daemon =
            Self { dir, port, child: None, client: http(), level: "info".to_owned(), faker: None, fakes_waits: false };
        fs::write(daemon.settings_file(), change(settings)).unwrap();
        fs::set_permissions(daemon.settings_file(), fs::Permissions::from_mode(0o600)).unwrap();
        daemon
    }

    pub fn settings_file(&self) -> PathBuf {
        self.dir.path().join("ctibridge.toml")
    }

    /// Changes the settings file.
    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let settings = fs::read_to_string(self.settings_file()).unwrap();
        fs::write(self.settings_file(), change(settings)).unwrap();
    }

    pub fn database(&self) -> PathBuf {
        self.dir.path().join("state/journal.db")
    }

    /// What it is to log from its next start on.
    pub fn log_at(&mut self, level: &str) {
        level.clone_into(&mut self.level);
    }

    pub fn start(&mut self) {
        self.start_under(&[]);
    }

    /// Starts it by way of another program, which must become it: `strace -D`.
    pub fn start_under(&mut self, program: &[&str]) {
        assert!(self.child.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = match program.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(BINARY);
                command
            }
            None => Command::new(BINARY),
        };
        let command = run(&mut command, &self.settings_file()).args(["--log", &self.level]);
        if let Some(library) = &self.faker {
            command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", self.clock_file());
            command.env("FAKETIME_NO_CACHE", "1").env("NO_FAKE_STAT", "1");
            if !self.fakes_waits {
                // Waits go by the monotonic clock, which nobody sets in life either.
                command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            }
        }
        self.child = Some(command.stderr(log).spawn().unwrap());
    }

    /// How it ended, if it has by itself; it may be started again then.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let ended = self.child.as_mut()?.try_wait().unwrap()?;
        self.child = None;
        Some(ended)
    }

    /// From its next start on its clock is set by [`set_clock`](Self::set_clock), with libfaketime.
    pub fn fake_clock(&mut self, library: &Path, offset: &str) {
        self.faker = Some(library.to_owned());
        self.set_clock(offset);
    }

    /// As [`fake_clock`](Self::fake_clock), and what it waits for comes sooner when the clock is set forward.
    pub fn fake_waits(&mut self, library: &Path) {
        self.fake_clock(library, "+0");
        self.fakes_waits = true;
    }

    /// Sets its clock, `+1h` or `-1d` from the right time, also while it runs.
    pub fn set_clock(&self, offset: &str) {
        let new = self.dir.path().join("clock.new");
        fs::write(&new, offset).unwrap();
        fs::rename(new, self.clock_file()).unwrap();
    }

    fn clock_file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    /// Runs a second one on the same state folder to its end, which must come by itself.
    pub fn rival(&self) -> std::process::Output {
        let settings = fs::read_to_string(self.settings_file()).unwrap();
        let file = self.dir.path().join("rival.toml");
        fs::write(&file, settings.replace(&format!("127.0.0.1:{}", self.port), "127.0.0.1:0")).unwrap();
        run(&mut Command::new(BINARY), &file).output().unwrap()
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        let mut ended = None;
        wait("the daemon's end", || {
            ended = self.child.as_mut().unwrap().try_wait().unwrap();
            ended.is_some()
        })
        .await;
        self.child = None;
        ended.unwrap()
    }

    /// All that it has logged, in all its runs.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    pub async fn logged(&self, text: &str) {
        wait(&format!("{text} in the log"), || self.log().contains(text)).await;
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn screen(&self, extension: &str) -> Screen {
        Screen::open(&self.base(), extension, TOKEN)
    }

    /// What the operator is answered; none while it does not serve.
    pub async fn ask(&self, path: &str) -> Option<(u16, Value)> {
        let answer = self.client.get(format!("{}{path}", self.base())).bearer_auth(TOKEN).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, serde_json::from_slice(&answer.bytes().await.ok()?).unwrap_or_default()))
    }

    /// Waits until what is answered under this path is as it should be, and gives it.
    pub async fn until(&self, path: &str, what: &str, holds: impl Fn(u16, &Value) -> bool) -> Value {
        let until = std::time::Instant::now() + world::SOON;
        loop {
            let answer = self.ask(path).await;
            if let Some((status, body)) = &answer
                && holds(*status, body)
            {
                return body.clone();
            }
            assert!(std::time::Instant::now() < until, "waited too long for {what}: {answer:?}\n{}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    pub async fn ready(&self) -> Value {
        self.until("/readyz", "readiness", |status, _| status == 200).await
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn run<'a>(command: &'a mut Command, settings: &Path) -> &'a mut Command {
    command.args(["run", "--config"]).arg(settings).env_clear().stdin(Stdio::null())
}
