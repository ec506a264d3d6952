//! Stories of the hub: who sees what, after which loss.

use super::*;
use crate::calls::step::PopState;
use crate::directory::answer::Answer;
use crate::phone::PhoneNumber;
use crate::pops::pop::tests::{call, contact, linker};
use crate::pops::{Seen, UnknownCaller};
use futures_util::FutureExt;

const RUN: &str = "1000";

fn hub() -> Hub {
    Hub::new(Timestamp::from_millisecond(1000).unwrap())
}

fn anna() -> Extension {
    Extension("101".into())
}

fn card_of(extension: &Extension, unique: &str, state: PopState, second: i64) -> Pop {
    let call = call(unique, PhoneNumber::Withheld, "");
    let seen = Seen {
        call: &call,
        extension,
        state,
        answer: &Answer::unknown(PhoneNumber::Withheld),
        at: Timestamp::from_second(second).unwrap(),
    };
    Pop::new(seen, &linker(), UnknownCaller::None)
}

fn card(unique: &str, state: PopState) -> Pop {
    card_of(&anna(), unique, state, 0)
}

fn key(unique: &str) -> CallKey {
    CallKey::new("hq", "pbx1", unique)
}

/// All that can be read without waiting, as `name#number call state`.
fn read(subscription: &mut Subscription) -> Vec<String> {
    std::iter::from_fn(|| subscription.next().now_or_never())
        .map(|event| {
            let data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
            let number = event.id.strip_prefix(RUN).unwrap();
            let word = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
            let what = word("state") + &word("reason");
            format!("{}{number} {} {what}", event.name, word("call").replace("hq-pbx1-", ""))
        })
        .collect()
}

fn reader(hub: &Hub, last: Option<&str>) -> Subscription {
    hub.subscribe(&anna(), last).unwrap()
}

#[test]
fn a_call_rings_changes_and_goes() {
    let hub = hub();
    let mut anna_reads = reader(&hub, None);
    hub.pop(card("1", PopState::Ringing));
    hub.pop(card("1", PopState::Ringing));
    hub.update(card("1", PopState::Answered));
    hub.update(card("1", PopState::Ended));
    hub.pop(card("2", PopState::Ringing));
    assert!(hub.withdraw(&key("2"), &anna(), WithdrawReason::AnsweredElsewhere));
    assert!(!hub.withdraw(&key("2"), &anna(), WithdrawReason::CallerGone));
    assert_eq!(
        read(&mut anna_reads),
        [
            "pop-1 1 ringing",
            "update-2 1 ringing",
            "update-3 1 answered",
            "update-4 1 ended",
            "pop-5 2 ringing",
            "withdraw-6 2 answered-elsewhere"
        ]
    );
}

#[test]
fn an_update_without_a_pop_is_an_update_and_stays() {
    let hub = hub();
    hub.update(card("1", PopState::Answered));
    hub.pop(card("1", PopState::Answered));
    assert_eq!(read(&mut reader(&hub, None)), ["update-1 1 answered"]);
}

#[test]
fn a_new_reader_gets_the_live_cards_as_they_are_with_their_first_ids() {
    let hub = hub();
    hub.pop(card("1", PopState::Ringing));
    hub.pop(card("2", PopState::Ringing));
    hub.pop(card("3", PopState::Ringing));
    hub.update(card("2", PopState::Answered));
    assert!(hub.withdraw(&key("1"), &anna(), WithdrawReason::CallerGone));
    hub.update(card("3", PopState::Ended));
    assert_eq!(read(&mut reader(&hub, None)), ["pop-2 2 answered"]);
    assert_eq!(read(&mut reader(&hub, Some("999-3"))), ["gap-7  events were missed", "pop-2 2 answered"]);
    for junk in ["", "1000-", "1000-99", "x-1", "1000--1", "1000"] {
        assert!(read(&mut reader(&hub, Some(junk)))[0].starts_with("gap"), "{junk}");
    }
}

#[test]
fn a_reader_who_comes_back_gets_what_was_missed() {
    let hub = hub();
    hub.pop(card("1", PopState::Ringing));
    hub.update(card("1", PopState::Answered));
    hub.update(card("1", PopState::Ended));
    assert_eq!(read(&mut reader(&hub, Some("1000-1"))), ["update-2 1 answered", "update-3 1 ended"]);
    assert!(read(&mut reader(&hub, Some("1000-3"))).is_empty());
}

#[test]
fn the_end_of_a_gap_is_a_known_id() {
    let hub = hub();
    let gap = reader(&hub, Some("999-1")).next().now_or_never().unwrap();
    hub.pop(card("1", PopState::Ringing));
    assert_eq!(read(&mut reader(&hub, Some(&gap.id))), ["pop-2 1 ringing"]);
}

#[test]
fn nothing_brings_back_what_is_over() {
    let hub = hub();
    hub.pop(card("1", PopState::Ringing));
    hub.update(card("1", PopState::Ended));
    hub.pop(card("2", PopState::Ringing));
    assert!(hub.withdraw(&key("2"), &anna(), WithdrawReason::AnsweredElsewhere));
    hub.update(card("1", PopState::Ringing));
    hub.amend(card("2", PopState::Ringing));
    hub.update(card("2", PopState::Ended));
    assert!(read(&mut reader(&hub, None)).is_empty());
    hub.update(card("2", PopState::Ringing));
    assert_eq!(read(&mut reader(&hub, None)), ["pop-3 2 ringing"], "it rang this agent again");
}

#[test]
fn a_slow_reader_loses_the_oldest_and_is_told() {
    let hub = hub();
    let mut slow = reader(&hub, None);
    hub.pop(card("1", PopState::Ringing));
    for _ in 0..500 {
        hub.update(card("1", PopState::Answered));
    }
    let told = read(&mut slow);
    assert_eq!(told[..2], ["gap-502  events were missed", "pop-1 1 answered"]);
    assert_eq!(told[2], "update-374 1 answered");
    assert_eq!(told.last().unwrap(), "update-501 1 answered");
    hub.update(card("1", PopState::Ended));
    assert_eq!(read(&mut slow), ["update-503 1 ended"]);
}

#[test]
fn agents_do_not_see_each_other() {
    let hub = hub();
    let ben = Extension("102".into());
    let (mut anna_reads, mut ben_reads) = (reader(&hub, None), hub.subscribe(&ben, None).unwrap());
    hub.pop(card_of(&ben, "1", PopState::Ringing, 0));
    assert!(read(&mut anna_reads).is_empty());
    assert_eq!(read(&mut ben_reads), ["pop-1 1 ringing"]);
}

#[test]
fn streams_of_an_agent_are_counted_and_given_back() {
    let hub = hub();
    let open: Vec<_> = (0..MAX_STREAMS).map(|_| reader(&hub, None)).collect();
    assert!(hub.subscribe(&anna(), None).is_err());
    drop(open);
    assert!(hub.subscribe(&anna(), None).is_ok());
}

#[test]
fn a_choice_is_seen_by_all_and_by_who_comes_later() {
    let hub = hub();
    let record = RecordId::parse("003xx000004TmiQ").unwrap();
    hub.pop(card("1", PopState::Answered));
    hub.choose(&key("1"), &record);
    let ben = Extension("102".into());
    hub.pop(card_of(&ben, "1", PopState::Ringing, 0));
    for extension in [anna(), ben] {
        let event = hub.subscribe(&extension, None).unwrap().next().now_or_never();
        assert!(event.unwrap().data.contains(r#""chosen":"003xx000004TmiQAAS""#));
    }
    assert_eq!(contact("003xx000004TmiQ", "x").id, record);
}

#[test]
fn calls_that_are_over_are_forgotten_in_time_and_number() {
    let hub = hub();
    for call in 0..600 {
        hub.pop(card_of(&anna(), &format!("a{call}"), PopState::Ringing, call));
        hub.update(card_of(&anna(), &format!("a{call}"), PopState::Ended, call));
    }
    let cards = |hub: &Hub| hub.lock().seats[&anna()].screen.cards();
    assert_eq!(cards(&hub), 256);
    hub.pop(card_of(&anna(), "b", PopState::Ringing, 9999));
    assert_eq!(cards(&hub), 1);
}
