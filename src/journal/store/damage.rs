//! Files that were cut off or changed by something else: what is whole is used, or the journal is refused; no record is wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sqlx::{ConnectOptions, Connection};

use super::super::note::Note;
use super::super::op::{Op, Settled, Settlement};
use super::super::tests::{at, ended, id, open};
use super::super::{Entry, EntryId, Filter, Journal, Repairs};
use crate::lifecycle::Tasks;

/// Damaged folders.
const CASES: u64 = 200;
const FILES: [&str; 3] = ["journal.db", "journal.db-wal", "journal.ahead-0"];

/// What an entry says of a call, whatever became of it since.
fn says(entry: &Entry) -> String {
    format!("{} {:?} {:?} {:?}", entry.key, entry.agent, entry.record, entry.answer)
}

/// A folder as a kill leaves it: some of it in the database, some in its log, some ahead of both. With all that may be read from it.
async fn killed(into: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let dir = tempfile::tempdir().unwrap();
    let (tasks, _deaths) = Tasks::new();
    let journal = Journal::open(dir.path(), &tasks).await.unwrap();
    for n in 0..40 {
        journal.keep(open(&n.to_string())).await;
        if n % 2 == 0 {
            journal.ended(ended(&n.to_string()), None).await;
        }
    }
    journal.flush().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join(FILES[0]));
    let mut other = options.connect().await.unwrap();
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut other).await.unwrap();
    let note = Note { notes: Some("two boxes".into()), ..Note::default() };
    journal.note(open("0").key.as_str(), note).await.unwrap();
    let now = at("2026-11-21T13:06:00Z");
    journal.ask(Op::PutOnWire { entries: (1..=9).map(|n| (EntryId(n), 0)).collect(), at: now }).await.unwrap();
    let what = Settled::Task(id("00T5g00000ABCDEEA5"), now);
    let done = |n| Settlement { id: EntryId(n), what: what.clone(), attempts: 0, repairs: Repairs::default() };
    journal.ask(Op::Settle((2..=8).map(done).collect())).await.unwrap();

    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    for n in 40..80 {
        journal.keep(open(&n.to_string())).await;
        journal.ended(ended(&(n - 39).to_string()), None).await;
    }
    assert!(journal.kept().await, "the files ahead do not wait for the database");
    for file in FILES {
        fs::copy(dir.path().join(file), into.join(file)).unwrap();
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    journal.flush().await;
    let entries = journal.list(Filter::All, 999).await.unwrap().iter().map(says).collect();
    let calls = (0..80).map(|n| format!("{:?}", open(&n.to_string()))).collect();
    tasks.stop().await;
    (entries, calls)
}

fn damage(file: &Path, chance: &mut fastrand::Rng) -> String {
    let mut bytes = fs::read(file).unwrap();
    let at = chance.usize(..bytes.len());
    let how = match chance.u32(..3) {
        0 => {
            bytes.truncate(at);
            "cut off"
        }
        1 => {
            bytes[at] ^= 1 << chance.u32(..8);
            "flipped"
        }
        _ => {
            let end = bytes.len().min(at + 512);
            bytes[at..end].fill(0);
            "blank"
        }
    };
    fs::write(file, bytes).unwrap();
    format!("{} {how} at {at}", file.file_name().unwrap().display())
}

#[tokio::test]
async fn no_damage_makes_a_wrong_record() {
    let template = tempfile::tempdir().unwrap();
    let (entries, calls) = killed(template.path()).await;
    let (mut whole, mut partly, mut refused) = (0, 0, 0);
    for seed in 0..CASES {
        let dir = tempfile::tempdir().unwrap();
        for file in FILES {
            fs::copy(template.path().join(file), dir.path().join(file)).unwrap();
        }
        let mut chance = fastrand::Rng::with_seed(seed);
        let file = FILES[chance.usize(..FILES.len())];
        let what = damage(&dir.path().join(file), &mut chance);
        let (tasks, _deaths) = Tasks::new();
        let journal = match Journal::open(dir.path(), &tasks).await {
            Ok(journal) => journal,
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("journal.db") && said.contains("restore the file"), "{what}: {said}");
                refused += 1;
                continue;
            }
        };
        let read = journal.list(Filter::All, 999).await;
        let Ok(read) = read else {
            panic!("{what}: {read:?}");
        };
        let open = journal.open_calls().await.unwrap();
        for entry in &read {
            assert!(entries.contains(&says(entry)), "{what}: {}", says(entry));
        }
        for call in &open {
            assert!(calls.contains(&format!("{call:?}")), "{what}: {call:?}");
        }
        if read.len() + open.len() == 80 {
            whole += 1;
        } else {
            partly += 1;
        }
        tasks.stop().await;
    }
    eprintln!("{CASES} damaged folders: {whole} used whole, {partly} used as far as they are whole, {refused} refused");
    assert!(refused > 10 && partly > 10, "too few were hit where it matters");
}
