//! The journal, the sender and a pretend Salesforce, without a phone system: calls are handed in finished.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctibridge::calls::record::{
    AgentPart, CallKey, CallRecord, Direction, Disposition, Extension, OpenCall, OutsideParty,
};
use ctibridge::directory::answer::{Answer, Exactness, Match, Source};
use ctibridge::journal::sender::{self, Resolve};
use ctibridge::journal::{AgentUser, Counts, Entry, EntryState, Filter, Journal, Note, Reason};
use ctibridge::lifecycle::Tasks;
use ctibridge::phone::PhoneNumber;
use ctibridge::salesforce::{Client, RecordId};
use ctibridge::sim::{Options, Salesforce};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use tempfile::TempDir;

use super::world::{self, Record, seed};

/// The number from which all calls come.
pub const CALLER: &str = "+493023125444";

pub struct Desk {
    pub salesforce: Salesforce,
    pub journal: Journal,
    pub client: Client,
    writers: Tasks,
    senders: Tasks,
    _dir: TempDir,
}

impl Desk {
    /// The users 101 to 103 and these people are in the org; `log` is what stands in the section of the settings.
    pub async fn new(people: &Value, log: &str) -> Self {
        Self::with(people, log, |_| {}).await
    }

    /// As `new`, with a last change of the settings.
    pub async fn with(people: &Value, log: &str, change: impl FnOnce(&mut ctibridge::bridge::Config)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = Options { seed: seed(people), ..Options::default() };
        let salesforce = Salesforce::start(options).await.unwrap();
        let dir = TempDir::new().unwrap();
        let mut config = world::config(&settings(&salesforce, dir.path(), log));
        change(&mut config);
        let client = Client::new(&config.salesforce).unwrap();
        let (writers, _deaths) = Tasks::new();
        let senders = writers.group();
        let journal = Journal::open(dir.path(), &writers).await.unwrap();
        let agents = config.agents.iter().map(|agent| AgentUser {
            extension: agent.extension.clone(),
            name: agent.name.clone(),
            salesforce_user: agent.salesforce_user.clone(),
        });
        let settings =
            sender::Settings::new(config.log, agents.collect(), config.match_user_extension, nobody(), TimeZone::UTC)
                .unwrap();
        senders.spawn("sender", sender::run(journal.clone(), client.clone(), settings, senders.stopping()));
        Self { salesforce, journal, client, writers, senders, _dir: dir }
    }

    pub async fn ended(&self, record: CallRecord, answer: Answer) {
        self.journal.ended(record, Some(answer)).await;
    }

    /// A call of Anna with these people, best first.
    pub async fn call(&self, unique: &str, matches: Vec<Match>) {
        self.ended(finished(unique), answer(matches)).await;
    }

    pub async fn note(&self, unique: &str, note: Note) {
        self.journal.note(key(unique).as_str(), note).await.unwrap();
    }

    /// Waits until the counts are as they should be.
    pub async fn until(&self, what: &str, within: Duration, holds: impl Fn(Counts) -> bool) {
        let until = Instant::now() + within;
        self.journal.flush().await;
        while !holds(self.journal.counts()) {
            assert!(Instant::now() < until, "{what}: {:?}, {:?}", self.journal.counts(), self.journal.sender_health());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until nothing waits.
    pub async fn settled(&self) {
        self.until("all settled", Duration::from_mins(1), |counts| counts.waiting == 0).await;
    }

    pub fn tasks(&self) -> Vec<Record> {
        self.salesforce.rows("Task")
    }

    /// The one Task of a call.
    pub fn task(&self, unique: &str) -> Record {
        let key = key(unique);
        let mut tasks = self.tasks();
        tasks.retain(|task| task["CallObject"] == key.as_str());
        assert_eq!(tasks.len(), 1, "{key}: {tasks:?}");
        tasks.remove(0)
    }

    pub async fn entries(&self, filter: Filter) -> Vec<Entry> {
        self.journal.list(filter, 100_000).await.unwrap()
    }

    /// Why the only parked entry is parked.
    pub async fn parked(&self) -> Reason {
        let parked = self.entries(Filter::Parked).await;
        match parked.as_slice() {
            [Entry { state: EntryState::Parked { reason, .. }, .. }] => reason.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub async fn stop(self) {
        self.senders.stop().await;
        drop(self.journal);
        self.writers.stop().await;
    }
}

fn settings(salesforce: &Salesforce, dir: &Path, log: &str) -> String {
    let settings = world::settings(salesforce, "ws://127.0.0.1:9/ari/events", dir);
    settings.replace("[log]\nbatch_window = \"50ms\"", &format!("[log]\n{log}"))
}

fn nobody() -> Resolve {
    Arc::new(|number| Box::pin(async move { Ok(Answer::unknown(number)) }))
}

pub fn key(unique: &str) -> CallKey {
    CallKey::new("hq", "pbx1", unique)
}

pub fn id(text: &str) -> RecordId {
    RecordId::parse(text).unwrap()
}

pub fn number() -> PhoneNumber {
    PhoneNumber::E164 { e164: CALLER.into(), extension: None }
}

pub fn answer(matches: Vec<Match>) -> Answer {
    Answer { number: number(), source: Source::Index, matches, complete: true }
}

pub fn found(object: &str, record: &str, account: Option<&str>) -> Match {
    Match {
        object: object.into(),
        id: id(record),
        name: "Erika Muster".into(),
        account: None,
        account_id: account.map(id),
        owner_id: None,
        person_contact_id: None,
        field: "Phone".into(),
        exactness: Exactness::Exact,
        group: 0,
        class: 0,
        reason: String::new(),
    }
}

/// A call that Anna answered a moment ago and spoke on for a minute.
pub fn finished(unique: &str) -> CallRecord {
    finished_at(unique, Timestamp::now())
}

pub fn finished_at(unique: &str, ended: Timestamp) -> CallRecord {
    let answered = ended - Duration::from_mins(1);
    let anna = AgentPart {
        extension: Extension("101".into()),
        rang: true,
        dialed: false,
        talk_ms: 60_000,
        last_talk: Some(ended),
    };
    CallRecord {
        call: OpenCall {
            key: key(unique),
            feed: "pbx1".into(),
            direction: Direction::Inbound,
            party: OutsideParty { number: number(), name: None },
            dialed: "+493023125101".into(),
            queue: Some("sales".into()),
            started: answered - Duration::from_secs(5),
            answered: Some(answered),
            agents: vec![anna],
            journey: Vec::new(),
            outside_legs: vec![unique.into()],
            aliases: Vec::new(),
            seen: ended,
            voicemail: false,
        },
        ended,
        end_estimated: None,
        disposition: Disposition::Answered,
        hung_up_by: None,
    }
}
