//! The SIP reader on the torture messages of RFC 4475, and on what a hostile sender might make of it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ctibridge::feeds::sip::{Frames, Message, Name, NameAddr, Scheme, StartLine, Unfit, Unreadable};

/// What becomes of a message.
#[derive(Debug, PartialEq)]
enum Fate {
    /// It is read, and its call can be followed.
    Followed,
    /// It is read, and passed over.
    Unfit(Unfit),
    Unreadable(Unreadable),
}

use Fate::Followed;

fn torture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rfc4475").join(format!("{name}.dat"));
    std::fs::read(path).unwrap()
}

fn fate(bytes: &[u8]) -> Fate {
    match Message::read(bytes) {
        Err(error) => Fate::Unreadable(error),
        Ok(message) => message.essentials().err().map_or(Followed, Fate::Unfit),
    }
}

#[test]
fn each_torture_message_has_its_fate() {
    let fates = [
        // 3.1.1: valid
        ("wsinv", Followed),
        ("intmeth", Followed),
        ("esc01", Followed),
        ("escnull", Followed),
        ("esc02", Followed),
        ("lwsdisp", Followed),
        ("longreq", Followed),
        ("dblreq", Followed),
        ("semiuri", Followed),
        ("transports", Followed),
        ("mpart01", Followed),
        ("unreason", Followed),
        ("noreason", Followed),
        // 3.1.2: invalid. What a phone system may take all the same is followed.
        ("badinv01", Followed),
        ("clerr", Followed),
        ("ncl", Followed),
        ("scalar02", Fate::Unfit(Unfit::Without(Name::CSeq))),
        ("scalarlg", Fate::Unfit(Unfit::Without(Name::CSeq))),
        ("quotbal", Followed),
        ("ltgtruri", Followed),
        ("lwsruri", Followed),
        ("lwsstart", Followed),
        ("trws", Followed),
        ("escruri", Followed),
        ("baddate", Followed),
        ("regbadct", Followed),
        ("badaspec", Followed),
        ("baddn", Followed),
        ("badvers", Fate::Unreadable(Unreadable::Version)),
        ("mismatch01", Fate::Unfit(Unfit::OtherMethod)),
        ("mismatch02", Fate::Unfit(Unfit::OtherMethod)),
        ("bigcode", Fate::Unreadable(Unreadable::StartLine)),
        // 3.2 and 3.3: what is wrong with them is not for a listener to judge.
        ("badbranch", Followed),
        ("insuf", Fate::Unfit(Unfit::Without(Name::CallId))),
        ("unkscm", Followed),
        ("novelsc", Followed),
        ("unksm2", Followed),
        ("bext01", Followed),
        ("invut", Followed),
        ("regaut01", Followed),
        ("multi01", Fate::Unfit(Unfit::Twice(Name::CallId))),
        ("mcl01", Followed),
        ("bcast", Followed),
        ("zeromf", Followed),
        ("cparam01", Followed),
        ("cparam02", Followed),
        ("regescrt", Followed),
        ("sdp01", Followed),
        // 3.4: as RFC 2543 had it
        ("inv2543", Followed),
    ];
    assert_eq!(fates.len(), 49);
    for (name, expected) in fates {
        assert_eq!(fate(&torture(name)), expected, "{name}");
    }
}

/// Who and what a message is of: method or code, Call-ID, `CSeq`, then user part and tag of From and To.
fn told(name: &str) -> Vec<String> {
    let bytes = torture(name);
    let message = Message::read(&bytes).unwrap();
    let kind = match message.start {
        StartLine::Request { method, .. } => method.to_owned(),
        StartLine::Response { code, .. } => code.to_string(),
    };
    let it = message.essentials().unwrap();
    let cseq = format!("{} {}", it.cseq.number, it.cseq.method);
    let who = |address: &NameAddr| [address.uri.who().into_owned(), address.tag().to_owned()];
    [vec![kind, it.call_id.to_owned(), cseq], who(&it.from).to_vec(), who(&it.to).to_vec()].concat()
}

#[test]
fn the_valid_torture_messages_are_read_right() {
    let odd = "!interesting-Method0123456789_*+`.%indeed'~";
    for (name, expected) in [
        ("wsinv", ["INVITE", "wsinv.ndaksdj@192.0.2.1", "9 INVITE", "jdrosen", "98asjd8", "vivekg", "1918181833n"]),
        (
            "intmeth",
            [
                odd,
                "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
                &format!("139122385 {odd}"),
                "mundane",
                "_token~1'+`*%!-.",
                "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/",
                "",
            ],
        ),
        (
            "esc01",
            ["INVITE", "esc01.239409asdfakjkn23onasd0-3234", "234234 INVITE", "I have spaces", "938", "user", ""],
        ),
        (
            "escnull",
            [
                "REGISTER",
                "escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd",
                "14398234 REGISTER",
                "null-%00-null",
                "839923423",
                "null-%00-null",
                "",
            ],
        ),
        (
            "esc02",
            [
                "RE%47IST%45R",
                "esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf",
                "29344 RE%47IST%45R",
                "resource",
                "f232jadfj23",
                "resource",
                "",
            ],
        ),
        ("lwsdisp", ["OPTIONS", "lwsdisp.1234abcd@funky.example.com", "60 OPTIONS", "caller", "323", "user", ""]),
        (
            "dblreq",
            ["REGISTER", "dblreq.0ha0isndaksdj99sdfafnl3lk233412", "8 REGISTER", "j.user", "43251j3j324", "j.user", ""],
        ),
        ("semiuri", ["OPTIONS", "semiuri.0ha0isndaksdj", "8 OPTIONS", "caller", "33242", "j_user", ""]),
        ("transports", ["OPTIONS", "transports.kijh4akdnaqjkwendsasfdj", "60 OPTIONS", "caller", "323", "user", ""]),
        (
            "mpart01",
            [
                "MESSAGE",
                "3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..",
                "1 MESSAGE",
                "fluffy",
                "2fb0dcc9",
                "kumiko",
                "",
            ],
        ),
        ("unreason", ["200", "unreason.1234ksdfak3j2erwedfsASdf", "35 INVITE", "user", "11141343", "user", "2229"]),
        ("noreason", ["100", "noreason.asndj203insdf99223ndf", "35 INVITE", "user", "39ansfi3", "user", "902jndnke3"]),
    ] {
        assert_eq!(told(name), expected, "{name}");
    }
    let long = told("longreq");
    assert_eq!((long[0].as_str(), long[2].as_str(), long[5].as_str()), ("INVITE", "3882340 INVITE", "user"));
    assert!(long[1].starts_with("longreq.onereallyreally") && long[1].ends_with("reallylongcallid"), "{long:?}");
    assert_eq!((long[3].len(), long[4].len()), (115, 155), "name and tag of From");
}

#[test]
fn the_details_of_the_torture_are_read_right() {
    let bytes = torture("wsinv");
    let message = Message::read(&bytes).unwrap();
    let hosts: Vec<_> = message.values(Name::Via).map(str::to_owned).collect();
    assert_eq!(hosts.len(), 3, "{hosts:?}");
    assert_eq!(message.via().unwrap().host, "192.0.2.2");
    assert_eq!(message.essentials().unwrap().branch, "390skdjuw");
    assert_eq!(message.address(Name::From).unwrap().display, "J Rosenberg \\\"");
    assert_eq!(message.address(Name::Contact).unwrap().params.get("newparam"), Some("newvalue"));
    assert_eq!(message.other("newfangledheader"), Some("newfangled value continued newfangled value"));
    assert_eq!(message.body.len(), 150);

    let bytes = torture("dblreq");
    assert!(Message::read(&bytes).unwrap().body.is_empty(), "what follows the message is not its body");

    let bytes = torture("esc01");
    let message = Message::read(&bytes).unwrap();
    assert_eq!(message.request_uri().unwrap().who(), "sips:user@example.com");

    let bytes = torture("transports");
    let vias: Vec<_> = Message::read(&bytes)
        .unwrap()
        .values(Name::Via)
        .map(|via| via.split('/').nth(2).map(|it| it.split_whitespace().next().unwrap().to_owned()).unwrap())
        .collect();
    assert_eq!(vias, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);

    let bytes = torture("unksm2");
    let message = Message::read(&bytes).unwrap();
    assert_eq!(message.address(Name::To).unwrap().uri.scheme, Scheme::Other("isbn"));

    let bytes = torture("mpart01");
    assert_eq!(Message::read(&bytes).unwrap().body.len(), 553);

    let bytes = torture("unreason");
    let reason = "= 2**3 * 5**2 но сто девяносто девять - простое".as_bytes();
    assert_eq!(Message::read(&bytes).unwrap().start, StartLine::Response { code: 200, reason });
}

/// Reads it in every way there is.
fn read_all(bytes: &[u8]) {
    let mut frames = Frames::default();
    frames.push(bytes);
    while let Ok(Some(frame)) = frames.next_frame() {
        assert!(frame.len() <= ctibridge::feeds::sip::MAX_BYTES);
    }
    let Ok(message) = Message::read(bytes) else { return };
    let _ = message.essentials();
    let _ = message.request_uri().map(|uri| (uri.who().len(), uri.header("Replaces").is_some()));
    for name in [Name::Via, Name::Contact, Name::AssertedIdentity, Name::Diversion, Name::To, Name::From] {
        for value in message.values(name) {
            let _ = NameAddr::read(value).map(|it| (it.tag().len(), it.uri.who().len(), it.uri.header("x").is_some()));
        }
    }
}

#[test]
fn what_is_built_to_be_slow_is_read_within_ten_milliseconds() {
    let fill = |head: &str, filler: &str| {
        let mut bytes = format!("INVITE sip:x@y SIP/2.0\r\n{head}").into_bytes();
        bytes.extend(filler.bytes().cycle().take(65_000 - bytes.len()));
        bytes
    };
    let hostile = [
        fill("To: ", "\r\n x"),
        fill("Via: ", ","),
        fill("Via: ", "SIP/2.0/UDP a;b,"),
        fill("Contact: ", "<sip:a@b>;c=\"d\","),
        fill("To: \"", "\\\""),
        fill("To: <sip:", "%41"),
        fill("To: <sip:a@b?", "a=b&"),
        fill("From: <sip:a@b>;", "tag;"),
        fill("", "a:b\r\n"),
        fill("", "\n"),
        fill("P-Asserted-Identity: ", "<"),
        fill("To: ", "\u{e4}"),
    ];
    for (nth, bytes) in hostile.iter().enumerate() {
        // The fastest of some: what else the machine does is not the reader's fault.
        let best = (0..20)
            .map(|_| {
                timed(|| {
                    fate(bytes);
                })
            })
            .min()
            .unwrap();
        assert!(best < Duration::from_millis(10), "{nth}: {best:?}");
    }
}

fn timed(what: impl FnOnce()) -> Duration {
    let began = Instant::now();
    what();
    began.elapsed()
}

#[test]
fn a_cut_or_changed_torture_message_never_panics() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rfc4475");
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for cut in 0..bytes.len() {
            read_all(&bytes[..cut]);
            let mut changed = bytes.clone();
            changed[cut] ^= 0x80 | u8::try_from(cut % 128).unwrap();
            read_all(&changed);
        }
    }
}
