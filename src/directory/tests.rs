//! The directory against a small Salesforce on a real socket, whose search finds exact digits or the ends of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use futures_util::future::join_all;

use super::answer::{Exactness, Source};
use super::*;
use crate::salesforce::testing::{Org, Reply, Seen};

const NUMBER: &str = "+4930231250444";

#[derive(Clone, Copy, PartialEq)]
enum Tokens {
    ExactDigits,
    Suffix,
}

fn config(deadline: Duration) -> Config {
    Config {
        mode: Mode::Live,
        objects: ["Contact", "Lead", "Account"].map(str::to_owned).to_vec(),
        custom_objects: Vec::new(),
        refresh: Duration::from_mins(1),
        bulk_above: 50_000,
        live_search: LiveSearch::UntilSynced,
        persist: false,
        deadline,
        respect_sharing: false,
    }
}

fn directory_with(org: &Org, deadline: Duration) -> Directory {
    let plan = NumberPlan::new("DE", "", "2-6").unwrap();
    Directory::new(org.client(), plan, config(deadline))
}

fn directory(org: &Org) -> Directory {
    directory_with(org, Duration::from_secs(20))
}

fn number(text: &str) -> PhoneNumber {
    NumberPlan::new("DE", "", "2-6").unwrap().read(text)
}

/// `FIND {a OR b}` over phone texts, as the two readings of Salesforce's documentation have it.
fn is_found(question: &str, phone: &str, tokens: Tokens) -> bool {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let (_, rest) = question.split_once('{').unwrap();
    let (terms, _) = rest.split_once('}').unwrap();
    terms.split(" OR ").any(|term| match tokens {
        Tokens::ExactDigits => digits == term,
        Tokens::Suffix => digits.ends_with(term),
    })
}

fn contacts(phones: &'static [&'static str], tokens: Tokens) -> impl Fn(&Seen) -> Option<Reply> {
    move |seen| {
        if !seen.path.ends_with("/search") {
            return None;
        }
        let rows: Vec<String> = phones
            .iter()
            .enumerate()
            .filter(|(_, phone)| is_found(&seen.question, phone, tokens))
            .map(|(n, phone)| {
                format!(
                    r#"{{"attributes":{{"type":"Contact"}},"Id":"003xx00000000{n:02}","Name":"{phone}","Phone":"{phone}"}}"#
                )
            })
            .collect();
        Some((200, format!(r#"{{"searchRecords":[{}]}}"#, rows.join(","))))
    }
}

#[tokio::test]
async fn every_spelling_is_found_and_no_decoy_in_both_kinds_of_search() {
    const TRUE: [&str; 10] = [
        "+4930231250444",
        "+49 30 231250444",
        "+49 (0)30 231250444",
        "0049 30 231250444",
        "0049 (0)30 231250444",
        "030 231250444",
        "(030) 231 250 444",
        "030/231250444",
        "4930231250444",
        "011 49 30 231250444",
    ];
    const ALL: [&str; 16] = [
        TRUE[0],
        TRUE[1],
        TRUE[2],
        TRUE[3],
        TRUE[4],
        TRUE[5],
        TRUE[6],
        TRUE[7],
        TRUE[8],
        TRUE[9],
        "040 231250444",
        "0231 250444",
        "+43 30 231250444",
        "+1 302 312 5044",
        "0130 231250444",
        "231250444",
    ];
    for tokens in [Tokens::ExactDigits, Tokens::Suffix] {
        let org = Org::start(contacts(&ALL, tokens)).await;
        let answer = directory(&org).find(&number(NUMBER)).await;
        assert!(answer.complete);
        assert_eq!(answer.source, Source::Live);
        let mut found: Vec<_> = answer.matches.iter().map(|m| m.name.as_str()).collect();
        let mut expected = TRUE.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        let possible = answer.matches.iter().filter(|found| found.exactness == Exactness::Possible);
        let possible: Vec<_> = possible.map(|found| found.name.as_str()).collect();
        assert_eq!(possible, ["011 49 30 231250444"]);
    }
}

#[tokio::test]
async fn only_fields_that_the_org_has_are_asked_for_and_they_are_learned_once() {
    let org = Org::start(|seen| {
        let fields = match seen.path.rsplit('/').nth(1)? {
            "Contact" => r#"{"name":"Phone","type":"phone"},{"name":"Direct__c","type":"phone"},{"name":"Fax","type":"phone"}"#,
            "Account" => r#"{"name":"Phone","type":"phone"},{"name":"PersonContactId","type":"reference"},{"name":"PersonMobilePhone","type":"phone"}"#,
            "Lead" => r#"{"name":"Phone","type":"phone"},{"name":"IsConverted","type":"boolean"}"#,
            _other => return seen.path.ends_with("/search").then(|| (200, r#"{"searchRecords":[]}"#.to_owned())),
        };
        Some((200, format!(r#"{{"fields":[{fields}]}}"#)))
    })
    .await;
    let directory = directory(&org);
    directory.find(&number(NUMBER)).await;
    directory.find(&number("+4930231250445")).await;
    directory.find(&number("+4930231250445")).await;
    assert_eq!(org.requests("/describe").len(), 3);
    let searches = org.requests("/search");
    assert_eq!(searches.len(), 2, "an unknown number is remembered");
    assert_eq!(
        searches[0].question.split_once("RETURNING ").unwrap().1,
        "Contact(Id,Name,Phone,Direct__c LIMIT 200), Lead(Id,Name,IsConverted,Phone WHERE IsConverted=false LIMIT 200), \
         Account(Id,Name,PersonContactId,Phone,PersonMobilePhone LIMIT 200) LIMIT 1000"
    );
}

#[tokio::test]
async fn an_object_that_the_user_may_not_see_does_not_spoil_the_others() {
    let org = Org::start(|seen| {
        if seen.path.contains("/Contact/describe") {
            let fields = r#"{"fields":[{"name":"Phone","type":"phone"}]}"#;
            return Some((200, fields.to_owned()));
        }
        if seen.question.contains("Lead(") {
            let refused = r#"[{"message":"sObject type 'Lead' is not supported","errorCode":"INVALID_TYPE"}]"#;
            return Some((400, refused.to_owned()));
        }
        contacts(&["030 231250444"], Tokens::ExactDigits)(seen)
    })
    .await;
    let answer = directory(&org).find(&number(NUMBER)).await;
    assert_eq!(answer.matches.len(), 1);
}

#[tokio::test]
async fn withheld_and_short_numbers_are_not_asked_for() {
    let org = Org::start(|_| None).await;
    let directory = directory(&org);
    for text in ["anonymous", "101", "n/a", ""] {
        let answer = directory.find(&number(text)).await;
        assert!(answer.complete && answer.matches.is_empty());
        assert_eq!(answer.source, Source::None);
    }
    assert!(org.requests("").is_empty());
}

#[tokio::test]
async fn many_who_ask_for_one_number_share_one_search() {
    let org = Org::start(contacts(&["030 231250444"], Tokens::ExactDigits)).await;
    let (directory, asked) = (directory(&org), number(NUMBER));
    let answers = join_all((0..50).map(|_| directory.find(&asked))).await;
    assert!(answers.iter().all(|answer| answer.matches.len() == 1));
    assert_eq!(org.requests("/search").len(), 1);
}

#[tokio::test]
async fn a_late_answer_is_unknown_first_and_shared_then() {
    let org = Org::start(contacts(&["030 231250444"], Tokens::ExactDigits)).await;
    org.think(Duration::from_millis(300));
    let directory = directory_with(&org, Duration::from_millis(50));
    let begun = Instant::now();
    let first = directory.find(&number(NUMBER)).await;
    assert!(begun.elapsed() < Duration::from_millis(250));
    assert!(!first.complete && first.matches.is_empty());
    assert_eq!(first.source, Source::None);
    let limit = Duration::from_secs(20);
    let second = directory.find_surely(&number(NUMBER), limit).await.unwrap();
    assert_eq!(second.matches.len(), 1);
    assert!(directory.find(&number(NUMBER)).await.complete);
    assert_eq!(org.requests("/search").len(), 1);
}

#[tokio::test]
async fn what_failed_is_told_to_those_who_must_know_and_soon_tried_again() {
    let status = Arc::new(AtomicU16::new(503));
    let current = Arc::clone(&status);
    let org = Org::start(move |seen| match current.load(Ordering::SeqCst) {
        200 => contacts(&["030 231250444"], Tokens::ExactDigits)(seen),
        status => seen.path.ends_with("/search").then(|| (status, "<html>".to_owned())),
    })
    .await;
    let directory = directory(&org);
    let asked = number(NUMBER);
    let error = directory.find_surely(&asked, Duration::from_mins(1)).await.unwrap_err();
    assert_eq!(error.retry(), crate::salesforce::Retry::Soon);
    assert!(!directory.find(&asked).await.complete);
    assert_eq!(org.requests("/search").len(), 1);
    status.store(200, Ordering::SeqCst);
    let recovered = async {
        while !directory.find(&asked).await.complete {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), recovered).await.unwrap();
    assert_eq!(directory.find(&asked).await.matches.len(), 1);
}
