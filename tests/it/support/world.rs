//! A bridge between a pretend Asterisk and a pretend Salesforce, each on a real socket.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use ctibridge::bridge::{self, Bridge};
use ctibridge::calls::record::Extension;
use ctibridge::settings::Settings;
use ctibridge::sim::pbx::{self, Asterisk};
use ctibridge::sim::{Knobs, Options, PhoneTokens, Salesforce, Seed};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::sse::Screen;

/// A free port of this machine.
pub const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// What nothing on loopback takes unless something is wrong, on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// A row of the pretend org.
pub type Record = Map<String, Value>;

pub struct World {
    pub salesforce: Salesforce,
    pub asterisk: Asterisk,
    pub bridge: Bridge,
    pub screens: Vec<(String, Screen)>,
    /// The bridge's state folder; goes when the world does.
    _dir: TempDir,
}

impl World {
    /// With the users 101 to 103 and what `people` adds to the org.
    pub async fn new(people: &Value) -> Self {
        Self::with(people, |_| {}).await
    }

    /// As `new`, with the settings changed.
    pub async fn with(people: &Value, change: impl FnOnce(&mut bridge::Config)) -> Self {
        Self::begin(people, Knobs::default(), change).await
    }

    /// As `new`, in an org whose searches cut phone numbers in this way.
    pub async fn in_mode(people: &Value, phone_tokens: PhoneTokens) -> Self {
        Self::begin(people, Knobs { phone_tokens, ..Knobs::default() }, |_| {}).await
    }

    async fn begin(people: &Value, knobs: Knobs, change: impl FnOnce(&mut bridge::Config)) -> Self {
        let options = Options { seed: seed(people), knobs, ..Options::default() };
        let salesforce = Salesforce::start(options).await.unwrap();
        let asterisk = Asterisk::start(LOOPBACK, pbx::Options::default()).await.unwrap();
        let dir = TempDir::new().unwrap();
        let mut config = config(&settings(&salesforce, &asterisk.url(), dir.path()));
        change(&mut config);
        let bridge = Bridge::start(config).await.unwrap();
        Self { salesforce, asterisk, screens: screens(&bridge, &["101", "102", "103"]), bridge, _dir: dir }
    }

    pub fn tasks(&self) -> Vec<Record> {
        self.salesforce.rows("Task")
    }

    /// Waits until no call is open and none waits to be sent.
    pub async fn settled(&self) {
        settled(&self.bridge).await;
    }
}

/// Waits until no call is open and none waits to be sent.
pub async fn settled(bridge: &Bridge) {
    wait("all calls to be logged", || {
        let counts = bridge.journal().counts();
        counts.open == 0 && counts.waiting == 0
    })
    .await;
    bridge.journal().flush().await;
}

/// Waits for something that must come.
pub async fn wait(what: &str, holds: impl FnMut() -> bool) {
    assert!(comes(holds).await, "waited too long for {what}");
}

/// Waits for something that should come. Whether it did.
pub async fn comes(mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + SOON;
    while Instant::now() < until {
        if holds() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    holds()
}

/// The settings file of a bridge between these two.
pub fn settings(salesforce: &Salesforce, asterisk: &str, state_dir: &Path) -> String {
    let login = salesforce.credentials();
    format!(
        r#"
[bridge]
name = "hq"
default_region = "DE"
outside_prefix = "9"
state_dir = '{state_dir}'
[http]
listen = "127.0.0.1:0"
[salesforce]
endpoint = "{url}"
client_id = "{id}"
client_secret = "{secret}"
[log]
batch_window = "50ms"
[[feed]]
name = "pbx1"
kind = "asterisk-ari"
url = "{asterisk}"
username = "ctibridge"
password = "secret"
trunks = ["PJSIP/trunk", "PJSIP/trunk-berlin"]
[[agent]]
extension = "101"
name = "Anna Agent"
devices = ["PJSIP/101", "PJSIP/101-web"]
[[agent]]
extension = "102"
[[agent]]
extension = "103"
"#,
        state_dir = state_dir.display(),
        url = salesforce.url(),
        id = login.client_id,
        secret = login.client_secret,
    )
}

pub fn config(settings: &str) -> bridge::Config {
    let (settings, _) = Settings::from_toml(settings).unwrap();
    ctibridge::cli::bridge_config(&settings).unwrap()
}

/// The users of the three agents, and these records.
pub fn seed(people: &Value) -> Seed {
    seed_with(&[("101", "Anna"), ("102", "Ben"), ("103", "Cleo")], people)
}

/// These users, and these records.
pub fn seed_with(agents: &[(&str, &str)], people: &Value) -> Seed {
    let mut seed = json!({ "User": agents.iter().map(|(extension, name)| user(extension, name)).collect::<Vec<_>>() });
    let objects = seed.as_object_mut().unwrap();
    for (object, rows) in people.as_object().into_iter().flatten() {
        objects.insert(object.clone(), rows.clone());
    }
    Seed::from_value(seed).unwrap()
}

fn user(extension: &str, name: &str) -> Value {
    json!({
        "Username": format!("{}@acme.example", name.to_lowercase()),
        "LastName": name, "Email": format!("{name}@acme.example"), "Extension": extension,
        "TimeZoneSidKey": "Europe/Berlin", "IsActive": true,
    })
}

/// Browsers that follow these agents.
pub fn screens(bridge: &Bridge, agents: &[&str]) -> Vec<(String, Screen)> {
    let base = format!("http://{}", bridge.address());
    agents
        .iter()
        .map(|extension| {
            let token = bridge.agents().make_token(&Extension((*extension).into())).unwrap();
            ((*extension).to_owned(), Screen::open(&base, extension, token.expose()))
        })
        .collect()
}

/// A client of the bridge's HTTP. Dear to make: it reads the machine's certificates.
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
