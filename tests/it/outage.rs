//! What Salesforce and the way to it may do: calls wait on disk, nothing is lost or written twice, and little is asked.
//!
//! The figures are printed. The counts are settings: the usual ones are for every change, a release takes
//! `CTIBRIDGE_TEST_BACKLOG=10000 CTIBRIDGE_TEST_HOUR=10000`, and may play the hour in its own time with
//! `CTIBRIDGE_TEST_FASTER=1`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ctibridge::journal::{Filter, Note, SenderState};
use ctibridge::sim::pbx::Caller;
use ctibridge::sim::{Fault, FaultKind};
use serde_json::json;

use crate::support::desk::{Desk, answer, finished, key};
use crate::support::site::{Site, short_call, text};
use crate::support::world::wait;

/// Calls that pile up while Salesforce is down.
const BACKLOG: u64 = 2_000;
/// Calls of the hour that is played.
const HOUR: u64 = 1_000;
/// How much faster than in life the hour is played; 1 is a real hour.
const FASTER: u64 = 20;

fn count(name: &str, usual: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test has no settings; a release sets it")]
    let wanted = std::env::var(name).ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

async fn pile_up(desk: &Desk, calls: std::ops::Range<u64>) {
    for nth in calls {
        desk.journal.ended(finished(&nth.to_string()), Some(answer(Vec::new()))).await;
    }
    desk.journal.flush().await;
}

/// Each of these calls is exactly one Task.
fn each_is_one_task(desk: &Desk, calls: u64) {
    let tasks = desk.tasks();
    let keys: BTreeSet<&str> = tasks.iter().map(|task| text(task, "CallObject")).collect();
    let expected: BTreeSet<String> = (0..calls).map(|nth| key(&nth.to_string()).to_string()).collect();
    assert_eq!(keys, expected.iter().map(String::as_str).collect(), "lost");
    assert_eq!(tasks.len() as u64, calls, "twice");
}

async fn down(desk: &Desk) {
    wait("the outage to be seen", || desk.journal.sender_health().state == SenderState::Down).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_drains_in_full_batches_when_salesforce_is_back() {
    let calls = count("CTIBRIDGE_TEST_BACKLOG", BACKLOG);
    let desk = Desk::new(&json!({}), "batch_window = \"2s\"").await;
    desk.salesforce.set(|knobs| knobs.down = true);
    pile_up(&desk, 0..calls).await;
    down(&desk).await;
    let (began, asked) = (Instant::now(), desk.salesforce.api_calls());
    desk.salesforce.set(|knobs| knobs.down = false);
    desk.until("drained", Duration::from_mins(1), |counts| counts.waiting == 0 && counts.done == calls).await;
    let (took, asked) = (began.elapsed(), desk.salesforce.api_calls() - asked);
    println!("outage: {calls} calls drained in {:.1} s with {asked} API calls", took.as_secs_f64());
    each_is_one_task(&desk, calls);
    assert!(asked <= calls.div_ceil(200) + 10, "{asked} API calls");
    desk.stop().await;
}

/// Calls that come at random times, so many an hour on average, and wait so long for company.
struct Traffic {
    calls: u64,
    per_hour: f64,
    window: Duration,
    /// How much faster than in life it is played: the window and the pauses between calls are shorter by it.
    faster: u64,
}

impl Traffic {
    /// API calls a call, all that the sender asks included: users, statuses and fields once.
    async fn play(&self) -> f64 {
        let faster = u32::try_from(self.faster).unwrap();
        let window = (self.window / faster).as_millis();
        let desk = Desk::new(&json!({}), &format!("batch_window = \"{window}ms\"")).await;
        let pause = 3_600.0 / self.per_hour / f64::from(faster);
        let mut chance = fastrand::Rng::with_seed(7);
        let mut next = Instant::now();
        for nth in 0..self.calls {
            next += Duration::from_secs_f64(-pause * (1.0 - chance.f64()).ln());
            tokio::time::sleep(next.saturating_duration_since(Instant::now())).await;
            desk.journal.ended(finished(&nth.to_string()), Some(answer(Vec::new()))).await;
        }
        desk.settled().await;
        each_is_one_task(&desk, self.calls);
        let asked = desk.salesforce.api_calls();
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let each = asked as f64 / self.calls as f64;
        println!(
            "{} of {} calls an hour, {:?} for company, played {} times as fast: {asked} API calls, {each:.4} a call",
            self.calls, self.per_hour, self.window, self.faster
        );
        desk.stop().await;
        each
    }
}

fn busy_hour(window: Duration) -> Traffic {
    let calls = count("CTIBRIDGE_TEST_HOUR", HOUR);
    Traffic { calls, per_hour: 10_000.0, window, faster: count("CTIBRIDGE_TEST_FASTER", FASTER) }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_calls_an_hour_cost_a_fifth_of_an_api_call_each() {
    assert!(busy_hour(Duration::from_secs(2)).play().await <= 0.2);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_half_a_minute_for_company_they_cost_a_fiftieth() {
    assert!(busy_hour(Duration::from_secs(30)).play().await <= 0.02);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_one_call_a_minute_each_costs_one_api_call_and_the_hour_a_few() {
    let hour = Traffic { calls: 60, per_hour: 60.0, window: Duration::from_secs(2), faster: 300 };
    assert!(hour.play().await <= 1.1);
}

/// Batches of twenty, of which every tenth is written without an answer, and others fail otherwise.
async fn lossy(log: &str) {
    const BATCHES: u64 = 30;
    const EACH: u64 = 20;
    let desk = Desk::new(&json!({}), &format!("batch_window = \"20ms\"\n{log}")).await;
    for nth in 0..BATCHES {
        let fault = match nth % 10 {
            9 => Some(Fault::new(FaultKind::CommitThenDrop)),
            6 => Some(Fault::new(FaultKind::LateCommit).for_ms(200)),
            3 => Some(Fault::new(FaultKind::Drop)),
            _ => None,
        };
        if let Some(fault) = fault {
            desk.salesforce.fail_next(fault.on("composite/sobjects"));
        }
        pile_up(&desk, nth * EACH..(nth + 1) * EACH).await;
        desk.settled().await;
    }
    let dropped = desk.salesforce.faults().get(&FaultKind::CommitThenDrop).copied().unwrap_or(0);
    each_is_one_task(&desk, BATCHES * EACH);
    println!(
        "{log}: {} calls in {BATCHES} batches, {dropped} written and then dropped: 0 lost, 0 twice",
        BATCHES * EACH
    );
    assert_eq!(dropped, 3);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_written_without_an_answer_make_no_second_task_with_an_external_id() {
    lossy("external_id_field = \"CTI_Call_Id__c\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_written_without_an_answer_make_no_second_task_without_one() {
    lossy("settle_after = \"1s\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_lost_answers_are_found_by_one_question() {
    let desk = Desk::new(&json!({}), "batch_window = \"200ms\"").await;
    pile_up(&desk, 0..1).await;
    desk.settled().await;
    let before = desk.salesforce.api_calls();
    desk.salesforce.fail_next(Fault::new(FaultKind::CommitThenDrop).on("composite/sobjects"));
    pile_up(&desk, 1..201).await;
    desk.settled().await;
    each_is_one_task(&desk, 201);
    assert_eq!(desk.salesforce.api_calls() - before, 2, "the batch, and the question what became of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_maintenance_calls_wait_without_a_try_being_counted() {
    let desk = Desk::new(&json!({}), "batch_window = \"20ms\"").await;
    desk.salesforce.set(|knobs| knobs.read_only = true);
    pile_up(&desk, 0..250).await;
    down(&desk).await;
    let before = desk.salesforce.api_calls();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(desk.salesforce.api_calls() - before <= 6, "a few quick tries, not a batch after the other");
    let entry = desk.entries(Filter::Waiting).await.remove(0);
    assert_eq!((entry.attempts, desk.journal.counts().parked), (0, 0));
    desk.salesforce.set(|knobs| knobs.read_only = false);
    desk.settled().await;
    each_is_one_task(&desk, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_days_api_calls_used_up_nothing_is_asked_and_nothing_lost() {
    let desk = Desk::new(&json!({}), "batch_window = \"20ms\"").await;
    pile_up(&desk, 0..1).await;
    desk.settled().await;
    desk.salesforce.set(|knobs| knobs.daily_limit = 1);
    pile_up(&desk, 1..30).await;
    down(&desk).await;
    let requests = || desk.salesforce.endpoints().values().sum::<u64>();
    let before = requests();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(requests(), before, "it is looked for again in ten minutes");
    let health = desk.journal.sender_health();
    assert!(health.last_error.unwrap().contains("used up"));
    assert_eq!((desk.journal.counts().waiting, desk.journal.counts().parked), (29, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_session_and_a_login_that_fails_for_a_while_cost_no_call() {
    let desk = Desk::new(&json!({}), "batch_window = \"20ms\"").await;
    pile_up(&desk, 0..10).await;
    desk.settled().await;
    desk.salesforce.revoke_sessions();
    desk.salesforce.fail_next(Fault::new(FaultKind::Http503).times(2).on("oauth2"));
    pile_up(&desk, 10..20).await;
    desk.settled().await;
    each_is_one_task(&desk, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_twice_in_a_row_holds_calls_up_for_seconds() {
    let desk = Desk::new(&json!({}), "batch_window = \"20ms\"").await;
    pile_up(&desk, 0..1).await;
    desk.settled().await;
    desk.salesforce.fail_next(Fault::new(FaultKind::SessionExpired).times(2).on("composite/sobjects"));
    pile_up(&desk, 1..20).await;
    desk.until("logged", Duration::from_secs(20), |counts| counts.done == 20).await;
    assert_eq!(desk.salesforce.faults()[&FaultKind::SessionExpired], 2);
    each_is_one_task(&desk, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_name_to_be_found_calls_wait_and_the_reason_is_told() {
    let change = |config: &mut ctibridge::bridge::Config| config.salesforce.endpoint = "https://nowhere.invalid".into();
    let desk = Desk::with(&json!({}), "batch_window = \"20ms\"", change).await;
    pile_up(&desk, 0..10).await;
    down(&desk).await;
    let told = desk.journal.sender_health().last_error.unwrap();
    assert!(told.contains("cannot be reached"), "{told}");
    assert_eq!(desk.journal.counts().waiting, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_agents_add_before_while_and_after_the_task_is_written_is_in_it() {
    const CALLS: usize = 60;
    let desk = Desk::new(&json!({}), "batch_window = \"10ms\"\nsettle_after = \"1s\"").await;
    desk.salesforce.set(|knobs| knobs.latency_ms = 20);
    let mut chance = fastrand::Rng::with_seed(11);
    for nth in 0..CALLS {
        let record = finished(&nth.to_string());
        desk.journal.keep(record.call.clone()).await;
        for (moment, extension) in [(0, "101"), (1, "102"), (2, "103")] {
            if moment == 1 {
                desk.journal.ended(record.clone(), Some(answer(Vec::new()))).await;
            }
            let note = Note {
                extension: Some(extension.into()),
                disposition: Some(format!("Result {moment}")),
                notes: Some(format!("said by {extension} of {nth}")),
                record_id: None,
            };
            desk.note(&nth.to_string(), note).await;
            tokio::time::sleep(Duration::from_millis(chance.u64(0..40))).await;
        }
        if nth % 30 == 10 {
            desk.salesforce.fail_next(Fault::new(FaultKind::CommitThenDrop).on("composite/sobjects"));
        }
    }
    desk.settled().await;
    for nth in 0..CALLS {
        let task = desk.task(&nth.to_string());
        for extension in ["101", "102", "103"] {
            assert!(text(&task, "Description").contains(&format!("said by {extension} of {nth}")), "{task:?}");
        }
        assert_eq!(text(&task, "CallDisposition"), "Result 2");
    }
}

/// Pops go on while Salesforce answers later than anybody waits: it does what it was asked all the same, or does not, or has done it at
/// once; and each call is one Task.
async fn slow(log: &str) {
    const CALLS: usize = 8;
    const LATE: Duration = Duration::from_millis(1_500);
    let settings = format!("request_timeout = \"1s\"\n[log]\n{log}\n");
    let mut site = Site::new(|text| text.replace("[log]\n", &settings)).await;
    site.daemon.start();
    site.daemon.ready().await;
    let screen = site.daemon.screen("101").opened().await;
    let pops = || screen.events().into_iter().filter(|event| event.kind == "pop").count();
    site.play(&short_call(&Caller::new("+493023125444", ""))).await;
    site.tasks(1).await;
    let late = u64::try_from(LATE.as_millis()).unwrap();
    let all_is_late = || site.salesforce.set(|knobs| knobs.latency_ms = late);
    let the_write = |kind| site.salesforce.fail_next(Fault::new(kind).for_ms(late).on("composite/sobjects"));
    let ways: [&dyn Fn(); 3] = [&all_is_late, &|| the_write(FaultKind::Hang), &|| the_write(FaultKind::CommitThenHang)];
    for (nth, begin) in ways.into_iter().enumerate() {
        begin();
        let began = Instant::now();
        for call in 0..CALLS {
            site.play(&short_call(&Caller::new(&format!("+493023{nth}{call:05}"), ""))).await;
        }
        wait("a pop for each call", || pops() == 1 + (nth + 1) * CALLS).await;
        let popped = began.elapsed();
        let refusals = || site.daemon.log().matches("Salesforce does not take Tasks").count();
        wait("an answer that was too late", || refusals() == nth + 1).await;
        site.salesforce.set(|knobs| knobs.latency_ms = 0);
        let began = Instant::now();
        while site.salesforce.rows("Task").len() < 1 + (nth + 1) * CALLS {
            assert!(began.elapsed() < Duration::from_mins(2), "lost:\n{}", site.daemon.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let tasks = site.tasks(1 + (nth + 1) * CALLS).await;
        println!("{log}: {CALLS} pops in {popped:.1?} while Salesforce was late; logged {:.1?} later", began.elapsed());
        let keys: BTreeSet<&str> = tasks.iter().map(|task| text(task, "CallObject")).collect();
        assert_eq!(keys.len(), tasks.len(), "twice");
    }
    assert!(site.daemon.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_come_too_late_cost_no_pop_and_make_no_second_task_with_an_external_id() {
    slow("external_id_field = \"CTI_Call_Id__c\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_come_too_late_cost_no_pop_and_make_no_second_task_without_one() {
    slow("settle_after = \"5s\"").await;
}
