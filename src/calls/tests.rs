//! What single turns of a story come to; whole recorded calls are told elsewhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::event::{
    Application, BridgeId, BridgeKind, CallEvent, Cause, DialState, Leg, LegId, Origin, Presentation, Side, What,
};
use super::feed::{FeedMessage, Known, LiveLeg, Scope, Snapshot};
use super::record::{CallKey, CallRecord, Disposition, Extension, OpenCall};
use super::step::{PopState, Step, WithdrawReason};
use super::switchboard::Site;
use super::tracker::Tracker;
use crate::phone::NumberPlan;

const CALLER: &str = "+4930231250444";

/// A story under a clock of its own.
struct Told {
    tracker: Tracker,
    /// The feed that tells it.
    feed: &'static str,
    start: Instant,
    passed: Duration,
    /// The clock of the phone system at `start`.
    began: Timestamp,
    steps: Vec<Step>,
}

/// By `pbx1`; another feed, `blf`, follows it.
fn told() -> Told {
    told_after(Vec::new())
}

fn told_after(open: Vec<OpenCall>) -> Told {
    let site = Site { bridge: "hq".into(), plan: NumberPlan::new("DE", "9", "2-6").unwrap() };
    let start = Instant::now();
    let leaders = BTreeMap::from([("blf".to_owned(), "pbx1".to_owned())]);
    let (tracker, _) = Tracker::with_twins(&site, &["pbx1".into(), "blf".into()], leaders, open, start);
    let began = "2026-11-21T17:00:00Z".parse().unwrap();
    Told { tracker, feed: "pbx1", start, passed: Duration::ZERO, began, steps: Vec::new() }
}

impl Told {
    fn now(&self) -> Instant {
        self.start + self.passed
    }

    /// By the clock of the phone system.
    fn stamp(&self) -> Timestamp {
        self.began + self.passed
    }

    fn wait(&mut self, seconds: u64) {
        self.passed += Duration::from_secs(seconds);
        let steps = self.tracker.handle_timeout(self.now());
        self.steps.extend(steps);
    }

    fn message(&mut self, message: FeedMessage) {
        let steps = self.tracker.handle(self.feed, message, self.now());
        self.steps.extend(steps);
    }

    fn say_at(&mut self, at: Timestamp, what: What) {
        self.message(FeedMessage::Call(CallEvent { at, what }));
    }

    /// A second after the last.
    fn say(&mut self, what: What) {
        self.wait(1);
        self.say_at(self.stamp(), what);
    }

    fn cut(&mut self) {
        self.message(FeedMessage::Lost { scope: Scope::Feed, reason: "cut".into() });
    }

    fn up(&mut self) {
        self.up_with(Vec::new());
    }

    fn up_with(&mut self, legs: Vec<LiveLeg>) {
        let known = Known { read_at: Some(self.stamp()), legs, ..Known::default() };
        self.message(FeedMessage::Up(Snapshot::Known(known)));
    }

    fn records(&self) -> Vec<&CallRecord> {
        self.steps.iter().filter_map(|step| if let Step::Ended(record) = step { Some(record) } else { None }).collect()
    }

    /// The only call that has ended.
    fn record(&self) -> &CallRecord {
        let records = self.records();
        assert_eq!(records.len(), 1, "{records:?}");
        records[0]
    }
}

fn id(leg: &str) -> LegId {
    LegId(leg.into())
}

fn appears(leg: &str, side: Side, origin: Origin, dialed: &str) -> What {
    What::Appeared(Leg {
        id: id(leg),
        side,
        origin,
        number: CALLER.into(),
        name: String::new(),
        dialed: dialed.into(),
        presentation: Presentation::Allowed,
    })
}

fn calls_in(leg: &str) -> What {
    appears(leg, Side::Outside, Origin::CallsIn, "+493023125101")
}

fn phone(extension: &str) -> Side {
    Side::Phone(Extension(extension.into()))
}

fn joins(leg: &str, bridge: &str) -> What {
    What::Joined { leg: id(leg), bridge: BridgeId(bridge.into()), kind: BridgeKind::Mixing }
}

fn gone(leg: &str, cause: Cause) -> What {
    What::Gone { leg: id(leg), cause }
}

fn is_called(leg: &str, side: Side) -> What {
    appears(leg, side, Origin::IsCalled, "")
}

fn dials(from: &str, to: &str, state: DialState, number: Option<&str>) -> What {
    What::Dial { from: Some(id(from)), to: id(to), state, number: number.map(str::to_owned) }
}

fn hangs_up(leg: &str) -> What {
    What::HangupAsked { leg: id(leg), cancelled: false }
}

fn runs(leg: &str, application: Application) -> What {
    What::Runs { leg: id(leg), application, dialed: String::new() }
}

#[test]
fn a_stamp_at_the_end_of_time_does_no_harm() {
    for first in [true, false] {
        let mut told = told();
        if !first {
            told.say(calls_in("1"));
        }
        told.wait(1);
        told.say_at(Timestamp::MAX, calls_in("2"));
        told.wait(20);
        told.cut();
        told.wait(20);
        told.up();
        assert!(told.tracker.open_calls().is_empty());
    }
}

#[test]
fn a_call_that_was_last_seen_at_the_end_of_time_can_be_taken_over() {
    let mut earlier = told();
    earlier.say_at(Timestamp::MAX, calls_in("1"));
    let mut told = told_after(earlier.tracker.open_calls());
    told.up();
    assert_eq!(told.record().ended, Timestamp::MAX);
}

#[test]
fn a_stray_stamp_far_ahead_is_not_taken_for_the_time() {
    let mut told = told();
    told.say(calls_in("1"));
    told.wait(1);
    told.say_at(told.stamp() + SignedDuration::from_hours(48), calls_in("2"));
    let second = told.tracker.open_calls().into_iter().find(|call| call.outside_legs == ["2"]).unwrap();
    assert_eq!(second.started, told.stamp());
}

#[test]
fn a_clock_that_goes_on_far_ahead_is_believed() {
    let mut told = told();
    told.say(calls_in("1"));
    told.began += SignedDuration::from_hours(48);
    told.say(calls_in("2"));
    told.say(calls_in("3"));
    let third = told.tracker.open_calls().into_iter().find(|call| call.outside_legs == ["3"]).unwrap();
    assert_eq!(third.started, told.stamp());
}

#[test]
fn a_gap_begins_by_the_clock_as_it_was_set_right() {
    let mut told = told();
    told.began += SignedDuration::from_hours(2);
    told.say(calls_in("1"));
    told.say(gone("1", Cause::Normal));
    told.began -= SignedDuration::from_hours(2);
    told.say(calls_in("2"));
    told.wait(7);
    let cut_at = told.stamp();
    told.cut();
    told.wait(5);
    told.up();
    assert_eq!(told.records().last().unwrap().end_estimated, Some((cut_at, told.stamp())));
}

/// Phone 101, on leg `2`, has leg `3` called.
fn calls_out(told: &mut Told) {
    told.say(appears("2", phone("101"), Origin::CallsIn, "9030231250444"));
    told.say(is_called("3", Side::Outside));
    told.say(dials("2", "3", DialState::Started, Some(CALLER)));
}

#[test]
fn whoever_hangs_up_on_the_busy_tone_has_not_given_up() {
    for (cause, disposition) in [(Cause::Busy, Disposition::Busy), (Cause::Failed, Disposition::Failed)] {
        let mut told = told();
        calls_out(&mut told);
        told.say(gone("3", cause));
        told.say(hangs_up("2"));
        told.say(gone("2", Cause::Normal));
        assert_eq!(told.record().disposition, disposition);
    }
}

#[test]
fn whoever_hangs_up_while_it_rings_has_given_up() {
    let mut told = told();
    calls_out(&mut told);
    told.say(dials("2", "3", DialState::Ringing, None));
    told.say(hangs_up("2"));
    told.say(gone("3", Cause::Failed));
    told.say(gone("2", Cause::Normal));
    assert_eq!(told.record().disposition, Disposition::NoAnswer);
}

#[test]
fn what_runs_after_the_end_takes_nobody_out_of_the_queue() {
    let mut told = told();
    told.say(calls_in("1"));
    told.say(runs("1", Application::Queue("support".into())));
    told.say(hangs_up("1"));
    told.say(runs("1", Application::Other));
    told.say(gone("1", Cause::Normal));
    assert_eq!(told.record().disposition, Disposition::Abandoned);
}

#[test]
fn a_menu_behind_the_queue_takes_the_caller_out_of_it() {
    let mut told = told();
    told.say(calls_in("1"));
    told.say(runs("1", Application::Queue("support".into())));
    told.say(runs("1", Application::Other));
    told.say(hangs_up("1"));
    told.say(gone("1", Cause::Normal));
    assert_eq!(told.record().disposition, Disposition::Missed);
}

#[test]
fn a_phone_that_dials_on_after_a_call_begins_another() {
    let mut told = told();
    calls_out(&mut told);
    told.say(joins("2", "b"));
    told.say(joins("3", "b"));
    told.say(gone("3", Cause::Normal));
    assert_eq!(told.record().disposition, Disposition::Answered);
    // The first trunk fails, the second is rung.
    told.say(is_called("4", Side::Outside));
    told.say(dials("2", "4", DialState::Started, Some(CALLER)));
    told.say(gone("4", Cause::Failed));
    told.say(is_called("5", Side::Outside));
    told.say(dials("2", "5", DialState::Started, Some(CALLER)));
    told.say(hangs_up("2"));
    told.say(gone("5", Cause::Failed));
    told.say(gone("2", Cause::Normal));
    let dispositions: Vec<_> = told.records().into_iter().map(|record| record.disposition).collect();
    assert_eq!(dispositions, [Disposition::Answered, Disposition::NoAnswer]);
}

#[test]
fn a_phone_that_was_called_through_a_link_places_the_call_that_the_link_makes() {
    let mut told = told();
    for half in ["l1", "l2"] {
        told.say(is_called(half, Side::Link("l".into())));
    }
    told.say(is_called("4", phone("101")));
    told.say(dials("l2", "4", DialState::Ringing, None));
    told.say(dials("l2", "4", DialState::Answered, None));
    told.say(is_called("5", Side::Outside));
    told.say(dials("l1", "5", DialState::Started, Some(CALLER)));
    told.say(joins("4", "b"));
    told.say(joins("l2", "b"));
    let pops =
        |step: &Step| matches!(step, Step::Pop { extension, state: PopState::Ringing, .. } if extension.0 == "101");
    assert!(told.steps.iter().any(pops), "{:?}", told.steps);
    told.say(gone("5", Cause::Busy));
    told.say(gone("l1", Cause::Normal));
    told.say(gone("l2", Cause::Normal));
    told.say(gone("4", Cause::Normal));
    let record = told.record();
    assert_eq!(record.disposition, Disposition::Busy);
    assert!(record.call.agents.iter().any(|part| part.extension.0 == "101" && part.dialed), "{record:?}");
}

#[test]
fn a_call_that_one_feed_popped_is_not_popped_again_when_the_other_is_back() {
    let mut told = told();
    told.cut();
    told.feed = "blf";
    told.up();
    told.say(calls_in("1"));
    told.say(is_called("2", phone("101")));
    told.say(dials("1", "2", DialState::Ringing, None));
    told.feed = "pbx1";
    let live = |what: What, dialed_by: Option<&str>, since: Timestamp| {
        let What::Appeared(leg) = what else { panic!("{what:?}") };
        let (ringing, application) = (dialed_by.is_some(), Application::Other);
        LiveLeg { leg, since, ringing, bridge: None, dialed_by: dialed_by.map(id), application }
    };
    let since = told.stamp() - SignedDuration::from_secs(10);
    told.wait(2);
    told.up_with(vec![live(calls_in("1"), None, since), live(is_called("2", phone("101")), Some("1"), since)]);
    told.wait(5);
    let mut cards: BTreeMap<CallKey, i32> = BTreeMap::new();
    for step in &told.steps {
        match step {
            Step::Pop { call, .. } => *cards.entry(call.key.clone()).or_default() += 1,
            Step::Withdraw { call, reason: WithdrawReason::Moved, .. } => *cards.entry(call.clone()).or_default() -= 1,
            _ => {}
        }
    }
    let shown: Vec<_> = cards.into_iter().filter(|(_, cards)| *cards > 0).collect();
    assert_eq!(shown, [(CallKey::new("hq", "blf", "1"), 1)]);
}
