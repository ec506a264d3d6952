//! Why a number is whom it is: what `lookup --explain` shows, in plain lines.

use crate::directory::answer::{Answer, Exactness, Match, Source};
use crate::journal;
use crate::phone::PhoneNumber;
use crate::pops::{Linker, UnknownCaller};

/// How the number was read, who was asked, each candidate and why it won or lost, and what comes of it.
#[must_use]
pub fn explain(answer: &Answer, linker: &Linker, unknown: UnknownCaller) -> Vec<String> {
    let mut lines = vec![how_it_was_read(&answer.number)];
    if let PhoneNumber::E164 { e164, .. } = &answer.number {
        let spellings = answer.number.search_terms().join(", ");
        lines.push(format!("keys: {e164} for an exact match; {spellings} for what is stored without a country"));
        lines.push(who_was_asked(answer));
    }
    lines.extend(answer.matches.iter().enumerate().map(|(nth, found)| candidate(nth, found, &answer.matches)));
    lines.push(the_pop(answer, linker, unknown));
    lines.push(the_task(answer));
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
    let text = match (answer.source, answer.complete) {
        (Source::Index, true) => "answered by the local index",
        (Source::Index, false) => {
            "answered by the local index, whose first load is not complete; a search may correct it"
        }
        (Source::Live, _) => "answered by a live search in Salesforce",
        (Source::None, true) => "nobody has it: not in the local index, or a number that is not to be looked up",
        (Source::None, false) => "Salesforce did not answer in time; a pop would say unknown",
    };
    text.to_owned()
}

fn candidate(nth: usize, found: &Match, all: &[Match]) -> String {
    let sure = match found.exactness {
        Exactness::Exact => "exact",
        Exactness::Possible => "possible",
    };
    let outcome = match (nth, all.first()) {
        (0, _) | (_, None) => "won".to_owned(),
        (_, Some(best)) => format!("lost: {}", why(found, best)),
    };
    format!("{}. {} {} by {}, {sure}, {outcome}: {}", nth + 1, found.object, found.id, found.field, found.reason)
}

fn why(found: &Match, best: &Match) -> String {
    if found.exactness != best.exactness {
        return "only possible where another is exact".to_owned();
    }
    if found.group == best.group {
        return "as good as the first, behind it by owner, name or id".to_owned();
    }
    if found.object == best.object {
        return "the first one's extension fits better, or the number last spoke with it".to_owned();
    }
    format!("a {} comes before", best.object)
}

fn the_pop(answer: &Answer, linker: &Linker, unknown: UnknownCaller) -> String {
    if let Some(account) = answer.shared_account() {
        let url = linker.record("Account", account).unwrap_or_else(|| account.to_string());
        return format!("a pop would list them and open the account that they share: {url}");
    }
    let best = answer.matches.first().and_then(|best| linker.record(&best.object, &best.id));
    let offered = answer.number.e164().and_then(|number| linker.unknown(unknown, number));
    match best.or(offered) {
        Some(url) if answer.matches.len() > 1 => {
            format!("a pop would open {url}; of equals, an agent's own records come first")
        }
        Some(url) => format!("a pop would open {url}"),
        None => "a pop would open nothing".to_owned(),
    }
}

fn the_task(answer: &Answer) -> String {
    let (who, what) = journal::links(answer);
    match (who, what) {
        (Some(who), _) => format!("a Task would be linked to the person, WhoId {who}"),
        (None, Some(what)) if answer.only_one().is_none() => {
            format!("a Task would be linked to the account of all, WhatId {what}, until an agent chooses the person")
        }
        (None, Some(what)) => format!("a Task would be linked to WhatId {what}"),
        (None, None) if answer.matches.is_empty() => "a Task would be linked to nobody".to_owned(),
        (None, None) => "a Task would be linked to nobody and name them all, until an agent chooses one".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::salesforce::RecordId;

    fn contact(id: &str, group: u16) -> Match {
        Match {
            object: "Contact".into(),
            id: RecordId::parse(id).unwrap(),
            name: "Erika".into(),
            account: Some("Acme".into()),
            account_id: Some(RecordId::parse("001D000000IqhSL").unwrap()),
            owner_id: None,
            person_contact_id: None,
            field: "Phone".into(),
            exactness: Exactness::Exact,
            group,
            class: group,
            reason: "Phone is this number".into(),
        }
    }

    fn explained(matches: Vec<Match>) -> String {
        let number = PhoneNumber::E164 { e164: "+4930231250444".into(), extension: None };
        let answer = Answer { source: Source::Index, matches, ..Answer::unknown(number) };
        let linker = Linker::new(|object, id| Some(format!("/{object}/{id}")), |_| None, |_| Some("/new".into()));
        explain(&answer, &linker, UnknownCaller::NewLead).join("\n")
    }

    #[test]
    fn each_candidate_has_won_or_lost_and_what_comes_of_it_is_said() {
        let equals = explained(vec![contact("003xx000004TmiQ", 0), contact("003xx000004TmiR", 0)]);
        for words in [
            "read as +4930231250444",
            "keys: +4930231250444 for an exact match; 4930231250444, 30231250444",
            "answered by the local index",
            "1. Contact 003xx000004TmiQAAS by Phone, exact, won: Phone is this number",
            "2. Contact 003xx000004TmiRAAS by Phone, exact, lost: as good as the first",
            "a pop would list them and open the account that they share: /Account/001D000000IqhSLIAZ",
            "linked to the account of all, WhatId 001D000000IqhSLIAZ",
        ] {
            assert!(equals.contains(words), "{words} in\n{equals}");
        }
        let one = explained(vec![contact("003xx000004TmiQ", 0)]);
        assert!(one.contains("a pop would open /Contact/003xx000004TmiQAAS"), "{one}");
        assert!(one.contains("linked to the person, WhoId 003xx000004TmiQAAS"), "{one}");
        let nobody = explained(Vec::new());
        assert!(nobody.ends_with("a pop would open /new\na Task would be linked to nobody"), "{nobody}");
    }
}
