//! The way into Salesforce, against a small org on a real socket.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::note::Note;
use super::super::op::Op;
use super::super::sender::{self, Resolve, Settings};
use super::super::{Config, Counts, EntryId, EntryState, Filter, Journal, Per, SenderState};
use super::{agent, config, ended, id};
use crate::directory::answer::{Answer, Exactness, Match, Source};
use crate::lifecycle::Tasks;
use crate::salesforce::testing::{Org, Reply, Seen};

/// A story ends in less; only a broken one waits for so long.
const CEILING: Duration = Duration::from_secs(20);

/// What the org does with the next writes, in turn; then it does what it is told.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// Writes the rows, and the answer is lost.
    Lossy,
    /// Does nothing, and says that it is not there.
    Away,
}

#[derive(Default)]
struct Books {
    tasks: Vec<Value>,
    moods: Vec<Mood>,
    /// Keys of rows that a rule of the org forbids.
    forbidden: BTreeSet<String>,
    /// Keys of rows that spoil the whole request.
    poison: BTreeSet<String>,
    writes: usize,
}

type Shared = Arc<Mutex<Books>>;

async fn org(books: &Shared) -> Arc<Org> {
    let books = Arc::clone(books);
    Org::start(move |seen| books.lock().unwrap().reply(seen)).await
}

impl Books {
    fn reply(&mut self, seen: &Seen) -> Option<Reply> {
        if seen.path.contains("/query") {
            return Some((200, self.query(&seen.question)));
        }
        if !seen.path.contains("/composite/sobjects") {
            return None;
        }
        self.writes += 1;
        let rows: Value = serde_json::from_str(&seen.body).unwrap();
        let rows = rows["records"].as_array().unwrap();
        if rows.iter().any(|row| self.poison.contains(text(row, "CallObject"))) {
            let refusal = json!([{"message": "No such column", "errorCode": "INVALID_FIELD"}]);
            return Some((400, refusal.to_string()));
        }
        let mood = (!self.moods.is_empty()).then(|| self.moods.remove(0));
        if mood == Some(Mood::Away) {
            return Some((504, "<html>".into()));
        }
        let outcomes: Vec<Value> = rows.iter().map(|row| self.write(row)).collect();
        Some(match mood {
            Some(Mood::Lossy) => (504, "<html>".into()),
            Some(Mood::Away) | None => (200, Value::Array(outcomes).to_string()),
        })
    }

    fn write(&mut self, row: &Value) -> Value {
        if self.forbidden.contains(text(row, "CallObject")) {
            return json!({"success": false, "errors": [
                {"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "No", "fields": []}]});
        }
        if let Some(known) = self.known(row) {
            let update = row.as_object().unwrap().clone();
            known.as_object_mut().unwrap().extend(update);
            return json!({"id": known["Id"], "success": true, "errors": []});
        }
        let mut row = row.clone();
        row["Id"] = json!(format!("00T{:012}", self.tasks.len() + 1));
        self.tasks.push(row.clone());
        json!({"id": row["Id"], "success": true, "errors": []})
    }

    /// By its id (15 characters as it was made, 18 as it is sent), or its external id.
    fn known(&mut self, row: &Value) -> Option<&mut Value> {
        let (own, key) = (text(row, "id").to_owned(), text(row, "Call__c").to_owned());
        self.tasks.iter_mut().find(|task| {
            (!own.is_empty() && own.starts_with(text(task, "Id"))) || (!key.is_empty() && text(task, "Call__c") == key)
        })
    }

    fn query(&self, question: &str) -> String {
        let records: Vec<Value> = if question.contains("FROM TaskStatus") {
            vec![
                json!({"attributes": {"type": "TaskStatus"}, "Id": "01J000000000001", "ApiName": "Done", "MasterLabel": "Done", "IsClosed": true, "IsDefault": true}),
            ]
        } else if question.contains("FROM Task") {
            let asked = |task: &&Value| question.contains(&format!("'{}'", text(task, "CallObject")));
            self.tasks.iter().filter(asked).map(found).collect()
        } else {
            Vec::new()
        };
        json!({"totalSize": records.len(), "done": true, "records": records}).to_string()
    }

    fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.tasks.iter().map(|task| text(task, "CallObject").to_owned()).collect();
        keys.sort();
        keys
    }
}

fn found(task: &Value) -> Value {
    json!({"attributes": {"type": "Task"}, "Id": task["Id"], "CallObject": task["CallObject"],
        "Call__c": task["Call__c"], "IsDeleted": false})
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

fn quick() -> Config {
    Config { batch_window: Duration::from_millis(50), settle_after: Duration::from_secs(2), ..config() }
}

fn nobody() -> Resolve {
    Arc::new(|number| Box::pin(async move { Ok(Answer::unknown(number)) }))
}

fn somebody() -> Resolve {
    Arc::new(|number| {
        Box::pin(async move { Ok(Answer { number, source: Source::Live, matches: vec![contact()], complete: true }) })
    })
}

fn contact() -> Match {
    Match {
        object: "Contact".into(),
        id: id("003000000000001"),
        name: "Erika Mustermann".into(),
        account: None,
        account_id: None,
        owner_id: None,
        person_contact_id: None,
        field: "Phone".into(),
        exactness: Exactness::Exact,
        group: 0,
        class: 0,
        reason: String::new(),
    }
}

/// A daemon's part that this is about, from its start to its end.
struct Bridge {
    journal: Journal,
    stop: CancellationToken,
    senders: Tasks,
    writers: Tasks,
}

impl Bridge {
    async fn start(dir: &Path, org: &Org, config: Config, resolve: Resolve) -> Self {
        let (writers, _deaths) = Tasks::new();
        let senders = writers.group();
        let stop = senders.stopping();
        let journal = Journal::open(dir, &writers).await.unwrap();
        let settings = Settings::new(config, Vec::new(), true, resolve, TimeZone::UTC).unwrap();
        senders.spawn("sender", sender::run(journal.clone(), org.client(), settings, stop.clone()));
        Self { journal, stop, senders, writers }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.senders.stop().await;
        drop(self.journal);
        self.writers.stop().await;
    }

    async fn until(&self, what: &str, reached: impl Fn(Counts) -> bool) {
        let waited = tokio::time::timeout(CEILING, async {
            while !reached(self.journal.counts()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what}: {:?}", self.journal.counts());
    }

    async fn all_done(&self, count: u64) {
        self.until("all done", |counts| counts.done == count && counts.waiting == 0).await;
    }
}

#[tokio::test]
async fn finished_calls_become_one_task_each_in_one_request() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Shared::default());
    let org = org(&books).await;
    let bridge = Bridge::start(dir.path(), &org, quick(), nobody()).await;
    for name in ["1", "2", "3"] {
        bridge.journal.ended(ended(name), None).await;
    }
    bridge.all_done(3).await;
    let books = books.lock().unwrap();
    assert_eq!(books.keys(), ["hq-pbx1-1", "hq-pbx1-2", "hq-pbx1-3"]);
    assert_eq!(books.writes, 1);
    assert_eq!(text(&books.tasks[0], "Status"), "Done");
    assert_eq!(text(&books.tasks[0], "OwnerId"), "005xx000001SwiUAAS", "the API user's");
    assert_eq!(bridge.journal.sender_health().state, SenderState::Up);
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_task() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Shared::default());
    let org = org(&books).await;
    books.lock().unwrap().moods = vec![Mood::Lossy];
    let bridge = Bridge::start(dir.path(), &org, quick(), nobody()).await;
    bridge.journal.ended(ended("1"), None).await;
    bridge.journal.ended(ended("2"), None).await;
    bridge.all_done(2).await;
    let books = books.lock().unwrap();
    assert_eq!(books.keys(), ["hq-pbx1-1", "hq-pbx1-2"]);
    assert_eq!(books.writes, 1, "found by a look-up");
}

#[tokio::test]
async fn what_a_look_up_does_not_find_is_sent_again_after_its_time() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Shared::default());
    let org = org(&books).await;
    books.lock().unwrap().moods = vec![Mood::Away];
    let bridge = Bridge::start(dir.path(), &org, quick(), nobody()).await;
    let began = std::time::Instant::now();
    bridge.journal.ended(ended("1"), None).await;
    bridge.all_done(1).await;
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(books.lock().unwrap().keys(), ["hq-pbx1-1"]);
    assert_eq!(books.lock().unwrap().writes, 2);
}

#[tokio::test]
async fn an_upsert_whose_answer_was_lost_is_looked_up_and_sent_again_at_once_when_it_is_not_there() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Shared::default());
    let org = org(&books).await;
    books.lock().unwrap().moods = vec![Mood::Lossy];
    let config = Config { external_id_field: "Call__c".into(), settle_after: CEILING * 9, ..quick() };
    let bridge = Bridge::start(dir.path(), &org, config, nobody()).await;
    bridge.journal.ended(ended("1"), None).await;
    bridge.all_done(1).await;
    assert_eq!(books.lock().unwrap().writes, 1, "found");
    assert!(org.requests("/queryAll").iter().all(|seen| seen.question.contains("WHERE Call__c IN")));
    books.lock().unwrap().moods = vec![Mood::Away];
    bridge.journal.ended(ended("2"), None).await;
    bridge.all_done(2).await;
    assert_eq!(books.lock().unwrap().keys(), ["hq-pbx1-1", "hq-pbx1-2"]);
    assert_eq!(books.lock().unwrap().writes, 3);
}

#[tokio::test]
async fn a_daemon_that_died_between_disk_and_network_asks_before_it_sends() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Shared::default());
    let org = org(&books).await;
    let (writers, _deaths) = Tasks::new();
    let journal = Journal::open(dir.path(), &writers).await.unwrap();
    journal.ended(ended("1"), None).await;
    journal.ended(ended("2"), None).await;
    let entries = vec![(EntryId(1), 0), (EntryId(2), 0)];
    let at = jiff::Timestamp::now();
    journal.ask(Op::PutOnWire { entries, at }).await.unwrap();
    drop(journal);
    writers.stop().await;
    let written = json!({"Id": "00T000000000777", "CallObject": "hq-pbx1-1"});
    books.lock().unwrap().tasks.push(written);
    let bridge = Bridge::start(dir.path(), &org, quick(), nobody()).await;
    bridge.all_done(2).await;
    assert_eq!(books.lock().unwrap().keys(), ["hq-pbx1-1", "hq-pbx1-2"]);
    let first = bridge.journal.entry(EntryId(1)).await.unwrap().unwrap();
    assert_eq!(first.task, Some(id("00T000000000777")));
}

#[tokio::test]
async fn one_bad_row_is_parked_and_the_others_pass() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Shared::default());
    let org = org(&books).await;
    books.lock().unwrap().forbidden.insert("hq-pbx1-2".into());
    let bridge = Bridge::start(dir.path(), &org, quick(), nobody()).await;
    for name in ["1", "2", "3"] {
        bridge.journal.ended(ended(name), None).await;
    }
    bridge.until("parked", |counts| counts.parked == 1 && counts.done == 2).await;
    let parked = bridge.journal.list(Filter::Parked, 9).await.unwrap().remove(0);
    let EntryState::Parked { reason, .. } = parked.state else {
        panic!("not parked");
    };
    assert_eq!(reason.code, "FIELD_CUSTOM_VALIDATION_EXCEPTION");
    books.lock().unwrap().forbidden.clear();
    bridge.journal.retry(parked.id).await.unwrap();
    bridge.all_done(3).await;
}

#[tokio::test]
async fn a_row_that_spoils_its_request_is_set_apart() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Shared::default());
    let org = org(&books).await;
    books.lock().unwrap().poison.insert("hq-pbx1-2".into());
    let bridge = Bridge::start(dir.path(), &org, quick(), nobody()).await;
    for name in ["1", "2", "3"] {
        bridge.journal.ended(ended(name), None).await;
    }
    bridge.until("others done", |counts| counts.done == 2 && counts.waiting == 1).await;
    assert_eq!(books.lock().unwrap().keys(), ["hq-pbx1-1", "hq-pbx1-3"]);
}

#[tokio::test]
async fn a_note_after_the_task_updates_it() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Shared::default());
    let org = org(&books).await;
    let bridge = Bridge::start(dir.path(), &org, quick(), nobody()).await;
    bridge.journal.ended(ended("1"), None).await;
    bridge.all_done(1).await;
    let note = Note {
        extension: Some("101".into()),
        disposition: Some("Sold".into()),
        notes: Some("two boxes".into()),
        record_id: Some(id("003000000000001")),
    };
    bridge.journal.note("hq-pbx1-1", note).await.unwrap();
    bridge.until("noted", |_| text(&books.lock().unwrap().tasks[0], "CallDisposition") == "Sold").await;
    bridge.all_done(1).await;
    let books = books.lock().unwrap();
    assert_eq!(books.tasks.len(), 1);
    assert!(text(&books.tasks[0], "Description").ends_with("two boxes"));
    assert_eq!(text(&books.tasks[0], "WhoId"), id("003000000000001").as_str());
}

#[tokio::test]
async fn a_caller_who_was_not_known_in_time_is_asked_for_again() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Shared::default());
    let org = org(&books).await;
    let bridge = Bridge::start(dir.path(), &org, quick(), somebody()).await;
    bridge.journal.ended(ended("1"), None).await;
    bridge.all_done(1).await;
    assert_eq!(text(&books.lock().unwrap().tasks[0], "WhoId"), id("003000000000001").as_str());
    let entry = bridge.journal.entry(EntryId(1)).await.unwrap().unwrap();
    assert_eq!(entry.answer.map(|answer| answer.source), Some(Source::Live), "and kept on disk");
}

#[tokio::test]
async fn each_agent_who_talked_has_a_task_of_its_own() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Shared::default());
    let org = org(&books).await;
    let config = Config { per: Per::Agent, ..quick() };
    let bridge = Bridge::start(dir.path(), &org, config, nobody()).await;
    let mut record = ended("1");
    record.call.agents = vec![agent("101", 5_000), agent("102", 0), agent("103", 9_000)];
    bridge.journal.ended(record.clone(), None).await;
    bridge.all_done(2).await;
    bridge.journal.ended(record, None).await;
    bridge.journal.flush().await;
    bridge.all_done(2).await;
    assert_eq!(books.lock().unwrap().keys(), ["hq-pbx1-1-101", "hq-pbx1-1-103"]);
}

#[tokio::test]
async fn an_outage_keeps_everything_and_drains_in_full_batches() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Shared::default());
    let gone = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let org = {
        let (books, gone) = (Arc::clone(&books), Arc::clone(&gone));
        Org::start(move |seen| {
            if gone.load(std::sync::atomic::Ordering::SeqCst) {
                return Some((503, "<html>".into()));
            }
            books.lock().unwrap().reply(seen)
        })
        .await
    };
    let bridge = Bridge::start(dir.path(), &org, quick(), nobody()).await;
    for n in 0..500 {
        bridge.journal.ended(ended(&n.to_string()), None).await;
    }
    bridge.until("down", |_| bridge.journal.sender_health().state == SenderState::Down).await;
    assert!(bridge.journal.sender_health().waiting_since.is_some());
    gone.store(false, std::sync::atomic::Ordering::SeqCst);
    bridge.all_done(500).await;
    let books = books.lock().unwrap();
    assert_eq!(books.keys().into_iter().collect::<BTreeSet<_>>().len(), 500);
    assert_eq!((books.tasks.len(), books.writes), (500, 3));
}

#[tokio::test]
async fn a_stop_leaves_nothing_half_done() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Shared::default());
    let org = org(&books).await;
    let bridge = Bridge::start(dir.path(), &org, quick(), nobody()).await;
    for n in 0..50 {
        bridge.journal.ended(ended(&n.to_string()), None).await;
    }
    bridge.stop().await;
    let bridge = Bridge::start(dir.path(), &org, quick(), nobody()).await;
    bridge.all_done(50).await;
    assert_eq!(books.lock().unwrap().tasks.len(), 50);
}
