//! A daemon that is started again takes up the calls that the one before left open: the tracker alone.

use std::time::{Duration, Instant};

use ctibridge::calls::Site;
use ctibridge::calls::event::{
    Application, BridgeId, BridgeKind, CallEvent, Cause, DialState, Leg, LegId, Origin, Presentation, Side, What,
};
use ctibridge::calls::feed::{FeedMessage, Known, LiveBridge, LiveLeg, Snapshot};
use ctibridge::calls::record::{CallRecord, Disposition, Extension, OpenCall};
use ctibridge::calls::step::{PopState, Step};
use ctibridge::calls::tracker::Tracker;
use jiff::Timestamp;

use crate::support::truth;

const FEED: &str = "pbx1";

fn at(second: i64) -> Timestamp {
    "2026-11-21T17:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(second.unsigned_abs())
}

fn leg(id: &str, side: Side, origin: Origin) -> Leg {
    Leg {
        id: LegId(id.into()),
        side,
        origin,
        number: "+4930231250444".into(),
        name: String::new(),
        dialed: "+493023125101".into(),
        presentation: Presentation::Allowed,
    }
}

fn caller() -> Leg {
    leg("1.1", Side::Outside, Origin::CallsIn)
}

fn phone() -> Leg {
    leg("1.2", Side::Phone(Extension("101".into())), Origin::IsCalled)
}

fn tracker(open: Vec<OpenCall>) -> Tracker {
    let site = Site { bridge: "hq".into(), plan: truth::plan() };
    Tracker::new(&site, &[FEED.into()], open, Instant::now()).0
}

fn tell(tracker: &mut Tracker, second: i64, what: What) -> Vec<Step> {
    tracker.handle(FEED, FeedMessage::Call(CallEvent { at: at(second), what }), Instant::now())
}

fn up(tracker: &mut Tracker, legs: Vec<LiveLeg>, second: i64) -> Vec<Step> {
    let known = Known { legs, at: Some(at(second)), ..Known::default() };
    tracker.handle(FEED, FeedMessage::Up(Snapshot::Known(known)), Instant::now())
}

/// What the first daemon left on disk: a call that 101 has answered after two seconds.
fn left_open() -> Vec<OpenCall> {
    let mut tracker = tracker(Vec::new());
    up(&mut tracker, Vec::new(), 0);
    let (from, to) = (Some(LegId("1.1".into())), LegId("1.2".into()));
    tell(&mut tracker, 0, What::Appeared(caller()));
    tell(&mut tracker, 0, What::Appeared(phone()));
    tell(&mut tracker, 0, What::Dial { from, to, state: DialState::Ringing, number: None });
    for id in ["1.1", "1.2"] {
        let (bridge, kind) = (BridgeId("b".into()), BridgeKind::Mixing);
        tell(&mut tracker, 2, What::Joined { leg: LegId(id.into()), bridge, kind });
    }
    let open = tracker.open_calls();
    assert_eq!(open.len(), 1);
    open
}

fn live(leg: Leg) -> LiveLeg {
    let bridge = LiveBridge { id: BridgeId("b".into()), kind: BridgeKind::Mixing, since: at(2) };
    let application = Application::Other;
    LiveLeg { leg, since: at(0), ringing: false, bridge: Some(bridge), dialed_by: None, application }
}

fn ended(steps: &[Step]) -> Vec<&CallRecord> {
    steps
        .iter()
        .filter_map(|step| match step {
            Step::Ended(record) => Some(record),
            _ => None,
        })
        .collect()
}

#[test]
fn a_call_that_still_runs_goes_on_under_its_key_and_is_shown_without_a_second_pop() {
    let open = left_open();
    let mut tracker = tracker(open.clone());
    let steps = up(&mut tracker, vec![live(caller()), live(phone())], 5);
    assert!(steps.iter().any(|step| matches!(step, Step::Update { state: PopState::Answered, .. })));
    assert!(!steps.iter().any(|step| matches!(step, Step::Pop { .. })));
    let steps = tell(&mut tracker, 12, What::Gone { leg: LegId("1.1".into()), cause: Cause::Normal });
    let records = ended(&steps);
    let record = records.first().unwrap();
    assert_eq!(record.call.key, open[0].key);
    assert_eq!((record.disposition, record.duration_seconds()), (Disposition::Answered, 10));
    assert!(record.end_estimated.is_none());
}

#[test]
fn a_call_that_is_over_is_told_once_with_its_end_estimated() {
    let open = left_open();
    let mut tracker = tracker(open.clone());
    let steps = up(&mut tracker, Vec::new(), 60);
    let records = ended(&steps);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].call.key, open[0].key);
    assert_eq!(records[0].end_estimated, Some((open[0].seen, at(60))));
    assert!(tracker.open_calls().is_empty());
    assert!(ended(&up(&mut tracker, Vec::new(), 70)).is_empty());
}

#[test]
fn a_call_of_a_feed_that_is_no_more_ends_at_once() {
    let site = Site { bridge: "hq".into(), plan: truth::plan() };
    let (tracker, steps) = Tracker::new(&site, &["other".into()], left_open(), Instant::now());
    assert_eq!(ended(&steps).len(), 1);
    assert!(tracker.open_calls().is_empty());
}
