//! Any octets as notifications, one after the other, with everything behind them: no panic, and nothing that grows without bound.
#![no_main]

use ctibridge_fuzz::calls::record::Extension;
use ctibridge_fuzz::feeds::sip_dialog::info::Document;
use ctibridge_fuzz::feeds::sip_dialog::map::Map;
use ctibridge_fuzz::feeds::sip_dialog::parts::parts;
use ctibridge_fuzz::feeds::sip_dialog::view::View;
use ctibridge_fuzz::phone::NumberPlan;
use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Ok(plan) = NumberPlan::new("GB", "9", "2-6") else { return };
    let extensions = ["201", "202", "203"].map(|it| Extension(it.to_owned()));
    let mut map = Map::new(plan, extensions.clone());
    let mut views = [View::default(), View::default(), View::default()];
    let mut now = Timestamp::UNIX_EPOCH;
    for (nth, part) in parts(octets, "fuzz").iter().map(|part| part.body).chain(octets.split(|it| *it == 0)).enumerate() {
        now += SignedDuration::from_millis(i64::try_from(part.len() % 4000).unwrap_or(0));
        let Ok(document) = Document::read(part) else { continue };
        let which = nth % 3;
        views[which].apply(document);
        let _ = map.clock(now);
        let _ = map.shows(&extensions[which], views[which].dialogs(), now);
        let _ = map.known(&extensions[which]);
    }
    // Once time has passed, nothing waits for more of it.
    for _ in 0..10_000 {
        let Some(due) = map.deadline() else { return };
        let _ = map.clock(due);
    }
    panic!("the clock never stops");
});
