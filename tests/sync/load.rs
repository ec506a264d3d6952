//! The first load: what is loaded, how, and that it goes on where it was.

use std::collections::BTreeSet;
use std::time::Duration;

use ctibridge::directory::index::Index;
use ctibridge::directory::sync::Wish;
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
async fn few_rows_are_read_page_by_page_and_many_in_bulk() {
    for (count, bulk) in [(6000, false), (6001, true)] {
        let mut desk = Desk::open(json!({ "Contact": contacts(count) })).await;
        assert_eq!(desk.settings.directory.bulk_above, 50_000);
        desk.settings.directory.bulk_above = 6000;
        desk.salesforce.set(|knobs| (knobs.bulk_page_size, knobs.bulk_polls) = (4000, 2));
        let running = desk.started().await;
        assert_eq!(running.ids("Contact"), desk.ids("Contact"));
        let status = running.handle.status();
        assert_eq!((status.loaded, status.of), (count as u64, count as u64));
        let jobs: u64 =
            desk.salesforce.endpoints().iter().filter(|(name, _)| name.contains("jobs")).map(|(_, n)| n).sum();
        println!("{count} rows: {} API calls, {jobs} of them for a bulk job", desk.salesforce.api_calls());
        assert_eq!(jobs > 0, bulk);
        assert!(desk.salesforce.api_calls() < 40);
        running.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_be_read_in_bulk_is_read_page_by_page() {
    let mut desk = Desk::open(json!({ "Contact": contacts(3000) })).await;
    desk.settings.directory.bulk_above = 2000;
    desk.salesforce.set(|knobs| knobs.bulk_failure = "FUNCTIONALITY_NOT_ENABLED: not for you".to_owned());
    let running = desk.started().await;
    assert_eq!(running.ids("Contact"), desk.ids("Contact"));
    running.stop().await;
}

#[tokio::test]
async fn a_load_that_was_interrupted_goes_on_where_it_was() {
    for (count, size, kind) in [(8000, 500, "composite"), (12_001, 1000, "jobs")] {
        let mut desk = Desk::open(json!({ "Contact": contacts(count) })).await;
        desk.settings.directory.bulk_above = 10_000;
        desk.settings.directory.refresh = Duration::from_hours(1);
        // So that its changes are one row, and not those of the second in which all were made.
        let last = desk.ids("Contact").last().unwrap().clone();
        desk.salesforce.edit("Contact", &last, &json!({ "Title": "CEO" })).unwrap();
        desk.salesforce.set(|knobs| (knobs.page_size, knobs.bulk_page_size, knobs.latency_ms) = (500, 1000, 20));
        let running = desk.start();
        running.until("half of the load", |status| status.loaded >= count as u64 / 2).await;
        // As by a power cut: what was on disk then is all that is left.
        desk.salesforce.set(|knobs| knobs.down = true);
        let file = std::fs::read(desk.file()).unwrap();
        running.stop().await;
        std::fs::write(desk.file(), file).unwrap();
        desk.salesforce.set(|knobs| knobs.down = false);
        let running = desk.start();
        let had = running.ids("Contact").len();
        let before = calls(&desk, kind);
        running.until("the rest", |status| status.synced_at.is_some()).await;
        assert_eq!(running.ids("Contact"), desk.ids("Contact"));
        let after = calls(&desk, kind) - before;
        println!("{count} rows: {had} were there after the interruption, {after} calls for the rest");
        let pages = (count - had).div_ceil(size) as u64;
        assert!(had >= count / 4 && after <= pages + 8, "{had} rows, {after} calls");
        running.stop().await;
    }
}

fn calls(desk: &Desk, kind: &str) -> u64 {
    desk.salesforce.endpoints().iter().filter(|(name, _)| name.contains(kind)).map(|(_, count)| count).sum()
}

#[tokio::test]
async fn a_load_outlives_faults_and_an_outage() {
    let mut desk = Desk::open(json!({ "Contact": contacts(8000), "Lead": [] })).await;
    desk.settings.directory.bulk_above = 2000;
    desk.salesforce.set(|knobs| (knobs.bulk_page_size, knobs.latency_ms) = (1000, 20));
    for (kind, path) in [
        (FaultKind::Http503, "composite"),
        (FaultKind::Drop, "jobs"),
        (FaultKind::SessionExpired, "jobs"),
        (FaultKind::Html502, "jobs"),
    ] {
        desk.salesforce.fail_next(Fault::new(kind).on(path));
    }
    let running = desk.start();
    running.until("a part", |status| status.loaded > 2000).await;
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
    let mut desk = Desk::open(json!({ "Contact": contacts(8000) })).await;
    desk.settings.directory.bulk_above = 2000;
    desk.salesforce.set(|knobs| (knobs.bulk_page_size, knobs.latency_ms) = (1000, 50));
    let running = desk.start();
    running.until("a part", |status| status.loaded >= 2000).await;
    running.stop().await;
    let jobs = desk.jobs();
    assert_eq!(jobs.len(), 1, "the load was over too soon");
    for id in jobs {
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
    let index = Index::new(other.plan());
    let stored = other.stored(&index);
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
    let index = Index::new(desk.plan());
    let stored = Stored::in_memory(&desk.file(), index.clone(), &desk.settings.salesforce.endpoint);
    assert!(!desk.file().exists());
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
