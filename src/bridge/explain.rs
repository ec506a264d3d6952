//! Why a number is whom it is: what `lookup --explain` shows, in plain lines.

use crate::directory::answer::{Answer, Exactness, Source};
use crate::phone::PhoneNumber;
use crate::pops::{Linker, UnknownCaller};

/// How the number was read, who was asked, each candidate and what comes of it.
#[must_use]
pub fn explain(answer: &Answer, linker: &Linker, unknown: UnknownCaller) -> Vec<String> {
    let mut lines = vec![how_it_was_read(&answer.number)];
    if let PhoneNumber::E164 { .. } = answer.number {
        lines.push(format!("searched for the digits: {}", answer.number.search_terms().join(", ")));
        lines.push(who_was_asked(answer));
    }
    lines.extend(answer.matches.iter().enumerate().map(|(nth, found)| {
        let sure = match found.exactness {
            Exactness::Exact => "exact",
            Exactness::Possible => "possible",
        };
        format!("{}. {} {} by {}, {sure}: {}", nth + 1, found.object, found.id, found.field, found.reason)
    }));
    lines.push(what_comes_of_it(answer, linker, unknown));
    lines
}

fn how_it_was_read(number: &PhoneNumber) -> String {
    match number {
        PhoneNumber::E164 { e164, extension: None } => format!("read as {e164}"),
        PhoneNumber::E164 { e164, extension: Some(extension) } => format!("read as {e164}, extension {extension}"),
        PhoneNumber::Internal { .. } => "read as one of our own extensions: not looked up".to_owned(),
        PhoneNumber::Withheld => "read as withheld: not looked up".to_owned(),
        PhoneNumber::Unreadable { .. } => "not a number in this region: not looked up".to_owned(),
    }
}

fn who_was_asked(answer: &Answer) -> String {
    match (answer.source, answer.complete) {
        (Source::Index, _) => "answered by the local index".to_owned(),
        (Source::Live, _) => "answered by a live search in Salesforce".to_owned(),
        (Source::None, true) => "Salesforce was asked and knows nobody with it".to_owned(),
        (Source::None, false) => "Salesforce did not answer in time; a pop would say unknown".to_owned(),
    }
}

fn what_comes_of_it(answer: &Answer, linker: &Linker, unknown: UnknownCaller) -> String {
    let best = answer.matches.first().and_then(|best| linker.record(&best.object, &best.id));
    let offered = answer.number.e164().and_then(|number| linker.unknown(unknown, number));
    match best.or(offered) {
        Some(url) => format!("a pop would open {url}"),
        None => "a pop would open nothing".to_owned(),
    }
}
