//! Who calls, what was dialled, who is held: what single messages say.

use crate::calls::event::{Cause, Presentation};
use crate::feeds::sip::{Message, Name, NameAddr, Params};

/// Longer sessions than any side asks for, in seconds.
const MAX_SESSION: u64 = 24 * 60 * 60;

/// A caller as an INVITE presents it.
#[derive(Debug, PartialEq, Eq)]
pub struct Caller {
    /// Never to be shown when it is withheld: only to tell legs of one call.
    pub number: String,
    pub name: String,
    pub presentation: Presentation,
}

/// From P-Asserted-Identity (RFC 3325), else Remote-Party-ID, else From. Whoever asks for privacy (RFC 3323), or calls as Anonymous,
/// is withheld, whatever a trusted header says.
pub fn caller(invite: &Message<'_>, from: &NameAddr<'_>) -> Caller {
    let shown = identity(invite);
    let who = shown.as_ref().unwrap_or(from);
    let withheld = wants_privacy(invite) || is_anonymous(from);
    Caller {
        number: who.uri.who().into_owned(),
        name: if who.display.is_empty() { from.display.to_string() } else { who.display.to_string() },
        presentation: if withheld { Presentation::Withheld } else { Presentation::Allowed },
    }
}

/// Who a trusted header says that it is.
pub fn identity<'m>(message: &'m Message<'_>) -> Option<NameAddr<'m>> {
    [Name::AssertedIdentity, Name::RemotePartyId]
        .into_iter()
        .flat_map(|name| message.values(name))
        .filter_map(NameAddr::read)
        .find(|address| !address.uri.who().is_empty())
}

fn wants_privacy(invite: &Message<'_>) -> bool {
    let asked = invite
        .lines(Name::Privacy)
        .flat_map(|line| line.split([';', ',']))
        .any(|word| ["id", "user", "header"].iter().any(|it| word.trim().eq_ignore_ascii_case(it)));
    let party = invite.values(Name::RemotePartyId).filter_map(NameAddr::read);
    asked
        || party.into_iter().any(|party| party.params.get("privacy").is_some_and(|it| !it.eq_ignore_ascii_case("off")))
}

fn is_anonymous(from: &NameAddr<'_>) -> bool {
    from.uri.host.eq_ignore_ascii_case("anonymous.invalid") || from.uri.who().eq_ignore_ascii_case("anonymous")
}

/// The number dialled first: that of the oldest diversion (RFC 5806, RFC 7044), else the one asked for.
pub fn dialed(invite: &Message<'_>) -> String {
    let diverted = invite.values(Name::Diversion).filter_map(NameAddr::read).last();
    let first = diverted.or_else(|| invite.values(Name::HistoryInfo).find_map(NameAddr::read));
    let asked = || invite.request_uri().map(|uri| uri.who().into_owned());
    first.map(|address| address.uri.who().into_owned()).filter(|who| !who.is_empty()).or_else(asked).unwrap_or_default()
}

/// Whether the sender of a session description holds: it sends only, or nothing, or from nowhere (RFC 3264 8.4). `None`: the message
/// carries no description.
pub fn holds(message: &Message<'_>) -> Option<bool> {
    let body = message.body;
    if !body.starts_with(b"v=") {
        return None;
    }
    let (mut held, mut nowhere) = (false, false);
    for line in body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end) {
        match line {
            b"a=sendonly" | b"a=inactive" => held = true,
            b"c=IN IP4 0.0.0.0" | b"c=IN IP6 ::" => nowhere = true,
            _ => {}
        }
    }
    Some(held || nowhere)
}

/// Why a leg ended, by the final response to its INVITE (RFC 3261 21.4).
pub fn cause(code: u16) -> Cause {
    match code {
        486 | 600 => Cause::Busy,
        300..=399 | 408 | 480 | 487 | 603 => Cause::NoAnswer,
        _ => Cause::Failed,
    }
}

/// How long a session lives without a refresh, in seconds (RFC 4028 4); longer than any asks for is as good as none.
pub fn session_seconds(message: &Message<'_>) -> Option<u64> {
    let value = message.header(Name::SessionExpires)?;
    let seconds = value.split(';').next().unwrap_or_default().trim().parse().ok()?;
    (90..=MAX_SESSION).contains(&seconds).then_some(seconds)
}

/// The part of a Session-ID that stays the same along the call (RFC 7989 5); empty where there is none.
pub fn session_id(message: &Message<'_>) -> String {
    let id = message.header(Name::SessionId).unwrap_or_default();
    let local = id.split(';').next().unwrap_or_default().trim();
    let is_null = local.bytes().all(|byte| byte == b'0');
    if is_null { String::new() } else { format!("session {}", local.to_ascii_lowercase()) }
}

/// The dialog that a Replaces value names (RFC 3891): its Call-ID.
pub fn replaced(value: &str) -> Option<String> {
    let (call_id, tags) = value.split_once(';')?;
    Params(tags).get("to-tag")?;
    Some(call_id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(headers: &str) -> Vec<u8> {
        format!("INVITE sip:+4930100@pbx SIP/2.0\r\nFrom: \"A\" <sip:+441@x>;tag=1\r\n{headers}\r\n").into_bytes()
    }

    fn read(headers: &str) -> Caller {
        let bytes = invite(headers);
        let message = Message::read(&bytes).unwrap();
        caller(&message, &message.address(Name::From).unwrap())
    }

    #[test]
    fn a_trusted_header_goes_before_from() {
        let caller = read("P-Asserted-Identity: <sip:asserted@x>, <tel:+442>\r\n");
        assert_eq!((caller.number.as_str(), caller.name.as_str()), ("asserted", "A"));
        assert_eq!(read("").number, "+441");
        assert_eq!(read("Remote-Party-ID: \"B\" <sip:+443@x>;party=calling;privacy=off\r\n").name, "B");
    }

    #[test]
    fn whoever_asks_for_privacy_is_withheld() {
        for headers in [
            "P-Asserted-Identity: <tel:+442>\r\nPrivacy: id\r\n",
            "Privacy: header;user;critical\r\n",
            "Privacy: ID\r\n",
            "Remote-Party-ID: <sip:+443@x>;privacy=full\r\n",
        ] {
            assert_eq!(read(headers).presentation, Presentation::Withheld, "{headers}");
        }
        assert_eq!(read("Privacy: none\r\n").presentation, Presentation::Allowed);
        let bytes = b"INVITE sip:x SIP/2.0\r\nf: <sip:anonymous@anonymous.invalid>;tag=1\r\nP-Asserted-Identity: <tel:+442>\r\n\r\n";
        let message = Message::read(bytes).unwrap();
        let caller = caller(&message, &message.address(Name::From).unwrap());
        assert_eq!(caller.presentation, Presentation::Withheld);
    }

    #[test]
    fn the_number_dialled_first_is_that_of_the_oldest_diversion() {
        for (headers, number) in [
            ("", "+4930100"),
            ("Diversion: <sip:2@x>;reason=no-answer, <sip:1@x>;reason=unconditional\r\n", "1"),
            ("History-Info: <sip:1@x>;index=1, <sip:2@x>;index=1.1\r\n", "1"),
        ] {
            assert_eq!(dialed(&Message::read(&invite(headers)).unwrap()), number, "{headers}");
        }
    }

    #[test]
    fn hold_is_read_from_the_description() {
        for (body, held) in [
            ("v=0\r\nc=IN IP4 192.0.2.1\r\na=sendrecv\r\n", Some(false)),
            ("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 1 RTP/AVP 8\r\na=sendonly\r\n", Some(true)),
            ("v=0\na=inactive\n", Some(true)),
            ("v=0\r\nc=IN IP4 0.0.0.0\r\n", Some(true)),
            ("v=0\r\na=recvonly\r\n", Some(false)),
            ("", None),
        ] {
            let bytes = [b"INVITE sip:x SIP/2.0\r\n\r\n", body.as_bytes()].concat();
            assert_eq!(holds(&Message::read(&bytes).unwrap()), held, "{body}");
        }
    }
}
