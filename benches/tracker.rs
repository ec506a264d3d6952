//! What of a frame's cost is whose: reading it, putting it in our words, and following its call. In one thread, without sockets.

#[path = "support/process.rs"]
mod process;
#[path = "support/tape.rs"]
mod tape;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ctibridge::calls::Site;
use ctibridge::calls::event::CallEvent;
use ctibridge::calls::feed::{FeedMessage, Known, Snapshot};
use ctibridge::calls::record::Extension;
use ctibridge::calls::tracker::Tracker;
use ctibridge::feeds::asterisk::map::Map;
use ctibridge::feeds::asterisk::wire::Frame;
use ctibridge::phone::NumberPlan;
use process::timed;
use tape::Tape;

const FRAMES: u32 = 200_000;

fn main() {
    println!("{FRAMES} frames of recorded calls");
    println!("{:<44}{:>14}{:>12}{:>14}", "", "frames/cpu-s", "ns/frame", "of reading");
    for lanes in [20, 400] {
        println!("{lanes} recordings at once");
        let mut tape = Tape::new(true).lanes(lanes);
        let texts: Vec<String> = (0..FRAMES).map(|_| tape.frame()).collect();
        let (frames, read) = timed(|| texts.iter().map(|text| Frame::parse(text).unwrap()).collect::<Vec<_>>());
        let (events, put) = timed(|| map(frames));
        let (steps, followed) = timed(|| follow(events));
        assert!(steps as u64 >= tape.calls());
        for (name, cpu) in [("  read", read), ("  put in our words", put), ("  follow the calls", followed)] {
            let rate = f64::from(FRAMES) / cpu.as_secs_f64();
            let share = cpu.as_secs_f64() / read.as_secs_f64() * 100.0;
            println!("{name:<44}{rate:>14.0}{:>12.0}{share:>13.0}%", 1e9 / rate);
        }
    }
}

fn map(frames: Vec<Frame>) -> Vec<CallEvent> {
    let devices = BTreeMap::from([("PJSIP/101-web".to_owned(), Extension("101".into()))]);
    let mut map = Map::new(&["PJSIP/trunk".to_owned(), "PJSIP/trunk-berlin".to_owned()], &devices);
    frames.into_iter().flat_map(|frame| map.frame(frame).events).collect()
}

/// Tells how many steps there were.
fn follow(events: Vec<CallEvent>) -> usize {
    let site = Site { bridge: "hq".into(), plan: NumberPlan::new("DE", "9", "2-6").unwrap() };
    let mut now = Instant::now();
    let (mut tracker, _) = Tracker::new(&site, &["pbx1".into()], Vec::new(), now);
    let mut steps = tracker.handle("pbx1", FeedMessage::Up(Snapshot::Known(Known::default())), now).len();
    for event in events {
        now += Duration::from_micros(100);
        steps += tracker.handle("pbx1", FeedMessage::Call(event), now).len();
        if tracker.poll_timeout() <= now {
            steps += tracker.handle_timeout(now).len();
        }
    }
    steps
}
