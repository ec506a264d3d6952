//! The disk of the state folder is full, fails, or may not be written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ctibridge::sim::pbx::{Caller, Script};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::site::{Site, erika, short_call, text};
use crate::support::sse::Screen;
use crate::support::world::{SOON, wait};

/// Calls with room on the disk, and as many without.
const CALLS: u32 = 60;
/// How often the two may be compared.
const TRIES: u32 = 3;
/// Between the beginnings of two calls.
const PACE: Duration = Duration::from_millis(15);
/// From the first frame of a call to the one that rings, as it is played.
const RING: u64 = 30;

/// A file system in memory, which is not there any more when this goes.
struct Small {
    dir: TempDir,
}

impl Small {
    /// Of two megabytes. Without the right to mount: says so, and none.
    fn mount() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(dir.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { dir }),
            failed => {
                eprintln!("skipped: a small file system cannot be mounted here: {failed:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn remount(&self, how: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.path()).status().unwrap();
        assert!(done.success());
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let ballast = self.path().join("ballast");
        for size in [1 << 16, 1 << 12] {
            let more = vec![0; size];
            while append(&ballast, &more).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn append(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    fs::OpenOptions::new().create(true).append(true).open(file)?.write_all(bytes)
}

fn state_dir(settings: &str, path: &Path) -> String {
    let lines = settings.lines().map(|line| {
        if line.starts_with("state_dir") { format!("state_dir = '{}'", path.display()) } else { line.to_owned() }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Rings 101 until the caller gives up. Gives how long after the ring each pop came, sorted.
async fn calls_and_their_pops(site: &Site, screen: &Screen, from: u32) -> Vec<Duration> {
    let mut rang = BTreeMap::new();
    for nth in from..from + CALLS {
        let caller = Caller::new(&format!("+49302319{nth:04}"), "");
        let script =
            Script::inbound(&caller, "+493023125101").after(RING).ring(&["101"]).after(20).answer("101").talk(20);
        let began = Instant::now();
        let rest = site.begin(&script.hangup_by_caller(), RING + 15).await;
        rang.insert(caller.number.clone(), began);
        sleep(PACE).await;
        site.go_on(&rest).await;
    }
    let pops = || -> BTreeMap<String, Instant> {
        let events = screen.events().into_iter().filter(|event| event.kind == "pop");
        events.filter_map(|event| Some((event.data["caller"]["e164"].as_str()?.to_owned(), event.at))).collect()
    };
    wait("a pop for each call", || rang.keys().all(|number| pops().contains_key(number))).await;
    let pops = pops();
    let mut times: Vec<_> = rang.iter().map(|(number, began)| pops[number] - *began).collect();
    times.sort();
    times
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// How long pops take with room on the disk and, the same number of calls later, without; after it there is room again and all calls
/// are Tasks. `before`: calls that were made already.
async fn with_room_and_without(site: &Site, screen: &Screen, small: &Small, before: u32) -> [Vec<Duration>; 2] {
    let (first, all) = ((before + CALLS) as usize, (before + 2 * CALLS + 1) as usize);
    let normal = calls_and_their_pops(site, screen, before).await;
    site.tasks(first).await;

    small.fill();
    site.play(&short_call(&erika())).await;
    site.daemon.until("/readyz", "a full disk", |status, body| status == 503 && body["degraded"][0] == "journal").await;
    site.daemon.logged("the disk of the journal is full").await;
    let full = calls_and_their_pops(site, screen, before + CALLS).await;
    let (status, _) = site.daemon.ask("/readyz").await.unwrap();
    assert_eq!(status, 503, "it is full all the time");
    let held = all - site.salesforce.rows("Task").len();

    small.make_room();
    site.daemon.ready().await;
    site.daemon.logged("the journal can be written again").await;
    site.tasks(all).await;
    eprintln!(
        "full disk: {held} calls held, 0 lost; pops p50 {:?}, p99 {:?}; with room p50 {:?}, p99 {:?}",
        percentile(&full, 50),
        percentile(&full, 99),
        percentile(&normal, 50),
        percentile(&normal, 99),
    );
    [normal, full]
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_disk_pops_go_on_and_no_call_is_lost() {
    let Some(small) = Small::mount() else { return };
    let mut site = Site::new(|settings| state_dir(&settings, small.path())).await;
    site.daemon.start();
    site.daemon.ready().await;
    let screen = site.daemon.screen("101").opened().await;
    // A busy machine holds up some pops for long, now and then; a disk that pops wait for does it each time.
    let mut in_time = false;
    for nth in 0..TRIES {
        let [normal, full] = with_room_and_without(&site, &screen, &small, nth * (2 * CALLS + 1)).await;
        in_time = [50, 99].iter().all(|percent| percentile(&full, *percent) <= percentile(&normal, *percent) * 2);
        if in_time {
            break;
        }
    }
    assert!(in_time, "pops take more than twice as long without room, each of {TRIES} times");
    assert!(site.daemon.stop().await.success());
}

/// Each call that was shown is one Task.
fn check_tasks(site: &Site, screen: &Screen) -> usize {
    let mut tasks: BTreeMap<String, usize> = BTreeMap::new();
    for task in site.salesforce.rows("Task") {
        *tasks.entry(text(&task, "CallObject").to_owned()).or_default() += 1;
    }
    let pops = screen.events().into_iter().filter(|event| event.kind == "pop");
    let shown: BTreeSet<String> = pops.map(|event| event.data["call"].as_str().unwrap().to_owned()).collect();
    let lost: Vec<_> = shown.iter().filter(|call| !tasks.contains_key(*call)).collect();
    assert!(lost.is_empty() && tasks.values().all(|count| *count == 1), "lost {lost:?}, {tasks:?}");
    shown.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_to_sync_stops_the_daemon_and_no_call_is_lost() {
    let mut site = Site::up().await;
    let screen = site.daemon.screen("101").opened().await;
    for first_failure in [5, 9, 17] {
        site.play(&short_call(&erika())).await;
        assert!(site.daemon.stop().await.success());
        let injection = format!("inject=fsync,fdatasync:error=EIO:when={first_failure}+");
        site.daemon.start_under(&["strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-e", &injection]);
        let mut ended = None;
        let until = Instant::now() + 3 * SOON;
        while ended.is_none() {
            assert!(Instant::now() < until, "it goes on:\n{}", site.daemon.log());
            site.play(&short_call(&erika())).await;
            ended = site.daemon.ended();
        }
        assert_eq!(ended.unwrap().code(), Some(1), "{}", site.daemon.log());
        site.daemon.logged("the journal cannot be written").await;
        site.daemon.start();
        site.daemon.ready().await;
    }
    let nothing_left = |_, body: &serde_json::Value| body["journal"]["waiting"] == 0;
    site.daemon.until("/readyz", "an empty journal", nothing_left).await;
    site.daemon.until("/api/v1/calls", "no open call", |_, body| !body.to_string().contains("\"live\"")).await;
    site.daemon.until("/readyz", "an empty journal", nothing_left).await;
    let shown = check_tasks(&site, &screen);
    eprintln!("fsync fails: stopped with 1 each time, {shown} calls shown, 0 lost");
    assert!(shown >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_may_not_be_written_is_named() {
    let Some(small) = Small::mount() else { return };
    let mut site = Site::new(|settings| state_dir(&settings, small.path())).await;
    small.remount("ro");
    site.daemon.start();
    wait("the daemon's end", || site.daemon.ended().is_some_and(|status| status.code() == Some(1))).await;
    let said = site.daemon.log();
    let wanted = format!("bridge.state_dir: {}: Read-only file system", small.path().display());
    assert!(said.contains(&wanted) && said.contains("expected a folder that ctibridge may write to"), "{said}");

    small.remount("rw");
    site.daemon.start();
    site.daemon.ready().await;
    assert!(site.daemon.stop().await.success());
    small.remount("ro");
    site.daemon.start();
    wait("the daemon's end", || site.daemon.ended().is_some_and(|status| status.code() == Some(1))).await;
    let said = site.daemon.log();
    assert_eq!(said.matches("bridge.state_dir").count(), 2, "{said}");
    assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
}
