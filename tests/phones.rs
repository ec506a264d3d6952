//! Phone numbers as people spell them in every region, against what Google's library makes of them.

use std::collections::BTreeMap;

use ctibridge::phone::{NumberPlan, PhoneNumber};

/// Written by `tests/corpus/phones.py`, which says how to read it.
const SPELLINGS: &str = include_str!("corpus/phones.txt");

fn read(plan: &NumberPlan, text: &str) -> String {
    match plan.read(text) {
        PhoneNumber::E164 { e164, extension: None } => e164,
        PhoneNumber::E164 { e164, extension: Some(extension) } => format!("{e164};ext={extension}"),
        PhoneNumber::Internal { .. } | PhoneNumber::Withheld | PhoneNumber::Unreadable { .. } => String::new(),
    }
}

#[test]
fn every_spelling_means_what_it_means_to_the_reference() {
    let mut plans: BTreeMap<&str, NumberPlan> = BTreeMap::new();
    let (mut expected, mut count, mut regions) = ("", 0, std::collections::BTreeSet::new());
    let mut wrong = Vec::new();
    for line in SPELLINGS.lines() {
        if let Some(group) = line.strip_prefix('=') {
            expected = group;
            continue;
        }
        let (region, text) = line.split_once('\t').expect("a region and a spelling");
        // No text is an extension here: short numbers are the library's to refuse.
        let plan = plans.entry(region).or_insert_with(|| NumberPlan::new(region, "", "1-1").expect("a region"));
        let found = read(plan, text);
        if found != expected {
            wrong.push(format!("{region} {text:?}: {found:?}, not {expected:?}"));
        }
        count += 1;
        regions.insert(region);
    }
    println!("{count} spellings in {} regions, {} wrong", regions.len(), wrong.len());
    assert!(count >= 50_000 && regions.len() >= 240);
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong[..wrong.len().min(200)].join("\n"));
}
