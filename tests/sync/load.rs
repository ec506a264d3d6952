//! The first load: what is loaded, how, and that it goes on where it was.

use std::collections::BTreeSet;
use std::time::Duration;

use ctibridge::directory::sync::{Phase, Wish};
use ctibridge::sim::{Fault, FaultKind, Options, Seed};
use serde_json::{Value, json};

use crate::desk::{Desk, until};

/// So many contacts, each with a number of its own.
fn contacts(count: usize) -> Value {
    let rows = (0..count).map(|n| json!({ "LastName": format!("Contact {n}"), "Phone": number(n) }));
    Value::Array(rows.collect())
}

pub fn number(n: usize) -> String {
    format!("+49302{n:07}")
}

#[tokio::test]
async fn all_that_has_a_phone_is_loaded_and_nothing_else() {
    let seed = json!({
        "$fields": { "Contact": ["Direct__c phone"], "Site__c": ["Hotline__c phone", "Active__c bool"] },
        "Account": [{ "Name": "Acme", "Phone": "030 23125100" }, { "Name": "Silent" }],
        "Contact": [
            { "LastName": "Muster", "Phone": "030 23125101", "Account": { "Name": "Acme" } },
            { "LastName": "Direct", "Direct__c": "030 23125102" },
            { "LastName": "Faxer", "Fax": "030 23125103" },
            { "LastName": "Nobody" },
        ],
        "Lead": [
            { "LastName": "Open", "Company": "Lot", "MobilePhone": "0170 2312510" },
            { "LastName": "Done", "Company": "Lot", "Phone": "030 23125105", "IsConverted": true },
        ],
        "Site__c": [
            { "Name": "Hall 3", "Hotline__c": "030 23125900", "Active__c": true },
            { "Name": "Hall 4", "Hotline__c": "030 23125901", "Active__c": false },
        ],
    });
    let custom = "[[directory.object]]\nname = \"Site__c\"\nphone_fields = [\"Hotline__c\", \"Missing__c\"]\n\
                  name_field = \"Name\"\nwhere = \"Active__c = true\"";
    let options = Options { seed: Seed::from_value(seed).unwrap(), person_accounts: true, ..Options::default() };
    let desk = Desk::with(options, "DE", custom).await;
    let person = json!({ "LastName": "Person", "PersonMobilePhone": "0170 2312511" });
    desk.salesforce.insert("Account", &person).unwrap();
    let running = desk.started().await;
    for (number, names) in [
        ("030 23125100", vec!["Acme"]),
        ("030 23125101", vec!["Muster"]),
        ("030 23125102", vec!["Direct"]),
        ("030 23125103", vec![]),
        ("0170 2312510", vec!["Open"]),
        ("030 23125105", vec![]),
        ("0170 2312511", vec!["Person"]),
        ("030 23125900", vec!["Hall 3"]),
        ("030 23125901", vec![]),
    ] {
        assert_eq!(running.names(&desk, number), names, "{number}");
    }
    let found = running.index.find(&desk.plan().read("030 23125101"));
    assert_eq!(found[0].account.as_deref(), Some("Acme"));
    assert!(found[0].account_id.is_some() && found[0].owner_id.is_some());
    let unreadable = running.handle.status().unreadable;
    assert_eq!(unreadable.len(), 1, "{unreadable:?}");
    assert!(unreadable[0].0 == "Site__c" && unreadable[0].1.contains("Missing__c"));
    running.stop().await;
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_named_and_the_others_are_loaded() {
    let custom = "[[directory.object]]\nname = \"Gone__c\"\nphone_fields = [\"Phone__c\"]\nname_field = \"Name\"\n\
                  [[directory.object]]\nname = \"Site__c\"\nphone_fields = [\"Hotline__c\"]\nname_field = \"Name\"\n\
                  where = \"there is no such thing\"";
    let seed = json!({ "$fields": { "Site__c": ["Hotline__c phone"] }, "Contact": contacts(3) });
    let options = Options { seed: Seed::from_value(seed).unwrap(), ..Options::default() };
    let desk = Desk::with(options, "DE", custom).await;
    let running = desk.started().await;
    assert_eq!(running.ids("Contact"), desk.ids("Contact"));
    let status = running.handle.status();
    let named: BTreeSet<&str> = status.unreadable.iter().map(|(object, _)| object.as_str()).collect();
    assert_eq!(named, BTreeSet::from(["Gone__c", "Site__c"]), "{status:?}");
    running.stop().await;
}

#[tokio::test]
async fn fifty_thousand_rows_are_read_page_by_page_and_more_in_bulk() {
    for (count, bulk) in [(50_000, false), (50_001, true)] {
        let desk = Desk::open(json!({ "Contact": contacts(count) })).await;
        desk.salesforce.set(|knobs| knobs.bulk_page_size = 20_000);
        let running = desk.started().await;
        assert_eq!(running.ids("Contact"), desk.ids("Contact"));
        let status = running.handle.status();
        assert_eq!((status.loaded, status.of), (count as u64, count as u64));
        let jobs: u64 =
            desk.salesforce.endpoints().iter().filter(|(name, _)| name.contains("jobs")).map(|(_, n)| n).sum();
        println!("{count} rows: {} API calls, {jobs} of them for a bulk job", desk.salesforce.api_calls());
        assert_eq!(jobs > 0, bulk);
        assert!(desk.salesforce.api_calls() < 50);
        running.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_be_read_in_bulk_is_read_page_by_page() {
    let desk = Desk::open(json!({ "Contact": contacts(50_100) })).await;
    desk.salesforce.set(|knobs| knobs.bulk_failure = "FUNCTIONALITY_NOT_ENABLED: not for you".to_owned());
    let running = desk.started().await;
    assert_eq!(running.ids("Contact"), desk.ids("Contact"));
    running.stop().await;
}

#[tokio::test]
async fn a_load_that_was_interrupted_goes_on_where_it_was() {
    for (count, path) in [(20_000, "composite"), (60_000, "results")] {
        let desk = Desk::open(json!({ "Contact": contacts(count) })).await;
        desk.salesforce.set(|knobs| (knobs.page_size, knobs.bulk_page_size) = (1000, 5000));
        let running = desk.start();
        running.until("half of the load", |status| status.loaded >= count as u64 / 2).await;
        // As by a power cut: what was on disk then is all that is left.
        desk.salesforce.set(|knobs| knobs.down = true);
        let file = std::fs::read(desk.file()).unwrap();
        running.stop().await;
        std::fs::write(desk.file(), file).unwrap();
        desk.salesforce.set(|knobs| knobs.down = false);
        let before = pages(&desk, path);
        let running = desk.start();
        running.until("a status", |status| status.phase != Phase::Starting).await;
        let had = running.handle.status().loaded;
        running.until("the rest", |status| status.synced_at.is_some()).await;
        assert_eq!(running.ids("Contact"), desk.ids("Contact"));
        let after = pages(&desk, path) - before;
        println!(
            "{count} rows: {before} pages, then an interruption; {had} rows were there, {after} calls for the rest"
        );
        assert!(had > 0 && after < before + 8, "{had} rows, {before} and {after} pages");
        running.stop().await;
    }
}

fn pages(desk: &Desk, path: &str) -> u64 {
    let kind = if path == "results" { "jobs" } else { path };
    desk.salesforce.endpoints().iter().filter(|(name, _)| name.contains(kind)).map(|(_, count)| count).sum()
}

#[tokio::test]
async fn a_load_outlives_faults_and_an_outage() {
    let desk = Desk::open(json!({ "Contact": contacts(60_000), "Lead": [] })).await;
    desk.salesforce.set(|knobs| knobs.bulk_page_size = 6000);
    for (kind, path) in [
        (FaultKind::Http503, "composite"),
        (FaultKind::Drop, "jobs"),
        (FaultKind::SessionExpired, "results"),
        (FaultKind::Html502, "results"),
    ] {
        desk.salesforce.fail_next(Fault::new(kind).on(path));
    }
    let running = desk.start();
    running.until("a part", |status| status.loaded > 6000).await;
    desk.salesforce.set(|knobs| knobs.down = true);
    running.until("trouble", |status| status.trouble.is_some()).await;
    desk.salesforce.set(|knobs| knobs.down = false);
    running.until("the load", |status| status.synced_at.is_some()).await;
    assert_eq!(running.ids("Contact"), desk.ids("Contact"));
    assert_eq!(desk.salesforce.faults().values().sum::<u64>(), 4);
    assert_eq!(running.handle.status().trouble, None);
    running.stop().await;
}

#[tokio::test]
async fn a_bulk_job_that_is_gone_is_made_anew() {
    let desk = Desk::open(json!({ "Contact": contacts(51_000) })).await;
    desk.salesforce.set(|knobs| (knobs.bulk_page_size, knobs.latency_ms) = (5000, 20));
    let running = desk.start();
    running.until("a part", |status| status.loaded >= 5000).await;
    running.stop().await;
    let state = std::fs::read(desk.file()).unwrap();
    assert!(!state.is_empty());
    desk.salesforce.set(|knobs| knobs.latency_ms = 0);
    for id in desk.jobs() {
        desk.delete_job(&id).await;
    }
    let running = desk.started().await;
    assert_eq!(running.ids("Contact"), desk.ids("Contact"));
    running.stop().await;
}

#[tokio::test]
async fn a_restart_takes_the_index_from_disk_with_salesforce_down_and_goes_on_later() {
    let desk = Desk::open(json!({ "Contact": contacts(500) })).await;
    desk.started().await.stop().await;
    desk.salesforce.set(|knobs| knobs.refuse = true);
    let calls = desk.salesforce.api_calls();
    let running = desk.start();
    assert_eq!(running.names(&desk, &number(7)), ["Contact 7"]);
    assert!(running.handle.status().synced_at.is_some() && running.index.synced_at().is_some());
    assert_eq!(desk.salesforce.api_calls(), calls);
    let row = desk.salesforce.rows("Contact")[7]["Id"].as_str().unwrap().to_owned();
    desk.salesforce.edit("Contact", &row, &json!({ "LastName": "Renamed" })).unwrap();
    desk.salesforce.set(|knobs| knobs.refuse = false);
    until("the change", || running.names(&desk, &number(7)) == ["Renamed"]).await;
    println!("a restart of 500 rows costs {} API calls", desk.salesforce.api_calls() - calls);
    running.stop().await;
}

#[tokio::test]
async fn an_index_of_another_org_is_not_used() {
    let desk = Desk::open(json!({ "Contact": contacts(50) })).await;
    desk.started().await.stop().await;
    let mut other = Desk::open(json!({ "Contact": [{ "LastName": "Other", "Phone": "030 23125777" }] })).await;
    std::fs::copy(desk.file(), other.file()).unwrap();
    let running = other.start();
    assert_eq!(running.names(&other, &number(7)), Vec::<String>::new(), "another address is another org");
    running.until("the load", |status| status.synced_at.is_some()).await;
    running.stop().await;
    // The same address, and another org behind it.
    other.settings.salesforce.endpoint.clone_from(&desk.settings.salesforce.endpoint);
    std::fs::copy(desk.file(), other.file()).unwrap();
    let client = Desk::open(json!({
        "Organization": [{ "Id": "00D000000000777", "Name": "Other" }],
        "Contact": [{ "LastName": "Third", "Phone": "030 23125778" }],
    }))
    .await;
    let stored = other.stored();
    let index = stored.index();
    assert_eq!(index.ids("Contact").len(), 50, "nobody has been asked which org it is");
    let mut sync = ctibridge::directory::sync::Sync::new(client.client(), other.settings.directory.clone(), stored);
    sync.bring_up_to_date(false, |_| {}).await.unwrap();
    assert_eq!(index.ids("Contact").len(), 1);
}

#[tokio::test]
async fn other_fields_and_other_objects_are_noticed() {
    let seed = json!({
        "$fields": { "Contact": ["Direct__c phone"], "Site__c": ["Hotline__c phone", "Secondline__c phone"] },
        "Contact": [{ "LastName": "Muster", "Phone": "030 23125101" }],
        "Lead": [{ "LastName": "Lot", "Company": "Lot", "Phone": "030 23125102" }],
        "Site__c": [
            { "Name": "Hall 3", "Hotline__c": "030 23125900" },
            { "Name": "Hall 4", "Secondline__c": "030 23125901" },
        ],
    });
    let custom = |field: &str| {
        format!("[[directory.object]]\nname = \"Site__c\"\nphone_fields = [\"{field}\"]\nname_field = \"Name\"")
    };
    let options = Options { seed: Seed::from_value(seed).unwrap(), ..Options::default() };
    let mut desk = Desk::with(options, "DE", &custom("Hotline__c")).await;
    desk.started().await.stop().await;
    desk.settings.directory.custom_objects[0].phone_fields = vec!["Secondline__c".to_owned()];
    desk.settings.directory.objects.retain(|object| object != "Lead");
    let running = desk.start();
    assert_eq!(running.names(&desk, "030 23125102"), Vec::<String>::new());
    until("the other field", || running.names(&desk, "030 23125901") == ["Hall 4"]).await;
    until("the old field", || running.names(&desk, "030 23125900").is_empty()).await;
    assert_eq!(running.names(&desk, "030 23125101"), ["Muster"]);
    running.stop().await;
}

#[tokio::test]
async fn nothing_is_kept_on_disk_that_may_not_be() {
    use ctibridge::directory::sync::{Stored, Sync};
    let desk = Desk::open(json!({ "Contact": contacts(5) })).await;
    desk.started().await.stop().await;
    assert!(desk.file().exists());
    let stored = Stored::in_memory(&desk.file(), desk.plan(), &desk.settings.salesforce.endpoint);
    assert!(!desk.file().exists());
    let index = stored.index();
    let mut sync = Sync::new(desk.client(), desk.settings.directory.clone(), stored);
    sync.bring_up_to_date(false, |_| {}).await.unwrap();
    assert_eq!(index.ids("Contact").len(), 5);
    assert!(!desk.file().exists());
}

#[tokio::test]
async fn what_no_change_tells_is_found_by_a_comparison() {
    let desk = Desk::open(json!({ "Contact": contacts(3000) })).await;
    let running = desk.started().await;
    desk.salesforce.set(|knobs| knobs.down = true);
    let victim = desk.salesforce.rows("Contact")[42]["Id"].as_str().unwrap().to_owned();
    assert!(desk.salesforce.remove("Contact", &victim) && desk.salesforce.purge(&victim));
    desk.salesforce.set(|knobs| knobs.down = false);
    running.polled().await;
    assert!(running.ids("Contact").contains(&victim), "a poll cannot know");
    running.handle.wish(Wish::Comparison);
    until("the comparison", || running.ids("Contact") == desk.ids("Contact")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(running.ids("Contact"), desk.ids("Contact"));
    running.stop().await;
}
