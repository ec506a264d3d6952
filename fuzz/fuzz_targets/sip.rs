//! Any octets as a message and as a stream: no panic, and nothing beyond its size.
#![no_main]

use ctibridge_fuzz::feeds::sip::{Frames, MAX_BYTES, Message, Name, NameAddr};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let mut frames = Frames::default();
    for piece in octets.chunks(977) {
        frames.push(piece);
        loop {
            match frames.next_frame() {
                Ok(Some(frame)) => assert!(frame.len() <= MAX_BYTES),
                Ok(None) => break,
                Err(_) => return read(octets),
            }
        }
    }
    read(octets);
});

fn read(octets: &[u8]) {
    let Ok(message) = Message::read(octets) else { return };
    assert!(message.body.len() <= octets.len());
    let _ = message.essentials();
    let _ = message.request_uri().map(|uri| (uri.who().len(), uri.header("Replaces").is_some()));
    for name in [Name::Via, Name::Contact, Name::AssertedIdentity, Name::Diversion, Name::ReferTo, Name::Reason] {
        for value in message.values(name) {
            let _ = NameAddr::read(value).map(|it| (it.tag().len(), it.uri.who().len(), it.uri.header("x").is_some()));
        }
    }
}
