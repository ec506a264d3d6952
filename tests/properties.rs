//! What holds for any input: the readers of SIP and HEP never panic, and read the same however it is spelt.

use ctibridge::feeds::hep::packet::{self, Packet, Payload};
use ctibridge::feeds::sip::{Frames, Message, Name, NameAddr};
use proptest::collection::vec;
use proptest::prelude::*;

/// Octets that look like SIP: pieces that mean something, in any order, and others between.
fn like_sip() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "INVITE sip:a@b SIP/2.0\r\n",
        "SIP/2.0 200 OK\r\n",
        "Via: SIP/2.0/UDP x;branch=z9hG4bK1\r\n",
        "f: \"A\" <sip:a@b>;tag=1\r\n",
        "To: ",
        "\r\n",
        "\r\n ",
        "\n\n",
        "Call-ID: x\r\n",
        "CSeq: 1 INVITE\r\n",
        "Content-Length: 9\r\n",
        "<",
        ">",
        "\"",
        "\\",
        ";",
        ",",
        "%41",
        "@",
        ":",
        "\u{e4}",
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(pieces.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..8),
    ];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_octets_make_the_readers_panic(octets in prop_oneof![like_sip(), vec(any::<u8>(), 0..2000)]) {
        let _ = Packet::read(&octets);
        let _ = packet::length(&octets);
        let mut frames = Frames::default();
        frames.push(&octets);
        while let Ok(Some(_)) = frames.next_frame() {}
        if let Ok(message) = Message::read(&octets) {
            let _ = message.essentials();
            let _ = message.request_uri();
            for value in message.values(Name::Via).chain(message.values(Name::Contact)) {
                let _ = NameAddr::read(value).map(|it| it.uri.who().len());
            }
        }
    }

    /// RFC 3261 7.3.1: names in any case or compact, white space and folding mean nothing.
    #[test]
    fn a_header_reads_the_same_however_it_is_written(
        user in "[a-z0-9+.-]{1,20}", tag in "[a-z0-9]{1,12}", name in "(From|FROM|f|fRoM)", before in "[ \t]{0,3}", after in "(|[ \t]{1,3}|\r\n |\n\t)",
        end in "(\r\n|\n)", lead in "(|\r\n|\r\n\r\n)",
    ) {
        let text = format!("{lead}BYE sip:x SIP/2.0{end}{name}{before}:{after}<sip:{user}@x>{after};tag={tag}{end}{end}");
        let message = Message::read(text.as_bytes()).unwrap();
        let from = message.address(Name::From).unwrap();
        prop_assert_eq!((from.uri.who().into_owned(), from.tag().to_owned()), (user, tag));
    }

    #[test]
    fn chunks_are_read_in_any_order(order in Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle(), junk in vec((1..9_u16, any::<u16>(), vec(any::<u8>(), 0..20)), 0..5)) {
        let chunk = |vendor: u16, kind: u16, body: &[u8]| {
            [&vendor.to_be_bytes()[..], &kind.to_be_bytes(), &u16::try_from(body.len() + 6).unwrap().to_be_bytes(), body].concat()
        };
        let own = [
            chunk(0, 3, &[10, 0, 0, 1]), chunk(0, 4, &[10, 0, 0, 2]), chunk(0, 7, &[19, 196]), chunk(0, 8, &[19, 197]),
            chunk(0, 9, &[101, 0, 0, 0]), chunk(0, 11, &[1]), chunk(0, 14, b"key"), chunk(0, 15, b"OPTIONS"),
        ];
        let mut body: Vec<u8> = order.iter().flat_map(|at| own[*at].clone()).collect();
        for (vendor, kind, octets) in &junk {
            body.extend(chunk(*vendor, *kind, octets));
        }
        let bytes = [&b"HEP3"[..], &u16::try_from(body.len() + 6).unwrap().to_be_bytes(), &body].concat();
        let read = Packet::read(&bytes).unwrap();
        prop_assert_eq!((read.source.to_string(), read.destination.to_string()), ("10.0.0.1:5060".into(), "10.0.0.2:5061".into()));
        prop_assert_eq!((read.key, read.payload), (&b"key"[..], Payload::Sip(b"OPTIONS".into())));
    }
}
