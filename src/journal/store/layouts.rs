//! What an earlier release wrote, and what a change of the layout may not do to it.

use std::path::Path;

use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::super::error::JournalError;
use super::super::note::Note;
use super::super::op::Op;
use super::super::tests::{at, ended, id, open};
use super::super::{Counts, Entry, EntryId, EntryState, Filter, Journal};
use crate::calls::record::Extension;
use crate::lifecycle::Tasks;

/// A state folder as the first release left it.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal/layout-1/journal.db");
    std::fs::copy(file, dir.path().join("journal.db")).unwrap();
    dir
}

async fn connect(dir: &Path) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("journal.db"));
    options.disable_statement_logging().connect().await.unwrap()
}

async fn number(connection: &mut SqliteConnection, question: &'static str) -> i64 {
    sqlx::query_scalar(question).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn a_journal_of_the_first_release_opens_with_all_that_is_in_it() {
    let dir = folder();
    let (tasks, _deaths) = Tasks::new();
    let journal = Journal::open(dir.path(), &tasks).await.unwrap();
    assert_eq!(journal.counts(), Counts { open: 2, waiting: 6, parked: 1, done: 1 });
    let mut calls = journal.open_calls().await.unwrap();
    calls.sort_by_key(|call| call.key.to_string());
    assert_eq!(calls, [open("open-1"), open("open-2")]);
    let all = journal.list(Filter::All, 99).await.unwrap();
    let of = |key: &str| -> &Entry { all.iter().find(|entry| entry.key == format!("hq-pbx1-{key}")).unwrap() };
    assert_eq!(of("waiting").record, ended("waiting"));
    assert_eq!(of("waiting").notes.len(), 1);
    assert!(of("waiting").answer.is_some());
    let EntryState::Waiting { not_before, reason: Some(_) } = &of("later").state else { panic!("{:?}", of("later")) };
    assert_eq!(*not_before, Some(at("2026-11-21T14:06:00Z")));
    let sent = at("2026-11-21T13:06:00Z");
    assert_eq!(of("wire").state, EntryState::Wire { since: sent, look_at: None });
    assert_eq!(of("lost").state, EntryState::Wire { since: sent, look_at: Some(at("2026-11-21T14:06:00Z")) });
    assert_eq!(of("done").state, EntryState::Done { at: sent });
    assert_eq!(of("done").task, Some(id("00T5g00000ABCDEEA5")));
    assert!(matches!(of("parked").state, EntryState::Parked { .. }));
    assert_eq!(of("agents-102").agent, Some(Extension("102".into())));
    assert_eq!(all.len(), 8);

    let note = Note { extension: Some("101".into()), ..Note::default() };
    journal.note(open("open-2").key.as_str(), note).await.unwrap();
    journal.ended(ended("open-2"), None).await;
    journal.ended(ended("given-up"), None).await;
    journal.flush().await;
    let ended = journal.list(Filter::All, 99).await.unwrap();
    assert_eq!(ended.len(), 9, "what was dropped stays dropped");
    assert_eq!(ended[0].notes[0].notes.as_deref(), Some("call back on Monday"));
}

#[tokio::test]
async fn a_newer_journal_is_left_alone() {
    let dir = folder();
    let mut connection = connect(dir.path()).await;
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (tasks, _deaths) = Tasks::new();
    let Err(error) = Journal::open(dir.path(), &tasks).await else { panic!("opened") };
    assert!(matches!(error, JournalError::Newer { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn a_file_gives_back_the_room_of_what_is_forgotten() {
    for dir in [folder(), tempfile::tempdir().unwrap()] {
        let (tasks, _deaths) = Tasks::new();
        let journal = Journal::open(dir.path(), &tasks).await.unwrap();
        for n in 0..2_000 {
            journal.ended(ended(&n.to_string()), None).await;
        }
        journal.flush().await;
        let mut connection = connect(dir.path()).await;
        sqlx::raw_sql("UPDATE entries SET state = 'done'").execute(&mut connection).await.unwrap();
        let full = number(&mut connection, "PRAGMA page_count").await;
        journal.ask(Op::Prune { before: at("2026-11-29T00:00:00Z") }).await.unwrap();
        let left = number(&mut connection, "PRAGMA page_count").await;
        assert!(full > 300 && left < 30, "{full} pages, then {left}");
        assert_eq!(journal.entry(EntryId(1)).await.unwrap(), None);
        tasks.stop().await;
    }
}
