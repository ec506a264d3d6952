//! The daemon is killed at a chosen system call, so that each hand-over is hit: between a line and its commit, a commit and its request, an
//! answer and its mark, and within a change of the journal's layout.
//!
//! strace kills it from outside as it enters the call, so the program knows nothing of the test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use sqlx::Connection;

use crate::support::site::{Site, erika, short_call, text};
use crate::support::world::SOON;

/// Lives that are ended for each of the calls; `CTIBRIDGE_TEST_KILLS` gives more.
const LIVES: u32 = 3;
/// A life that gets past its call ends after this long.
const LIFE: Duration = Duration::from_secs(3);
/// Where it is killed: lines ahead and the log, the database, the disk, the network, what comes from it.
const AT: [&str; 5] = ["write", "pwrite64", "fsync,fdatasync", "sendto,writev,sendmsg", "recvfrom"];

fn has_strace() -> bool {
    let found = Command::new("strace").args(["-e", "trace=none", "true"]).output().is_ok_and(|it| it.status.success());
    if !found {
        eprintln!("skipped: strace cannot be used here");
    }
    found
}

fn lives() -> u32 {
    #[expect(clippy::disallowed_methods, reason = "a test has no settings; a release sets it")]
    let wanted = std::env::var("CTIBRIDGE_TEST_KILLS").ok();
    wanted.and_then(|text| text.parse::<u32>().ok()).map_or(LIVES, |kills| kills.div_ceil(5))
}

/// How often each thread made each of these calls in a life that was left alone, at most.
fn count(trace: &str, calls: &str) -> u64 {
    let mut threads: BTreeMap<&str, u64> = BTreeMap::new();
    for line in trace.lines().filter_map(|line| line.split_once(' ')) {
        let (thread, call) = (line.0, line.1.trim_start());
        if calls.split(',').any(|name| call.starts_with(&format!("{name}("))) {
            *threads.entry(thread).or_default() += 1;
        }
    }
    threads.into_values().max().unwrap_or(0)
}

/// Calls come until the daemon is dead or has lived long enough. Whether it died by itself.
async fn live(site: &mut Site, strace: &[&str], life: Duration) -> bool {
    let mut program = vec!["strace", "-D", "-f", "-qqq"];
    program.extend(strace);
    site.daemon.start_under(&program);
    let until = Instant::now() + life;
    while Instant::now() < until {
        site.play(&short_call(&erika())).await;
        if site.daemon.ended().is_some() {
            return true;
        }
    }
    site.daemon.kill();
    false
}

async fn check(variant: &str, log: &str) {
    if !has_strace() {
        return;
    }
    let mut site = Site::new(|settings| settings.replace("[log]\n", &format!("[log]\n{log}\n"))).await;
    let screen = site.daemon.screen("101");
    let file = site.daemon.settings_file().with_file_name("trace");
    let all = format!("trace={}", AT.join(","));
    let died = live(&mut site, &["-o", file.to_str().unwrap(), "-e", &all], LIFE).await;
    assert!(!died, "{}", site.daemon.log());
    let trace = fs::read_to_string(file).unwrap();
    let (mut chance, mut killed, mut story) = (fastrand::Rng::with_seed(5), 0, String::new());
    for calls in AT {
        let most = count(&trace, calls);
        let _ = write!(story, " {calls} 1..={most},");
        assert!(most > 3, "{calls} is hardly made");
        for _ in 0..lives() {
            let injection = format!("inject={calls}:signal=KILL:when={}", chance.u64(1..=most));
            killed += u32::from(live(&mut site, &["-o", "/dev/null", "-e", &injection], LIFE).await);
        }
    }
    site.daemon.start();
    site.daemon.ready().await;
    let database = format!("sqlite://{}", site.daemon.database().display());
    let until = Instant::now() + 3 * SOON;
    loop {
        let mut connection = sqlx::SqliteConnection::connect(&database).await.unwrap();
        let left: i64 = sqlx::query_scalar(LEFT).fetch_one(&mut connection).await.unwrap();
        if left == 0 {
            break;
        }
        assert!(Instant::now() < until, "{left} calls are left:\n{}", site.daemon.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut tasks: BTreeMap<String, u32> = BTreeMap::new();
    for task in site.salesforce.rows("Task") {
        *tasks.entry(text(&task, "CallObject").to_owned()).or_default() += 1;
    }
    let pops = screen.events().into_iter().filter(|event| event.kind == "pop");
    let shown: BTreeSet<String> = pops.map(|event| event.data["call"].as_str().unwrap().to_owned()).collect();
    let lost: Vec<_> = shown.iter().filter(|call| !tasks.contains_key(*call)).collect();
    let twice: Vec<_> = tasks.iter().filter(|(_, count)| **count > 1).collect();
    eprintln!(
        "{variant}: killed {killed} times at one of{story} {} calls shown, {} Tasks, {} lost, {} twice",
        shown.len(),
        tasks.len(),
        lost.len(),
        twice.len()
    );
    assert!(lost.is_empty() && twice.is_empty(), "{lost:?} {twice:?}");
    assert!(killed > lives(), "it was hardly ever killed");
}

/// Calls that are not in Salesforce, as far as the journal knows.
const LEFT: &str = "SELECT (SELECT count(*) FROM open_calls) + (SELECT count(*) FROM entries WHERE state <> 'done')";

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_hand_over_each_call_is_one_task_without_an_external_id() {
    check("without an external id", "settle_after = \"1s\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_hand_over_each_call_is_one_task_by_its_external_id() {
    check("with an external id", "external_id_field = \"CTI_Call_Id__c\"").await;
}

/// What `journal export` says, under another program or none.
fn export(site: &Site, program: &[&str]) -> Output {
    let binary = env!("CARGO_BIN_EXE_ctibridge");
    let (first, rest) = program
        .split_first()
        .map_or((binary, Vec::new()), |(first, rest)| (*first, rest.iter().copied().chain([binary]).collect()));
    let mut command = Command::new(first);
    command.args(rest).args(["journal", "export", "--config"]).arg(site.daemon.settings_file());
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_within_a_change_of_the_layout_nothing_of_an_older_journal_is_lost() {
    if !has_strace() {
        return;
    }
    let site = Site::new(|settings| settings).await;
    let (database, old) =
        (site.daemon.database(), concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/journal/layout-1/journal.db"));
    let folder = database.parent().unwrap();
    let anew = || {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).unwrap();
        fs::copy(old, &database).unwrap();
    };
    anew();
    let wanted = export(&site, &[]).stdout;
    assert_eq!(String::from_utf8_lossy(&wanted).lines().count(), 8);
    let (mut killed, step) = (0, if lives() > LIVES { 1 } else { 5 });
    for (calls, step) in [("pwrite64", step), ("fsync,fdatasync", 1), ("ftruncate", 1), ("unlink", 1)] {
        for nth in (1..).step_by(step) {
            anew();
            let injection = format!("inject={calls}:signal=KILL:when={nth}");
            let strace = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", &injection];
            if export(&site, &strace).status.success() {
                break;
            }
            killed += 1;
            let after = export(&site, &[]);
            assert!(after.status.success(), "{calls} {nth}: {}", String::from_utf8_lossy(&after.stderr));
            assert!(after.stdout == wanted, "{calls} {nth}: {}", String::from_utf8_lossy(&after.stdout));
            let url = format!("sqlite://{}", database.display());
            let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
            let open: i64 =
                sqlx::query_scalar("SELECT count(*) FROM open_calls").fetch_one(&mut connection).await.unwrap();
            let check: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
            assert_eq!((open, check.as_str()), (2, "ok"), "{calls} {nth}");
        }
    }
    eprintln!("killed {killed} times while the layout was changed: all 8 entries and 2 open calls each time");
    assert!(killed > 8);
}
