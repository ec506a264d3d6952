//! What the disk holds, whatever happens to the daemon.

use std::path::Path;

use super::super::entry::EntryState;
use super::super::note::{Note, Noted};
use super::super::{Changed, Counts, EntryId, Filter, Journal, JournalError};
use super::{ended, open};
use crate::calls::record::Extension;
use crate::directory::answer::{Answer, Source};
use crate::lifecycle::Tasks;

async fn opened(dir: &Path) -> (Journal, Tasks) {
    let (tasks, _deaths) = Tasks::new();
    (Journal::open(dir, &tasks).await.unwrap(), tasks)
}

fn note(text: &str) -> Note {
    Note { extension: Some("101".into()), notes: Some(text.into()), ..Note::default() }
}

async fn waiting(journal: &Journal) -> Vec<String> {
    let list = journal.list(Filter::Waiting, 100).await.unwrap();
    list.into_iter().map(|entry| entry.key).collect()
}

#[tokio::test]
async fn a_call_that_rings_is_there_after_a_restart_as_it_last_was() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, tasks) = opened(dir.path()).await;
    journal.keep(open("1")).await;
    let mut later = open("1");
    later.queue = Some("sales".into());
    journal.keep(later.clone()).await;
    journal.keep(open("2")).await;
    journal.forget(open("2").key).await;
    tasks.stop().await;
    drop(journal);
    let (journal, _tasks) = opened(dir.path()).await;
    assert_eq!(journal.open_calls().await.unwrap(), [later]);
    assert_eq!(journal.counts(), Counts { open: 1, ..Counts::default() });
}

#[tokio::test]
async fn a_call_that_ended_twice_is_one_entry() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _tasks) = opened(dir.path()).await;
    journal.keep(open("1")).await;
    journal.ended(ended("1"), None).await;
    journal.ended(ended("1"), None).await;
    journal.flush().await;
    journal.ended(ended("1"), None).await;
    journal.flush().await;
    assert_eq!(waiting(&journal).await, ["hq-pbx1-1"]);
    assert_eq!(journal.counts(), Counts { waiting: 1, ..Counts::default() });
}

#[tokio::test]
async fn calls_that_end_together_are_an_entry_each_in_their_order_with_what_is_known_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _tasks) = opened(dir.path()).await;
    journal.ended(ended("0"), None).await;
    journal.flush().await;
    assert_eq!(journal.drop_entry(EntryId(1)).await.unwrap(), Changed::Done);
    journal.keep(open("7")).await;
    assert_eq!(journal.note(open("7").key.as_str(), note("hello")).await.unwrap(), Noted::Open);
    let answer = Answer { number: open("9").party.number, source: Source::Live, matches: Vec::new(), complete: true };
    for nth in (0..200).chain(50..60) {
        let answer = (nth == 9).then(|| answer.clone());
        journal.ended(ended(&nth.to_string()), answer).await;
    }
    journal.flush().await;
    let mut entries = journal.list(Filter::Waiting, 1_000).await.unwrap();
    entries.reverse();
    let keys: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    let wanted: Vec<String> = (1..200).map(|nth| format!("hq-pbx1-{nth}")).collect();
    assert_eq!(keys, wanted, "without the one that was given up");
    assert_eq!(entries[6].notes, [note("hello")]);
    assert_eq!(entries.iter().filter(|entry| !entry.notes.is_empty()).count(), 1);
    assert_eq!(entries[8].answer, Some(answer));
    assert_eq!(entries.iter().filter(|entry| entry.answer.is_some()).count(), 1);
    assert_eq!(journal.counts(), Counts { waiting: 199, ..Counts::default() });
}

#[tokio::test]
async fn a_late_word_of_an_ended_call_does_not_bring_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _tasks) = opened(dir.path()).await;
    journal.keep(open("1")).await;
    journal.ended(ended("1"), None).await;
    journal.keep(open("1")).await;
    journal.flush().await;
    journal.keep(open("1")).await;
    journal.flush().await;
    assert_eq!(journal.open_calls().await.unwrap(), []);
    journal.forget(open("1").key).await;
    journal.flush().await;
    assert_eq!(waiting(&journal).await.len(), 1, "and to forget it takes no entry");
}

#[tokio::test]
async fn a_burst_is_all_there_and_the_file_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, tasks) = opened(dir.path()).await;
    for n in 0..3_000 {
        let name = n.to_string();
        journal.keep(open(&name)).await;
        if n % 2 == 0 {
            journal.ended(ended(&name), None).await;
        }
    }
    journal.flush().await;
    let counts = Counts { open: 1_500, waiting: 1_500, ..Counts::default() };
    assert_eq!(journal.counts(), counts);
    tasks.stop().await;
    drop(journal);
    let (journal, _tasks) = opened(dir.path()).await;
    assert_eq!(journal.counts(), counts);
    assert_eq!(journal.open_calls().await.unwrap().len(), 1_500);
}

#[tokio::test]
async fn a_note_finds_the_call_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _tasks) = opened(dir.path()).await;
    journal.keep(open("1")).await;
    let key = open("1").key.to_string();
    assert_eq!(journal.note(&key, note("hello")).await.unwrap(), Noted::Open);
    journal.keep(open("1")).await;
    journal.ended(ended("1"), None).await;
    assert_eq!(journal.note(&key, note("again")).await.unwrap(), Noted::Waiting);
    assert_eq!(journal.note("nobody", note("x")).await.unwrap(), Noted::NotFound);
    let entry = journal.entry(EntryId(1)).await.unwrap().unwrap();
    assert_eq!(entry.notes, [note("again")]);
    assert_eq!(journal.agents_of(&key).await, Some(vec![Extension("101".into())]));
    assert_eq!(journal.agents_of("nobody").await, None);
}

#[tokio::test]
async fn what_an_operator_gives_up_stays_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _tasks) = opened(dir.path()).await;
    journal.ended(ended("1"), None).await;
    journal.flush().await;
    assert_eq!(journal.drop_entry(EntryId(1)).await.unwrap(), Changed::Done);
    assert_eq!(journal.drop_entry(EntryId(1)).await.unwrap(), Changed::NotFound);
    journal.ended(ended("1"), None).await;
    journal.keep(open("1")).await;
    journal.flush().await;
    assert_eq!(journal.counts(), Counts::default());
    assert_eq!(journal.retry(EntryId(1)).await.unwrap(), Changed::NotFound);
}

#[tokio::test]
async fn two_daemons_do_not_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (_journal, tasks) = opened(dir.path()).await;
    let (others, _deaths) = Tasks::new();
    let second = Journal::open(dir.path(), &others).await;
    assert!(matches!(second, Err(JournalError::InUse { .. })));
    tasks.stop().await;
    assert!(Journal::open(dir.path(), &others).await.is_ok());
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("journal.db"), "not a database at all, but long enough ".repeat(99)).unwrap();
    let (tasks, _deaths) = Tasks::new();
    let Err(error) = Journal::open(dir.path(), &tasks).await else {
        panic!("opened");
    };
    assert!(error.to_string().contains("damaged") && error.to_string().contains("backup"), "{error}");
}

#[tokio::test]
async fn entries_are_listed_latest_first_and_by_state() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _tasks) = opened(dir.path()).await;
    for name in ["1", "2", "3"] {
        journal.ended(ended(name), None).await;
    }
    journal.flush().await;
    assert_eq!(waiting(&journal).await, ["hq-pbx1-3", "hq-pbx1-2", "hq-pbx1-1"]);
    assert_eq!(journal.list(Filter::Pending, 2).await.unwrap().len(), 2);
    assert_eq!(journal.list(Filter::Parked, 9).await.unwrap(), []);
    let first = journal.entry(EntryId(1)).await.unwrap().unwrap();
    assert_eq!(first.state, EntryState::due());
}
