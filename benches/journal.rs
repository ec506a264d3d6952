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
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const WRITERS: usize = 64;
const ROWS: usize = 12_800;
const ROUNDS: usize = 5;
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

/// Turn by turn, since other programs use the machine as well; told is the middle of the rounds.
async fn throughput() {
    let bytes = serde_json::to_string(&record(1)).unwrap().len();
    println!(
        "{ROWS} finished calls of {bytes} bytes, {WRITERS} writers that each wait for their row to be on the disk; {ROUNDS} rounds"
    );
    println!("{:<52}{:>10}{:>12}", "", "rows/s", "of limit");
    let (mut single, mut together, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        single.push(raw(1).await);
        ours.push(journal().await);
        together.push(raw(WRITERS).await);
    }
    let share = |limits: &[f64]| middle(ours.iter().zip(limits).map(|(ours, limit)| ours / limit * 100.0).collect());
    let (of_single, of_together) = (share(&single), share(&together));
    println!("{:<52}{:>10.0}", "limit: SQLite alone, 64 rows a commit, one by one", middle(single));
    println!("{:<52}{:>10.0}", "limit: the same, all 64 in one statement", middle(together));
    println!("{:<52}{:>10.0}{of_single:>10.0}%,{of_together:>4.0}%", "journal", middle(ours));
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// One connection, prepared statements of so many rows, a commit with its fsync for each row of every writer.
async fn raw(rows: usize) -> f64 {
    let dir = TempDir::new().unwrap();
    let mut connection = connect(dir.path()).await;
    let began = Instant::now();
    for batch in 0..ROWS / WRITERS {
        let records: Vec<_> = (0..WRITERS).map(|nth| record(batch * WRITERS + nth)).collect();
        commit(&mut connection, &records, rows).await;
    }
    rate(ROWS, began.elapsed())
}

async fn commit(connection: &mut SqliteConnection, records: &[CallRecord], rows: usize) {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
    for records in records.chunks(rows) {
        let values = vec!["(?, ?)"; records.len()].join(", ");
        let text = format!("INSERT INTO entries (call, record) VALUES {values}");
        let statement = records.iter().fold(sqlx::query(AssertSqlSafe(text)), |statement, record| {
            statement.bind(record.call.key.to_string()).bind(serde_json::to_string(record).unwrap())
        });
        statement.execute(&mut *connection).await.unwrap();
    }
    sqlx::query("COMMIT").execute(&mut *connection).await.unwrap();
}

async fn connect(dir: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(dir.join("raw.db")).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let mut connection = options.disable_statement_logging().connect().await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE entries (id INTEGER PRIMARY KEY, call TEXT NOT NULL UNIQUE, record TEXT NOT NULL) STRICT",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection
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
    let alone = alone().await;
    print("the same in SQLite alone", &paced(move |nth| append(alone.clone(), nth)).await);
}

type Waiting = (CallRecord, oneshot::Sender<()>);

/// Takes all that waits into one commit, and says so.
async fn alone() -> mpsc::Sender<Waiting> {
    let dir = TempDir::new().unwrap();
    let mut connection = connect(dir.path()).await;
    let (appends, mut queue) = mpsc::channel::<Waiting>(APPENDS);
    tokio::task::spawn_blocking(move || {
        let _dir = dir;
        while let Some(first) = queue.blocking_recv() {
            let mut waiting = vec![first];
            while let Ok(more) = queue.try_recv() {
                waiting.push(more);
            }
            let (records, replies): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
            Handle::current().block_on(commit(&mut connection, &records, 1));
            for reply in replies {
                reply.send(()).unwrap();
            }
        }
    });
    appends
}

async fn append(queue: mpsc::Sender<Waiting>, nth: usize) {
    let (reply, done) = oneshot::channel();
    queue.send((record(nth), reply)).await.unwrap();
    done.await.unwrap();
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
