//! The machine's clock is set while the daemon runs: what happened keeps its length, and nothing is asked more often for it.
//!
//! Needs libfaketime (Debian: `faketime`). Where it is missing these tests say so and pass, unless `CTIBRIDGE_TEST_CLOCK`
//! asks for them.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::site::{Site, erika, short_call, text};
use crate::support::world::wait;

/// Where Debian puts the library, on the machines that it is built for.
const FOLDERS: [&str; 3] =
    ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime"];

/// `None`: it is not there, which is said.
pub fn library() -> Option<PathBuf> {
    let found =
        FOLDERS.iter().map(|folder| PathBuf::from(folder).join("libfaketimeMT.so.1")).find(|path| path.exists());
    #[expect(clippy::disallowed_methods, reason = "a test has no settings; CI sets it")]
    let wanted = std::env::var_os("CTIBRIDGE_TEST_CLOCK").is_some();
    assert!(found.is_some() || !wanted, "libfaketime is not there: install Debian's package faketime");
    if found.is_none() {
        println!("not tried: libfaketime is not there (Debian's package faketime)");
    }
    found
}

fn logins(site: &Site) -> u64 {
    let endpoints = site.salesforce.endpoints();
    endpoints.iter().filter(|(name, _)| name.contains("oauth2/token")).map(|(_, count)| count).sum()
}

fn requests(site: &Site) -> u64 {
    site.salesforce.endpoints().values().sum()
}

/// By how many seconds the times of the log are away from the right one at most.
fn off(log: &str) -> i64 {
    let times = log.lines().filter_map(|line| line.split_whitespace().next()?.parse::<jiff::Timestamp>().ok());
    times.map(|at| at.duration_since(jiff::Timestamp::now()).as_secs().abs()).max().unwrap_or(0)
}

/// The clock is set by each of these while a call is on, and once more while another waits to be sent.
async fn jumps(jumps: &[&str]) {
    let Some(library) = library() else { return };
    let mut site = Site::new(|settings| settings.replace("[log]", "[log]\nsettle_after = \"2s\"")).await;
    site.daemon.fake_clock(&library, "+0");
    site.daemon.start();
    site.daemon.ready().await;
    site.play(&short_call(&erika())).await;
    site.tasks(1).await;
    let mut count = 1;
    for jump in jumps {
        let rest = site.begin(&short_call(&erika()), 45).await;
        wait("the ring", || site.daemon.log().len() > 10).await;
        site.daemon.set_clock(jump);
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.go_on(&rest).await;
        count += 1;
        site.tasks(count).await;

        site.salesforce.set(|knobs| knobs.down = true);
        site.play(&short_call(&erika())).await;
        site.waiting(1).await;
        site.daemon.set_clock("+0");
        site.salesforce.set(|knobs| knobs.down = false);
        count += 1;
        site.tasks(count).await;
    }
    assert!(off(&site.daemon.log()) > 3_000, "the daemon did not see its clock set");
    let (before, again) = (requests(&site), logins(&site));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle = requests(&site) - before;
    println!("{} jumps: {count} Tasks, {} logins, {idle} requests in 3 idle seconds", jumps.len() * 2, logins(&site));
    assert!(idle <= 2 && again == 1, "{idle} requests, {again} logins");
    for task in site.tasks(count).await {
        let seconds = task["CallDurationInSeconds"].as_i64().unwrap();
        assert!((0..=5).contains(&seconds), "{task:?}");
        let day = jiff::Timestamp::now().in_tz("Europe/Berlin").unwrap().date();
        let near = [day, day.yesterday().unwrap()].map(|day| day.to_string());
        assert!(near.contains(&text(&task, "ActivityDate").to_owned()), "{task:?}");
        assert!(!text(&task, "Description").contains("estimated"), "{task:?}");
    }
    assert!(site.daemon.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_by_an_hour_forward_and_back_changes_no_call_and_asks_no_more() {
    jumps(&["+1h", "-1h"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_by_a_day_forward_and_back_changes_no_call_and_asks_no_more() {
    jumps(&["+1d", "-1d"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_on_the_wire_of_a_daemon_that_died_is_found_though_the_clock_was_set_meanwhile() {
    let Some(library) = library() else { return };
    for jump in ["+2d", "-2d"] {
        let mut site = Site::new(|settings| settings.replace("[log]", "[log]\nsettle_after = \"2s\"")).await;
        site.daemon.fake_clock(&library, "+0");
        site.daemon.start();
        site.daemon.ready().await;
        let fault = ctibridge::sim::Fault::new(ctibridge::sim::FaultKind::LateCommit).for_ms(1_500);
        site.salesforce.fail_next(fault.on("composite/sobjects"));
        site.play(&short_call(&erika())).await;
        wait("the write", || site.salesforce.faults().values().sum::<u64>() == 1).await;
        site.daemon.kill();
        site.daemon.set_clock(jump);
        site.daemon.start();
        site.tasks(1).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        site.tasks(1).await;
    }
}
