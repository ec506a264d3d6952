//! A pretend org and a synchroniser of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ctibridge::directory::index::Index;
use ctibridge::directory::sync::{Status, Stored, Sync, SyncHandle};
use ctibridge::lifecycle::Tasks;
use ctibridge::phone::NumberPlan;
use ctibridge::salesforce::Client;
use ctibridge::settings::Settings;
use ctibridge::sim::{Options, Salesforce, Seed};
use serde_json::{Map, Value};
use tempfile::TempDir;

/// What nothing here takes unless something is wrong, on a busy machine.
pub const SOON: Duration = Duration::from_mins(2);

pub struct Desk {
    pub salesforce: Salesforce,
    pub settings: Settings,
    pub region: &'static str,
    dir: TempDir,
}

/// A synchroniser at work.
pub struct Running {
    pub index: Index,
    pub handle: SyncHandle,
    tasks: Tasks,
}

impl Desk {
    pub async fn open(seed: Value) -> Self {
        Self::with(Options { seed: Seed::from_value(seed).unwrap(), ..Options::default() }, "DE", "").await
    }

    /// `directory`: more lines of the settings' section.
    pub async fn with(options: Options, region: &'static str, directory: &str) -> Self {
        let salesforce = Salesforce::start(options).await.unwrap();
        let login = salesforce.credentials();
        let text = format!(
            "[salesforce]\nendpoint = \"{}\"\nclient_id = \"{}\"\nclient_secret = \"{}\"\n[directory]\nmode = \"index\"\n{directory}\n",
            salesforce.url(),
            login.client_id,
            login.client_secret,
        );
        let (mut settings, _) = Settings::from_toml(&text).unwrap();
        settings.directory.refresh = Duration::from_millis(100);
        let desk = Self { salesforce, settings, region, dir: TempDir::new().unwrap() };
        // What was there in the beginning has been there for a while.
        desk.later(600);
        desk
    }

    pub fn client(&self) -> Client {
        Client::new(&self.settings.salesforce).unwrap()
    }

    pub fn plan(&self) -> NumberPlan {
        NumberPlan::new(self.region, "", "2-6").unwrap()
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("index")
    }

    pub fn stored(&self, index: &Index) -> Stored {
        let config = &self.settings.directory;
        let custom = config.custom_objects.iter().map(|object| object.name.as_str());
        let objects: Vec<&str> = config.objects.iter().map(String::as_str).chain(custom).collect();
        Stored::open(&self.file(), index.clone(), &self.settings.salesforce.endpoint, &objects)
    }

    pub fn sync(&self) -> (Sync, Index) {
        let index = Index::new(self.plan());
        let stored = self.stored(&index);
        (Sync::new(self.client(), self.settings.directory.clone(), stored), index)
    }

    pub fn start(&self) -> Running {
        let (sync, index) = self.sync();
        let (handle, (tasks, _)) = (sync.handle(), Tasks::new());
        tasks.spawn("sync", sync.run(tasks.stopping()));
        Running { index, handle, tasks }
    }

    /// With the first load done.
    pub async fn started(&self) -> Running {
        let running = self.start();
        running.until("the first load", |status| status.synced_at.is_some()).await;
        running
    }

    /// Rows of the org that count, by the org's own data.
    pub fn rows(&self, object: &str) -> Vec<Map<String, Value>> {
        let mut rows = self.salesforce.rows(object);
        rows.retain(|row| {
            let phone =
                row.iter().any(|(field, value)| is_phone(field) && value.as_str().is_some_and(|it| !it.is_empty()));
            phone && row.get("IsConverted") != Some(&true.into())
        });
        rows
    }

    /// Ids of the rows that count.
    pub fn ids(&self, object: &str) -> BTreeSet<String> {
        self.rows(object).iter().map(|row| text(row, "Id").to_owned()).collect()
    }

    /// The org's clock goes on by this much.
    pub fn later(&self, seconds: i64) {
        self.salesforce.set(|knobs| knobs.clock_offset_seconds += seconds);
    }
}

pub fn is_phone(field: &str) -> bool {
    field.contains("Phone") || field.ends_with("line__c")
}

pub fn text<'a>(row: &'a Map<String, Value>, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}

impl Running {
    pub fn ids(&self, object: &str) -> BTreeSet<String> {
        self.index.ids(object).iter().map(ToString::to_string).collect()
    }

    /// Names of the records with this number, best first.
    pub fn names(&self, desk: &Desk, number: &str) -> Vec<String> {
        self.index.find(&desk.plan().read(number)).into_iter().map(|found| found.name).collect()
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&Status) -> bool) {
        until(what, || holds(&self.handle.status())).await;
    }

    /// Two polls from now on have been made.
    pub async fn polled(&self) {
        let before = self.handle.status().polls;
        self.until("two polls", |status| status.polls >= before + 3).await;
    }

    pub async fn stop(self) {
        self.tasks.stop().await;
    }
}

pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < end, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Desk {
    /// Ids of the bulk jobs that a saved index names.
    pub fn jobs(&self) -> Vec<String> {
        let bytes = std::fs::read(self.file()).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let words = text.split(|char: char| !char.is_ascii_alphanumeric());
        words.filter(|word| word.len() == 18 && word.starts_with("750")).map(str::to_owned).collect()
    }

    pub async fn delete_job(&self, id: &str) {
        let url = self.salesforce.url();
        let login = self.salesforce.credentials();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &login.client_id),
            ("client_secret", &login.client_secret),
        ];
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let token: Value =
            http.post(format!("{url}/services/oauth2/token")).form(&form).send().await.unwrap().json().await.unwrap();
        let job = format!("{url}/services/data/v68.0/jobs/query/{id}");
        let answer = http.delete(job).bearer_auth(token["access_token"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(answer.status(), 204);
    }
}
