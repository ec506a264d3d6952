//! Finished calls onto the disk, against `SQLite` alone with the same rows and the same durability; how long one takes; a long backlog.
//!
//! An append counts when its commit is on the disk. `CTIBRIDGE_BENCH_WAITING` says how many entries wait in the last part.

use std::path::Path;
use std::time::{Duration, Instant};

use ctibridge::calls::record::{
    AgentPart, CallKey, CallRecord, Direction, Disposition, Extension, Happening, HungUpBy, JourneyStep, OpenCall,
    OutsideParty,
};
use ctibridge::journal::{Filter, Journal};
use ctibridge::lifecycle::Tasks;
use ctibridge::phone::PhoneNumber;
use jiff::Timestamp;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const WRITERS: usize = 64;
const ROWS: usize = 12_800;
/// Appends one by one, and how far apart they begin.
const APPENDS: usize = 5_000;
const PACE: Duration = Duration::from_millis(1);
const WAITING: usize = 100_000;

fn main() {
    Runtime::new().unwrap().block_on(async {
        throughput().await;
        latency().await;
        backlog().await;
    });
}

fn call(nth: usize) -> OpenCall {
    let at = Timestamp::from_second(1_795_282_967).unwrap();
    let steps = [
        Happening::Started,
        Happening::Queued("sales".into()),
        Happening::Rang(Extension("101".into())),
        Happening::Answered(Extension("101".into())),
        Happening::Ended(Some(HungUpBy::OutsideParty)),
    ];
    OpenCall {
        key: CallKey::new("hq", "pbx1", &format!("1795282967.{nth}")),
        feed: "pbx1".into(),
        direction: Direction::Inbound,
        party: OutsideParty {
            number: PhoneNumber::E164 { e164: "+4930231250444".into(), extension: None },
            name: None,
        },
        dialed: "+493023125101".into(),
        queue: Some("sales".into()),
        started: at,
        answered: Some(at),
        agents: vec![AgentPart {
            extension: Extension("101".into()),
            rang: true,
            dialed: false,
            talk_ms: 60_000,
            last_talk: Some(at),
        }],
        journey: steps.into_iter().map(|what| JourneyStep { at, what }).collect(),
        outside_legs: vec![format!("1795282967.{nth}")],
        aliases: Vec::new(),
        seen: at,
        voicemail: false,
    }
}

fn record(nth: usize) -> CallRecord {
    let call = call(nth);
    CallRecord {
        ended: call.seen,
        call,
        end_estimated: None,
        disposition: Disposition::Answered,
        hung_up_by: Some(HungUpBy::OutsideParty),
    }
}

async fn open(dir: &Path) -> (Journal, Tasks) {
    let (tasks, _deaths) = Tasks::new();
    (Journal::open(dir, &tasks).await.unwrap(), tasks)
}

async fn throughput() {
    let bytes = serde_json::to_string(&record(1)).unwrap().len();
    println!(
        "{ROWS} finished calls of {bytes} bytes, {WRITERS} writers that each wait for their row to be on the disk"
    );
    println!("{:<52}{:>10}{:>12}", "", "rows/s", "of limit");
    let limit = raw().await;
    println!("{:<52}{limit:>10.0}", "limit: SQLite alone, 64 rows a commit");
    let ours = journal().await;
    println!("{:<52}{ours:>10.0}{:>11.0}%", "journal", ours / limit * 100.0);
}

/// One connection, prepared statements, a commit with its fsync for each row of every writer.
async fn raw() -> f64 {
    let dir = TempDir::new().unwrap();
    let mut connection = connect(dir.path()).await;
    sqlx::raw_sql(
        "CREATE TABLE entries (id INTEGER PRIMARY KEY, call TEXT NOT NULL UNIQUE, record TEXT NOT NULL) STRICT",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let began = Instant::now();
    for batch in 0..ROWS / WRITERS {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
        for nth in 0..WRITERS {
            let record = record(batch * WRITERS + nth);
            sqlx::query("INSERT INTO entries (call, record) VALUES (?1, ?2)")
                .bind(record.call.key.as_str())
                .bind(serde_json::to_string(&record).unwrap())
                .execute(&mut connection)
                .await
                .unwrap();
        }
        sqlx::query("COMMIT").execute(&mut connection).await.unwrap();
    }
    rate(ROWS, began.elapsed())
}

async fn connect(dir: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(dir.join("raw.db")).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    options.disable_statement_logging().connect().await.unwrap()
}

async fn journal() -> f64 {
    let dir = TempDir::new().unwrap();
    let (journal, tasks) = open(dir.path()).await;
    let (began, mut writers) = (Instant::now(), JoinSet::new());
    for writer in 0..WRITERS {
        let journal = journal.clone();
        writers.spawn(async move {
            for nth in (writer..ROWS).step_by(WRITERS) {
                journal.ended(record(nth), None).await;
                journal.flush().await;
            }
        });
    }
    writers.join_all().await;
    let rate = rate(ROWS, began.elapsed());
    assert_eq!(journal.counts().waiting, ROWS as u64);
    tasks.stop().await;
    rate
}

async fn latency() {
    println!("\n{APPENDS} of each, one every {PACE:?}; times in µs");
    println!("{:<52}{:>10}{:>10}", "", "p50", "p99");
    let dir = TempDir::new().unwrap();
    let (journal, tasks) = open(dir.path()).await;
    let began = journal.clone();
    print("a call that rings: until a kill cannot lose it", &paced(move |nth| rings(began.clone(), nth)).await);
    let over = journal.clone();
    print("a call that is over: until it is on the disk", &paced(move |nth| ends(over.clone(), nth)).await);
    tasks.stop().await;
}

async fn rings(journal: Journal, nth: usize) {
    journal.keep(call(nth)).await;
    assert!(journal.kept().await);
}

async fn ends(journal: Journal, nth: usize) {
    journal.ended(record(nth), None).await;
    journal.flush().await;
}

async fn paced<F: Future<Output = ()> + Send + 'static>(append: impl Fn(usize) -> F) -> Vec<Duration> {
    let (mut pace, mut under_way) = (interval(PACE), JoinSet::new());
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for nth in 0..APPENDS {
        pace.tick().await;
        let append = append(nth);
        under_way.spawn(async move {
            let began = Instant::now();
            append.await;
            began.elapsed()
        });
    }
    let mut times = under_way.join_all().await;
    times.sort();
    times
}

fn print(name: &str, sorted: &[Duration]) {
    let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    println!("{name:<52}{:>10.0}{:>10.0}", at(50), at(99));
}

async fn backlog() {
    #[expect(clippy::disallowed_methods, reason = "a bench has no settings")]
    let waiting = std::env::var("CTIBRIDGE_BENCH_WAITING").ok();
    let waiting = waiting.and_then(|text| text.parse().ok()).unwrap_or(WAITING);
    let dir = TempDir::new().unwrap();
    let (journal, tasks) = open(dir.path()).await;
    for nth in 0..waiting {
        journal.ended(record(nth), None).await;
    }
    journal.flush().await;
    tasks.stop().await;
    drop(journal);
    let size = std::fs::metadata(dir.path().join("journal.db")).unwrap().len() >> 20;
    let before = resident();
    let began = Instant::now();
    let (journal, tasks) = open(dir.path()).await;
    let opened = began.elapsed();
    let began = Instant::now();
    let read = journal.list(Filter::Waiting, 200).await.unwrap().len();
    let first = began.elapsed();
    let more = resident().saturating_sub(before) >> 10;
    println!(
        "\n{waiting} entries that wait, {size} MiB on disk: opened in {opened:.1?}, {read} read in {first:.1?}, {more} MiB more memory"
    );
    assert_eq!((journal.counts().waiting, read), (waiting as u64, 200));
    tasks.stop().await;
}

/// `VmRSS` of this process, in KiB (proc(5)).
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn rate(rows: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(rows).unwrap()) / took.as_secs_f64()
}
