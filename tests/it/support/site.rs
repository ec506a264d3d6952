//! A pretend Asterisk, a pretend Salesforce, and the daemon as a process between them.

use std::sync::Arc;
use std::time::Duration;

use ctibridge::sim::pbx::player::perform;
use ctibridge::sim::pbx::script::Ids;
use ctibridge::sim::pbx::{self, Asterisk, Caller, Script};
use ctibridge::sim::{Options, Salesforce};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::process::Daemon;
use super::sse::{Event, Screen};
use super::world::{LOOPBACK, Record, SOON, seed, wait};

pub struct Site {
    pub salesforce: Salesforce,
    pub asterisk: Arc<Asterisk>,
    pub daemon: Daemon,
    ids: Ids,
}

/// Erika is in the org.
pub fn erika() -> Caller {
    Caller::new("+493023125444", "")
}

/// Somebody rings 101, who answers after 30 ms; they talk for 30 ms.
pub fn short_call(from: &Caller) -> Script {
    Script::inbound(from, "+493023125101").ring(&["101"]).after(30).answer("101").talk(30).hangup_by_caller()
}

impl Site {
    /// With the daemon's settings changed; it is not started yet.
    pub async fn new(change: impl FnOnce(String) -> String) -> Self {
        let people = json!({ "Contact": [{ "LastName": "Muster", "Phone": "030 23125444" }] });
        let options = Options { seed: seed(&people), ..Options::default() };
        let salesforce = Salesforce::start(options).await.unwrap();
        let asterisk = Arc::new(Asterisk::start(LOOPBACK, pbx::Options::default()).await.unwrap());
        let daemon = Daemon::new(&salesforce, &asterisk, change);
        Self { salesforce, asterisk, daemon, ids: Ids::new(1) }
    }

    /// With the daemon up and connected.
    pub async fn up() -> Self {
        Self::started(|settings| settings).await
    }

    /// As [`up`](Self::up), with callers looked up by Salesforce's search alone.
    pub async fn up_live() -> Self {
        Self::started(|settings| settings.replace("[log]", "[directory]\nmode = \"live\"\n[log]")).await
    }

    async fn started(change: impl FnOnce(String) -> String) -> Self {
        let mut site = Self::new(change).await;
        site.daemon.start();
        site.daemon.ready().await;
        site
    }

    /// Plays a call in its own time.
    pub async fn play(&self, script: &Script) {
        let reel = script.reel(jiff::Timestamp::now(), &self.ids).unwrap();
        perform(&self.asterisk, &reel, Instant::now()).await;
    }

    /// Plays the frames of a call that are due before `until` milliseconds, and gives those that are left.
    pub async fn begin(&self, script: &Script, until: u64) -> Vec<String> {
        let reel = script.reel(jiff::Timestamp::now(), &self.ids).unwrap();
        let (now, rest): (Vec<_>, Vec<_>) = reel.cues.into_iter().partition(|cue| cue.at.as_millis() < until.into());
        for variable in &reel.variables {
            self.asterisk.set_variable(&variable.channel, &variable.name, &variable.value);
        }
        for cue in now {
            self.asterisk.send(&cue.frame).await;
        }
        rest.into_iter().map(|cue| cue.frame).collect()
    }

    pub async fn go_on(&self, frames: &[String]) {
        for frame in frames {
            self.asterisk.send(frame).await;
        }
    }

    /// Waits for so many Tasks, and that no call is left to be sent.
    pub async fn tasks(&self, count: usize) -> Vec<Record> {
        let until = Instant::now() + SOON;
        while self.salesforce.rows("Task").len() < count {
            assert!(Instant::now() < until, "waited too long for the Tasks:\n{}", self.daemon.log());
            sleep(Duration::from_millis(10)).await;
        }
        self.daemon.until("/readyz", "an empty journal", |_, body| body["journal"]["waiting"] == 0).await;
        let tasks = self.salesforce.rows("Task");
        assert_eq!(tasks.len(), count, "{tasks:#?}");
        tasks
    }

    /// Waits until so many calls wait on disk.
    pub async fn waiting(&self, count: usize) {
        self.daemon.until("/readyz", "calls that wait", |_, body| body["journal"]["waiting"] == count).await;
    }
}

/// The first event of this kind.
pub async fn first(screen: &Screen, kind: &str) -> Event {
    let found = || screen.events().into_iter().find(|event| event.kind == kind);
    wait(kind, || found().is_some()).await;
    found().unwrap()
}

pub fn text<'a>(record: &'a Record, field: &str) -> &'a str {
    record.get(field).and_then(Value::as_str).unwrap_or_default()
}
