//! What is put on an agent's screen: a call, who is behind it, and the best link.

use jiff::Timestamp;
use serde::Serialize;

use super::clean::{clean, clean_or_none};
use super::config::UnknownCaller;
use super::link::Linker;
use crate::calls::record::{CallKey, Direction, Extension, OpenCall, OutsideParty};
use crate::calls::step::PopState;
use crate::directory::answer::{Answer, Match};
use crate::phone::PhoneNumber;
use crate::salesforce::RecordId;

/// The longest name that is shown, in characters.
const MAX_NAME: usize = 200;
/// The longest number, queue or field name that is shown, in characters.
const MAX_WORD: usize = 80;

/// A card, as the stream carries it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Pop {
    pub call: CallKey,
    pub extension: Extension,
    pub direction: Direction,
    /// `ringing`, `answered` or `ended`.
    pub state: &'static str,
    pub caller: CallerView,
    pub dialed: String,
    pub queue: Option<String>,
    /// Best first; the one that the agent chose comes first of all.
    pub matches: Vec<MatchView>,
    /// The best link; none for a withheld number.
    pub url: Option<String>,
    /// The record that the agent chose for the call.
    pub chosen: Option<RecordId>,
    pub at: Timestamp,
}

/// The outside party, without anything that it keeps to itself.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct CallerView {
    pub e164: Option<String>,
    /// What a person reads; `withheld` for a withheld number.
    pub display: String,
    pub name: Option<String>,
}

/// A record that the caller may be.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct MatchView {
    pub object: String,
    pub id: RecordId,
    pub name: String,
    pub account: Option<String>,
    pub field: String,
    pub url: Option<String>,
    pub reason: String,
}

/// What a card is made from: a call as one agent sees it, and what the directory says.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub call: &'a OpenCall,
    pub extension: &'a Extension,
    pub state: PopState,
    pub answer: &'a Answer,
    pub at: Timestamp,
}

impl Pop {
    #[must_use]
    pub fn new(seen: Seen<'_>, links: &Linker, unknown: UnknownCaller) -> Self {
        let call = seen.call;
        let matches = if is_withheld(&call.party) { Vec::new() } else { MatchView::all(seen.answer, links) };
        let offer = || {
            let number = call.party.number.e164()?;
            links.unknown(unknown, number)
        };
        Self {
            call: call.key.clone(),
            extension: seen.extension.clone(),
            direction: call.direction,
            state: state_name(seen.state),
            caller: CallerView::of(&call.party),
            dialed: clean(&call.dialed, MAX_WORD),
            queue: clean_or_none(call.queue.as_deref(), MAX_WORD),
            url: matches.first().map_or_else(offer, |best| {
                let shared = seen.answer.shared_account().and_then(|account| links.record("Account", account));
                shared.or_else(|| best.url.clone())
            }),
            matches,
            chosen: None,
            at: seen.at,
        }
    }

    /// Puts the record that the agent chose first, and makes its link the card's.
    pub(super) fn choose(&mut self, record: &RecordId) {
        self.chosen = Some(record.clone());
        self.matches.sort_by_key(|candidate| candidate.id != *record);
        if let Some(first) = self.matches.first().filter(|first| first.id == *record) {
            self.url = first.url.clone();
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state == state_name(PopState::Ended)
    }
}

impl CallerView {
    pub fn of(party: &OutsideParty) -> Self {
        let withheld = is_withheld(party);
        Self {
            e164: party.number.e164().map(str::to_owned),
            display: party.number.display().map_or_else(|| "withheld".to_owned(), |text| clean(text, MAX_WORD)),
            name: clean_or_none(party.name.as_deref(), MAX_NAME).filter(|_| !withheld),
        }
    }
}

impl MatchView {
    /// All candidates with their links, best first.
    #[must_use]
    pub fn all(answer: &Answer, links: &Linker) -> Vec<Self> {
        answer.matches.iter().map(|candidate| Self::of(candidate, links)).collect()
    }

    fn of(candidate: &Match, links: &Linker) -> Self {
        Self {
            object: clean(&candidate.object, MAX_WORD),
            id: candidate.id.clone(),
            name: clean(&candidate.name, MAX_NAME),
            account: clean_or_none(candidate.account.as_deref(), MAX_NAME),
            field: clean(&candidate.field, MAX_WORD),
            url: links.record(&candidate.object, &candidate.id),
            reason: clean(&candidate.reason, MAX_NAME),
        }
    }
}

fn is_withheld(party: &OutsideParty) -> bool {
    party.number == PhoneNumber::Withheld
}

fn state_name(state: PopState) -> &'static str {
    match state {
        PopState::Ringing => "ringing",
        PopState::Answered => "answered",
        PopState::Ended => "ended",
    }
}

impl std::fmt::Debug for Pop {
    /// Without the caller, so that it may stand in a log line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} for {}, {}", self.call, self.extension, self.state)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::directory::answer::{Exactness, Source};
    use serde_json::{Value, json};

    pub fn call(unique: &str, number: PhoneNumber, name: &str) -> OpenCall {
        OpenCall {
            key: CallKey::new("hq", "pbx1", unique),
            feed: "pbx1".into(),
            direction: Direction::Inbound,
            party: OutsideParty { number, name: Some(name.into()) },
            dialed: "+493023125000".into(),
            queue: None,
            started: Timestamp::UNIX_EPOCH,
            answered: None,
            agents: Vec::new(),
            journey: Vec::new(),
            outside_legs: Vec::new(),
            aliases: Vec::new(),
            seen: Timestamp::UNIX_EPOCH,
            voicemail: false,
        }
    }

    pub fn linker() -> Linker {
        Linker::new(
            |object, id| Some(format!("https://acme.example/{object}/{id}")),
            |number| Some(format!("https://acme.example/search/{number}")),
            |number| Some(format!("https://acme.example/new/{number}")),
        )
    }

    pub fn contact(id: &str, name: &str) -> Match {
        Match {
            object: "Contact".into(),
            id: RecordId::parse(id).unwrap(),
            name: name.into(),
            account: Some("ACME".into()),
            account_id: None,
            owner_id: None,
            person_contact_id: None,
            field: "Phone".into(),
            exactness: Exactness::Exact,
            group: 0,
            class: 0,
            reason: "same number".into(),
        }
    }

    fn known() -> PhoneNumber {
        PhoneNumber::E164 { e164: "+4930231250444".into(), extension: None }
    }

    fn pop(call: &OpenCall, answer: &Answer, unknown: UnknownCaller) -> Pop {
        let extension = Extension("101".into());
        let seen = Seen { call, extension: &extension, state: PopState::Ringing, answer, at: Timestamp::UNIX_EPOCH };
        Pop::new(seen, &linker(), unknown)
    }

    fn as_json(pop: &Pop) -> Value {
        serde_json::to_value(pop).unwrap()
    }

    #[test]
    fn a_known_caller_has_matches_and_the_link_of_the_best() {
        let answer = Answer {
            number: known(),
            source: Source::Index,
            matches: vec![contact("003xx000004TmiQ", "Erika\r\n\u{1b}[1mMuster")],
            complete: true,
        };
        let pop = pop(&call("1.1", known(), "ERIKA\0"), &answer, UnknownCaller::Search);
        assert_eq!(
            as_json(&pop),
            json!({
                "call": "hq-pbx1-1-1", "extension": "101", "direction": "inbound", "state": "ringing",
                "caller": {"e164": "+4930231250444", "display": "+4930231250444", "name": "ERIKA"},
                "dialed": "+493023125000", "queue": null,
                "matches": [{"object": "Contact", "id": "003xx000004TmiQAAS", "name": "Erika  Muster", "account": "ACME",
                    "field": "Phone", "url": "https://acme.example/Contact/003xx000004TmiQAAS", "reason": "same number"}],
                "url": "https://acme.example/Contact/003xx000004TmiQAAS", "chosen": null, "at": "1970-01-01T00:00:00Z"
            })
        );
    }

    #[test]
    fn a_withheld_caller_has_neither_number_nor_name_nor_link() {
        let answer =
            Answer { matches: vec![contact("003xx000004TmiQ", "Erika")], ..Answer::unknown(PhoneNumber::Withheld) };
        let call = call("1.1", PhoneNumber::Withheld, "Leaked Name");
        let shown = as_json(&pop(&call, &answer, UnknownCaller::NewLead));
        assert_eq!(shown["caller"], json!({"e164": null, "display": "withheld", "name": null}));
        assert_eq!((&shown["url"], &shown["matches"]), (&Value::Null, &json!([])));
    }

    #[test]
    fn an_unknown_caller_is_offered_what_the_settings_say() {
        let (call, answer) = (call("1.1", known(), "x"), Answer::unknown(known()));
        for (offer, url) in [
            (UnknownCaller::Search, Some("https://acme.example/search/+4930231250444")),
            (UnknownCaller::NewLead, Some("https://acme.example/new/+4930231250444")),
            (UnknownCaller::None, None),
        ] {
            assert_eq!(pop(&call, &answer, offer).url.as_deref(), url);
        }
    }

    #[test]
    fn several_contacts_of_one_account_have_the_link_of_the_account() {
        let account = RecordId::parse("001D000000IqhSL").unwrap();
        let of = |id| Match { account_id: Some(account.clone()), ..contact(id, "A") };
        let both = vec![of("003xx000004TmiQ"), of("003xx000004TmiR")];
        let url = |matches| {
            let answer = Answer { matches, ..Answer::unknown(known()) };
            pop(&call("1.1", known(), "x"), &answer, UnknownCaller::None).url.unwrap()
        };
        assert_eq!(url(both.clone()), "https://acme.example/Account/001D000000IqhSLIAZ");
        let mut told_apart = both;
        told_apart[1].group = 1;
        assert!(url(told_apart).ends_with("003xx000004TmiQAAS"));
        assert!(url(vec![of("003xx000004TmiQ"), contact("003xx000004TmiR", "B")]).ends_with("003xx000004TmiQAAS"));
    }

    #[test]
    fn the_chosen_record_comes_first() {
        let (first, second) = ("003xx000004TmiQAAS", "001D000000IqhSLIAZ");
        let answer = Answer { matches: vec![contact(first, "A"), contact(second, "B")], ..Answer::unknown(known()) };
        let mut pop = pop(&call("1.1", known(), "x"), &answer, UnknownCaller::None);
        pop.choose(&RecordId::parse(second).unwrap());
        assert_eq!(pop.matches.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [second, first]);
        assert!(pop.url.unwrap().ends_with(second));
    }
}
