//! Any octets as a stream of packets, through the map and the tracker: no panic, and no more legs than there are packets.
#![no_main]

use std::time::{Duration, Instant};

use ctibridge_fuzz::calls::Site;
use ctibridge_fuzz::calls::feed::{FeedMessage, Snapshot};
use ctibridge_fuzz::calls::tracker::Tracker;
use ctibridge_fuzz::feeds::hep::map::{Map, Trunk};
use ctibridge_fuzz::feeds::hep::packet::{self, Packet, Payload};
use ctibridge_fuzz::phone::NumberPlan;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let trunks = ["127.0.0.2", "127.0.0.1:15090", "carrier.example"].map(|text| Trunk::parse(text).unwrap());
    let mut map = Map::new(trunks.into(), &Default::default());
    let site = Site { bridge: "hq".into(), plan: NumberPlan::new("GB", "9", "2-6").unwrap() };
    let mut now = Instant::now();
    let (mut tracker, _) = Tracker::new(&site, &["pbx1".into()], Vec::new(), now);
    tracker.handle("pbx1", FeedMessage::Up(Snapshot::Unknowable), now);
    let (mut rest, mut packets) = (octets, 0);
    let mut tell = |events: Vec<_>, now| {
        for event in events {
            tracker.handle("pbx1", FeedMessage::Call(event), now);
        }
    };
    while let Ok(Some(length)) = packet::length(rest) {
        let Some((one, after)) = rest.split_at_checked(length) else { break };
        rest = after;
        now += Duration::from_millis(20);
        packets += 1;
        if let Ok(packet) = Packet::read(one)
            && let Payload::Sip(sip) = &packet.payload
        {
            tell(map.packet(&packet, sip, now).unwrap_or_default(), now);
        }
        assert!(map.live() <= packets);
    }
    let late = now + Duration::from_secs(5 * 3600);
    tell(map.expire(late, Timestamp::UNIX_EPOCH), late);
    assert_eq!(map.live(), 0);
});
