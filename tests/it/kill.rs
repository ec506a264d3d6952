//! The daemon is killed again and again while calls come in and Salesforce fails now and then: every call that an agent was shown is
//! exactly one Task in the end, and the journal is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctibridge::calls::record::CallKey;
use ctibridge::sim::pbx::player::perform;
use ctibridge::sim::pbx::script::{Ids, Reel};
use ctibridge::sim::pbx::{self, Asterisk, Caller, Script};
use ctibridge::sim::{FaultKind, Knobs, Options, Salesforce};
use serde_json::{Value, json};
use sqlx::Connection;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, sleep};

use crate::support::process::Daemon;
use crate::support::sse::Screen;
use crate::support::world::{LOOPBACK, seed};

/// How often it is killed without an external id, and half as often with one; `CTIBRIDGE_TEST_KILLS` says otherwise.
const KILLS: u32 = 50;
/// It lives this long, in milliseconds: from its start, and each second life from when it serves, which on a busy machine may take longer.
const LIFE: std::ops::Range<u64> = 20..800;
/// Each so many lives end around a request that writes Tasks instead, which most are too short for.
const WRITING: u32 = 7;
/// How long such a request is waited for.
const WRITE: Duration = Duration::from_secs(6);
/// Between the beginnings of two calls.
const PACE: Duration = Duration::from_millis(5);
/// Calls that begin in one life and the pause after it: as many as the pace gives in a life of average length, however slow the machine is.
const CALLS: usize = 82;
/// How many people call, again and again.
const CALLERS: u32 = 40;
/// How long the sender may take for anything at all, faults and its own waits included.
const DRAIN: Duration = Duration::from_mins(1);

fn kills() -> u32 {
    #[expect(clippy::disallowed_methods, reason = "a test has no settings; a release sets it")]
    let wanted = std::env::var("CTIBRIDGE_TEST_KILLS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

/// A call of one of the usual kinds; rings and talks are short, so that many begin and end in each life.
fn script(nth: u32, chance: &mut fastrand::Rng) -> Script {
    let caller = Caller::new(&format!("+493023180{:03}", nth % CALLERS), "");
    let (agent, did) = (["101", "102", "103"][chance.usize(..3)], "+493023125101");
    let (ring, talk) = (chance.u64(5..300), chance.u64(5..900));
    match chance.u32(..10) {
        0..=3 => Script::inbound(&caller, did).ring(&[agent]).after(ring).answer(agent).talk(talk).hangup_by_caller(),
        4 | 5 => Script::inbound(&caller, did).ring(&["101", "103"]).after(ring).hangup_by_caller(),
        6 => {
            let script = Script::inbound(&caller, did).queue("sales").after(10).ring(&[agent]).after(ring);
            script.answer(agent).talk(talk).hangup_by_callee()
        }
        7 => {
            let script = Script::inbound(&caller, did).ring(&["101"]).after(ring).answer("101").talk(talk);
            script.blind_transfer("102").ring(&["102"]).after(ring).answer("102").talk(talk).hangup_by_caller()
        }
        _ => {
            let script = Script::outbound(agent, &caller.number).ring_outside().after(ring);
            script.answer_outside().talk(talk).hangup_by_callee()
        }
    }
}

/// The key that the Task of a performance carries: that of its first channel to the outside.
fn key(reel: &Reel) -> String {
    let channel = |frame: &str| {
        let frame: Value = serde_json::from_str(frame).unwrap();
        let outside = frame["channel"]["name"].as_str()?.starts_with("PJSIP/trunk");
        outside.then(|| CallKey::new("hq", "pbx1", frame["channel"]["id"].as_str().unwrap()).to_string())
    };
    reel.cues.iter().find_map(|cue| channel(&cue.frame)).unwrap()
}

/// Calls begin at an even pace until it is dropped; those that have begun end in their own time.
struct Traffic {
    calls: tokio::sync::watch::Receiver<Vec<String>>,
    /// Calls that may begin.
    room: Arc<Semaphore>,
    stop: tokio_util::sync::CancellationToken,
    task: JoinSet<()>,
}

impl Traffic {
    fn begin(asterisk: &Arc<Asterisk>, mut chance: fastrand::Rng) -> Self {
        let (told, calls) = tokio::sync::watch::channel(Vec::new());
        let stop = tokio_util::sync::CancellationToken::new();
        let room = Arc::new(Semaphore::new(0));
        let (asterisk, stopping, left, mut task) =
            (Arc::clone(asterisk), stop.clone(), Arc::clone(&room), JoinSet::new());
        task.spawn(async move {
            let (ids, told, mut under_way, mut nth) = (Arc::new(Ids::new(7)), Arc::new(told), JoinSet::new(), 0);
            let mut ticks = tokio::time::interval(PACE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while let Some(Ok(one)) = stopping.run_until_cancelled(left.acquire()).await {
                one.forget();
                ticks.tick().await;
                nth += 1;
                let script = script(nth, &mut chance);
                let (asterisk, ids, told) = (Arc::clone(&asterisk), Arc::clone(&ids), Arc::clone(&told));
                under_way.spawn(async move {
                    let reel = script.reel(jiff::Timestamp::now(), &ids).unwrap();
                    told.send_modify(|calls| calls.push(key(&reel)));
                    perform(&asterisk, &reel, tokio::time::Instant::now()).await;
                });
                while under_way.try_join_next().is_some() {}
            }
            under_way.join_all().await;
        });
        Self { calls, room, stop, task }
    }

    /// The keys of all calls, once the last is over.
    async fn end(self) -> BTreeSet<String> {
        self.stop.cancel();
        self.task.join_all().await;
        self.calls.borrow().iter().cloned().collect()
    }
}

struct World {
    salesforce: Salesforce,
    asterisk: Arc<Asterisk>,
    daemon: Daemon,
    screens: Vec<Screen>,
}

impl World {
    async fn new(log: &str) -> Self {
        let faults = FaultKind::ALL.into_iter().filter(|kind| *kind != FaultKind::RequestLimit);
        let knobs = Knobs {
            fault_rate: 0.05,
            fault_seed: 4711,
            fault_kinds: faults.collect(),
            hang_ms: 300,
            ..Knobs::default()
        };
        let options = Options { seed: seed(&json!({})), knobs, ..Options::default() };
        let salesforce = Salesforce::start(options).await.unwrap();
        let asterisk = Arc::new(Asterisk::start(LOOPBACK, pbx::Options::default()).await.unwrap());
        let daemon =
            Daemon::new(&salesforce, &asterisk, |settings| settings.replace("[log]\n", &format!("[log]\n{log}\n")));
        let screens = ["101", "102", "103"].map(|extension| daemon.screen(extension)).into();
        Self { salesforce, asterisk, daemon, screens }
    }

    /// The calls that were on a screen.
    fn shown(&self) -> BTreeSet<String> {
        let pops = self.screens.iter().flat_map(Screen::events).filter(|event| event.kind == "pop");
        pops.map(|event| event.data["call"].as_str().unwrap().to_owned()).collect()
    }

    fn keys(&self) -> BTreeMap<String, usize> {
        let mut keys = BTreeMap::new();
        for task in self.salesforce.rows("Task") {
            *keys.entry(task["CallObject"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        keys
    }

    /// Waits for the next request that writes, but not for ever.
    async fn write(&self) {
        let writes = || -> u64 {
            let asked = self.salesforce.endpoints();
            asked
                .iter()
                .filter(|(endpoint, _)| !endpoint.starts_with("GET") && endpoint.contains("/composite"))
                .map(|(_, count)| count)
                .sum()
        };
        let (before, until) = (writes(), Instant::now() + WRITE);
        while writes() == before && Instant::now() < until {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets all that waits be sent, by a daemon that is left alone.
    async fn drain(&mut self) {
        self.daemon.start();
        self.daemon.ready().await;
        let (mut least, mut since) = (i64::MAX, Instant::now());
        while least > 0 {
            let left = ask_disk::<i64>(&self.daemon, LEFT).await;
            if left < least {
                (least, since) = (left, Instant::now());
            }
            assert!(since.elapsed() < DRAIN, "{left} calls are left:\n{}", self.daemon.log());
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Calls that are not in Salesforce, as far as the journal knows.
const LEFT: &str = "SELECT (SELECT count(*) FROM open_calls) + (SELECT count(*) FROM entries WHERE state <> 'done')";

async fn ask_disk<T>(daemon: &Daemon, question: &'static str) -> T
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    let url = format!("sqlite://{}", daemon.database().display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap()
}

/// One at a time: a journal that waits for the other's processor would be late for another reason than its own.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn check(variant: &str, log: &str, kills: u32) {
    let _turn = TURN.lock().await;
    let mut world = World::new(log).await;
    let mut chance = fastrand::Rng::with_seed(99);
    let (traffic, began) = (Traffic::begin(&world.asterisk, chance.fork()), Instant::now());
    for nth in 0..kills {
        world.daemon.start();
        traffic.room.add_permits(CALLS);
        if nth % WRITING == WRITING - 1 {
            world.write().await;
            sleep(Duration::from_millis(chance.u64(0..30))).await;
        } else {
            if nth % 2 == 1 {
                world.daemon.ready().await;
            }
            sleep(Duration::from_millis(chance.u64(LIFE))).await;
        }
        world.daemon.kill();
    }
    let under_fire = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let in_between = world.salesforce.rows("Task").len();
    world.daemon.start();
    let calls = traffic.end().await;
    world.daemon.kill();
    world.drain().await;
    let drained = began.elapsed().as_secs_f64();
    assert!(world.daemon.stop().await.success());

    let (keys, shown) = (world.keys(), world.shown());
    let twice: Vec<_> = keys.iter().filter(|(_, tasks)| **tasks > 1).collect();
    let strange: Vec<_> = keys.keys().filter(|key| !calls.contains(*key)).collect();
    let lost: Vec<_> = shown.iter().filter(|key| !keys.contains_key(*key)).collect();
    eprintln!(
        "{variant}: {} kills in {under_fire:.0} s, drained in {drained:.0} s, {} calls, {} shown, {} Tasks ({in_between} before the last start), {} twice, {} of those shown lost, \
         faults {:?}",
        kills + 1,
        calls.len(),
        shown.len(),
        keys.len(),
        twice.len(),
        lost.len(),
        world.salesforce.faults(),
    );
    assert!(twice.is_empty() && lost.is_empty() && strange.is_empty(), "{twice:?}\n{lost:?}\n{strange:?}");
    // How many it is beyond that is a matter of the machine.
    assert!(shown.len() > 2 * usize::try_from(kills).unwrap(), "too few calls were shown to prove anything");
    assert_eq!(ask_disk::<String>(&world.daemon, "PRAGMA integrity_check").await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_each_call_is_one_task_by_its_external_id() {
    check("with an external id", "external_id_field = \"CTI_Call_Id__c\"", kills() / 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_each_call_is_one_task_without_an_external_id() {
    check("without an external id", "settle_after = \"2s\"", kills()).await;
}
