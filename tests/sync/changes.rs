//! What happens to the org is soon in the index, and what that costs is bounded.

use std::fmt::Write as _;
use std::time::Duration;

use ctibridge::sim::{Options, Seed};
use serde_json::{Value, json};

use crate::desk::{Desk, text, until};
use crate::load::number;

fn nobody() -> Vec<String> {
    Vec::new()
}

#[tokio::test]
async fn every_change_of_a_record_is_in_the_index_soon() {
    let seed = json!({
        "Account": [{ "Name": "Acme", "Phone": number(1) }, { "Name": "Bolt", "Phone": number(2) }, { "Name": "Silent" }],
        "Contact": [
            { "LastName": "Muster", "Phone": number(3), "Account": { "Name": "Acme" } },
            { "LastName": "Quiet", "Phone": number(4), "Account": { "Name": "Silent" } },
            { "LastName": "Double", "Phone": number(5) },
        ],
        "Lead": [{ "LastName": "Lot", "Company": "Lot", "Phone": number(6) }],
    });
    let desk = Desk::open(seed).await;
    let running = desk.started().await;
    let org = &desk.salesforce;
    let id = |object: &str, name: &str| {
        let rows = org.rows_and_bin(object);
        let row = rows.iter().find(|row| text(row, "Name") == name || text(row, "LastName") == name);
        text(row.unwrap(), "Id").to_owned()
    };
    let (muster, double, lot) = (id("Contact", "Muster"), id("Contact", "Double"), id("Lead", "Lot"));
    let names = |n: usize| running.names(&desk, &number(n));

    org.edit("Contact", &muster, &json!({ "Phone": number(13), "LastName": "Master" })).unwrap();
    until("an edit", || names(13) == ["Master"] && names(3) == nobody()).await;
    org.edit("Contact", &muster, &json!({ "Phone": null })).unwrap();
    until("a lost phone", || names(13) == nobody()).await;
    org.edit("Contact", &muster, &json!({ "MobilePhone": number(3) })).unwrap();
    until("another phone", || names(3) == ["Master"]).await;

    assert!(org.remove("Contact", &muster));
    until("a deletion", || names(3) == nobody()).await;
    assert!(org.undelete(&muster));
    until("an undeletion", || names(3) == ["Master"]).await;
    assert!(org.merge(&muster, &[&double]));
    until("a merge", || names(5) == nobody() && names(3) == ["Master"]).await;
    assert!(org.convert(&lot, &muster));
    until("a conversion", || names(6) == nobody()).await;

    let account = |n: usize| {
        let found = running.index.find(&desk.plan().read(&number(n)));
        found.first().and_then(|found| found.account.clone()).unwrap_or_default()
    };
    assert_eq!((account(3), account(4)), ("Acme".to_owned(), "Silent".to_owned()));
    org.edit("Account", &id("Account", "Silent"), &json!({ "Name": "Loud" })).unwrap();
    until("the name of an account without a phone", || account(4) == "Loud").await;
    assert!(org.merge(&id("Account", "Bolt"), &[&id("Account", "Acme")]));
    until("a merge of accounts", || account(3) == "Bolt" && names(1) == nobody()).await;

    let owner =
        org.insert("User", &json!({ "Username": "o@acme.example", "LastName": "Owner", "Email": "o@acme.example" }));
    org.edit("Contact", &muster, &json!({ "OwnerId": owner.as_ref().unwrap() })).unwrap();
    let owner_of = || {
        let found = running.index.find(&desk.plan().read(&number(3)));
        found.first().and_then(|found| found.owner_id.as_ref().map(ToString::to_string))
    };
    until("an owner", || owner_of() == owner.as_ref().ok().cloned()).await;
    org.insert("Contact", &json!({ "LastName": "New", "OtherPhone": number(7) })).unwrap();
    until("a new one", || names(7) == ["New"]).await;
    running.stop().await;
}

#[tokio::test]
async fn names_of_accounts_are_followed_where_accounts_are_not_searched() {
    let seed = json!({ "Contact": [{ "LastName": "Muster", "Phone": number(3), "Account": { "Name": "Acme" } }] });
    let options = Options { seed: Seed::from_value(seed).unwrap(), ..Options::default() };
    let desk = Desk::with(options, "DE", "objects = [\"Contact\"]").await;
    let running = desk.started().await;
    let account = text(&desk.salesforce.rows("Account")[0], "Id").to_owned();
    desk.salesforce.edit("Account", &account, &json!({ "Name": "Bolt" })).unwrap();
    let shown = || running.index.find(&desk.plan().read(&number(3)))[0].account.clone();
    until("the new name", || shown().as_deref() == Some("Bolt")).await;
    running.stop().await;
}

#[tokio::test]
async fn a_row_that_meets_the_condition_no_more_is_gone_and_comes_back() {
    let custom = "[[directory.object]]\nname = \"Site__c\"\nphone_fields = [\"Hotline__c\"]\nname_field = \"Name\"\n\
                  where = \"Active__c = true\"";
    let seed = json!({
        "$fields": { "Site__c": ["Hotline__c phone", "Active__c bool"] },
        "Site__c": [{ "Name": "Hall 3", "Hotline__c": number(1), "Active__c": true }],
    });
    let options = Options { seed: Seed::from_value(seed).unwrap(), ..Options::default() };
    let desk = Desk::with(options, "DE", custom).await;
    let running = desk.started().await;
    let id = text(&desk.salesforce.rows("Site__c")[0], "Id").to_owned();
    assert_eq!(running.names(&desk, &number(1)), ["Hall 3"]);
    for (active, expected) in [(false, nobody()), (true, vec!["Hall 3".to_owned()]), (false, nobody())] {
        desk.salesforce.edit("Site__c", &id, &json!({ "Active__c": active })).unwrap();
        until("the condition", || running.names(&desk, &number(1)) == expected).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn more_objects_than_one_call_asks_for_are_asked_in_turn() {
    let names: Vec<String> = (0..6).map(|n| format!("Site{n}__c")).collect();
    let fields = names.iter().map(|name| (name.clone(), json!(["Hotline__c phone"])));
    let mut seed = json!({ "$fields": Value::Object(fields.collect()) });
    let mut custom = String::new();
    for (n, name) in names.iter().enumerate() {
        seed[name] = json!([{ "Name": format!("Hall {n}"), "Hotline__c": number(n) }]);
        let _ = writeln!(
            custom,
            "[[directory.object]]\nname = \"{name}\"\nphone_fields = [\"Hotline__c\"]\nname_field = \"Name\""
        );
    }
    let options = Options { seed: Seed::from_value(seed).unwrap(), ..Options::default() };
    let desk = Desk::with(options, "DE", &custom).await;
    let running = desk.started().await;
    let before = (desk.salesforce.api_calls(), running.handle.status().polls);
    for (n, name) in names.iter().enumerate() {
        let id = text(&desk.salesforce.rows(name)[0], "Id").to_owned();
        desk.salesforce.edit(name, &id, &json!({ "Name": format!("Renamed {n}") })).unwrap();
    }
    for n in 0..names.len() {
        until("each of them", || running.names(&desk, &number(n)) == [format!("Renamed {n}")]).await;
    }
    let (calls, polls) = (desk.salesforce.api_calls() - before.0, running.handle.status().polls - before.1);
    assert!(calls <= polls + 1, "{calls} calls for {polls} polls");
    running.stop().await;
}

#[tokio::test]
async fn a_change_of_all_rows_starves_neither_the_others_nor_the_calls_of_the_org() {
    const ROWS: usize = 12_000;
    let rows: Vec<Value> = (0..ROWS).map(|n| json!({ "LastName": format!("C{n}"), "Phone": number(n) })).collect();
    let mut desk = Desk::open(
        json!({ "Contact": rows, "Lead": [{ "LastName": "Lot", "Company": "L", "Phone": number(99_999) }] }),
    )
    .await;
    desk.settings.directory.refresh = Duration::from_millis(400);
    let running = desk.started().await;
    desk.later(600);
    desk.salesforce.set(|knobs| knobs.page_size = 500);
    let ids: Vec<String> = desk.salesforce.rows("Contact").iter().map(|row| text(row, "Id").to_owned()).collect();
    for (n, id) in ids.iter().enumerate() {
        desk.salesforce.edit("Contact", id, &json!({ "LastName": format!("Touched {n}") })).unwrap();
    }
    let lead = text(&desk.salesforce.rows("Lead")[0], "Id").to_owned();
    desk.salesforce.edit("Lead", &lead, &json!({ "LastName": "Found" })).unwrap();
    let before = (desk.salesforce.api_calls(), running.handle.status());
    until("the lead", || running.names(&desk, &number(99_999)) == ["Found"]).await;
    let behind = running.names(&desk, &number(ROWS - 1)) != [format!("Touched {}", ROWS - 1)];
    assert!(behind, "the lead came before the last of the contacts");
    until("the last contact", || running.names(&desk, &number(ROWS - 1)) == [format!("Touched {}", ROWS - 1)]).await;
    // Once more when they have settled, and then no more.
    desk.later(400);
    running.polled().await;
    until("the second reading", || running.handle.status().synced_at > before.1.synced_at).await;
    let (calls, polls) = (desk.salesforce.api_calls() - before.0, running.handle.status().polls - before.1.polls);
    println!("{ROWS} rows touched, 500 a page: {calls} API calls in {polls} polls");
    assert!(calls <= polls * 10);
    running.polled().await;
    running.polled().await;
    let before = (desk.salesforce.api_calls(), running.handle.status().polls);
    running.polled().await;
    let (calls, polls) = (desk.salesforce.api_calls() - before.0, running.handle.status().polls - before.1);
    assert!(calls <= polls + 1, "{calls} calls in {polls} polls although nothing was touched");
    running.stop().await;
}

#[tokio::test]
async fn there_are_no_polls_when_the_calls_of_the_org_run_out() {
    let mut desk = Desk::open(json!({ "Contact": [{ "LastName": "Muster", "Phone": number(3) }] })).await;
    desk.settings.directory.refresh = Duration::from_millis(20);
    let running = desk.started().await;
    let used = desk.salesforce.api_calls();
    desk.salesforce.set(|knobs| knobs.daily_limit = used + 5);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let calls = desk.salesforce.api_calls();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(desk.salesforce.api_calls(), calls, "the last calls are for the Tasks");
    assert!(calls < used + 5);
    assert_eq!(running.names(&desk, &number(3)), ["Muster"]);
    running.stop().await;
}
