//! What the settings put into a Task, held against the org: fields, the related record, owners.

use std::time::Duration;

use ctibridge::journal::{AgentUser, Note, mapping};
use serde_json::{Value, json};

use crate::support::desk::{Desk, found, id};
use crate::support::site::{Site, text};

const CONTACT: &str = "003000000000001AAA";
const ACCOUNT: &str = "001000000000001AAA";
const LONELY: &str = "003000000000002AAA";
const LEAD: &str = "00Q000000000001EAA";

#[tokio::test(flavor = "multi_thread")]
async fn templates_become_values_of_their_fields_types_and_what_does_not_fit_is_left_out() {
    let people = json!({ "$fields": { "Task": [
        "Queue__c only:sales|service", "Seconds__c double", "Began__c datetime", "Day__c date", "Answered__c bool",
        "Short__c text:5", "Key__c text:40 read", "Wrong__c int",
    ] } });
    let log = r#"batch_window = "20ms"
[log.fields]
"Queue__c" = "{{ queue | upper }}"
"Seconds__c" = "{{ duration }}"
"began__c" = "{{ started }}"
"Day__c" = "{{ started }}"
"Answered__c" = "{{ disposition == 'Answered' }}"
"Short__c" = "{{ direction }}"
"Key__c" = "{{ call }}"
"Nowhere__c" = "{{ call }}"
"Wrong__c" = "call {{ call }}"
"#;
    let desk = Desk::new(&people, log).await;
    desk.call("1", Vec::new()).await;
    let mut unknown = crate::support::desk::finished("2");
    unknown.call.queue = Some("a queue that is in no picklist".into());
    desk.ended(unknown, crate::support::desk::answer(Vec::new())).await;
    desk.settled().await;
    assert_eq!(desk.journal.counts().parked, 0);
    let task = desk.task("1");
    assert_eq!(task["Queue__c"], "sales");
    assert_eq!(task["Seconds__c"].as_f64(), Some(60.0));
    assert!(text(&task, "Began__c").ends_with(".000+0000"), "{task:?}");
    assert_eq!(text(&task, "Day__c"), text(&task, "ActivityDate"));
    assert_eq!(task["Answered__c"], true);
    assert_eq!(task["Short__c"], "inbou");
    for left_out in ["Key__c", "Wrong__c"] {
        assert!(task.get(left_out).is_none_or(Value::is_null), "{task:?}");
    }
    let other = desk.task("2");
    assert!(other.get("Queue__c").is_none_or(Value::is_null), "{other:?}");
    assert!(
        text(&other, "Description").contains("Queue__c is left out: it takes a value of its picklist."),
        "{other:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_the_org_does_not_have_keeps_no_call_back_even_where_it_fails_the_whole_request() {
    let desk = Desk::new(&json!({}), "batch_window = \"20ms\"\n[log.fields]\n\"Nowhere__c\" = \"x\"").await;
    desk.salesforce.set(|knobs| knobs.unknown_field_fails_request = true);
    desk.call("1", Vec::new()).await;
    desk.settled().await;
    desk.task("1");
}

fn with_related() -> Value {
    json!({
        "Account": [{ "Id": ACCOUNT, "Name": "Acme" }],
        "Contact": [
            { "Id": CONTACT, "LastName": "Muster", "AccountId": ACCOUNT },
            { "Id": LONELY, "LastName": "Lonely" },
        ],
        "Lead": [{ "Id": LEAD, "LastName": "Lead", "Company": "Acme" }],
        "Case": [
            { "Id": "500000000000001AAA", "Status": "Closed", "ContactId": CONTACT },
            { "Id": "500000000000002AAA", "Status": "New", "ContactId": CONTACT },
        ],
        "Opportunity": [
            { "Id": "006000000000001AAA", "Name": "a", "StageName": "Prospecting", "CloseDate": "2026-12-01",
              "AccountId": ACCOUNT, "CreatedDate": "2026-01-01T00:00:00.000+0000" },
            { "Id": "006000000000002AAA", "Name": "b", "StageName": "Prospecting", "CloseDate": "2026-12-01",
              "AccountId": ACCOUNT, "CreatedDate": "2026-06-01T00:00:00.000+0000" },
            { "Id": "006000000000003AAA", "Name": "c", "StageName": "Closed Won", "CloseDate": "2026-12-01",
              "AccountId": ACCOUNT, "CreatedDate": "2026-09-01T00:00:00.000+0000" },
        ],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_related_by_the_rule_and_a_batch_costs_one_call_for_it() {
    for (rule, expected) in [
        ("none", ""),
        ("case", "500000000000002AAA"),
        ("opportunity", "006000000000002AAA"),
        ("case-or-opportunity", "500000000000002AAA"),
    ] {
        let log = format!("batch_window = \"100ms\"\nrelated_to = \"{rule}\"");
        let desk = Desk::new(&with_related(), &log).await;
        desk.call("0", Vec::new()).await;
        desk.settled().await;
        let before = desk.salesforce.api_calls();
        desk.call("1", vec![found("Contact", CONTACT, Some(ACCOUNT))]).await;
        desk.call("2", vec![found("Contact", LONELY, None)]).await;
        desk.call("3", vec![found("Lead", LEAD, None)]).await;
        desk.call("4", vec![found("Account", ACCOUNT, None)]).await;
        desk.settled().await;
        let calls = desk.salesforce.api_calls() - before;
        assert_eq!(calls, if rule == "none" { 1 } else { 2 }, "{rule}");
        let task = desk.task("1");
        assert_eq!((text(&task, "WhoId"), text(&task, "WhatId")), (CONTACT, expected), "{rule}");
        assert_eq!(text(&desk.task("2"), "WhatId"), "");
        assert_eq!((text(&desk.task("3"), "WhoId"), text(&desk.task("3"), "WhatId")), (LEAD, ""));
        let account = if rule.contains("opportunity") { "006000000000002AAA" } else { ACCOUNT };
        assert_eq!(text(&desk.task("4"), "WhatId"), account, "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_follows_an_agents_choice_and_never_overrules_it() {
    let desk = Desk::new(&with_related(), "batch_window = \"20ms\"\nrelated_to = \"case-or-opportunity\"").await;
    let choose = |record: &str| Note { record_id: Some(id(record)), ..Note::default() };
    desk.call("1", Vec::new()).await;
    desk.call("2", vec![found("Contact", CONTACT, Some(ACCOUNT))]).await;
    desk.settled().await;
    desk.note("1", choose(CONTACT)).await;
    desk.note("2", choose("006000000000003AAA")).await;
    desk.settled().await;
    assert_eq!(text(&desk.task("1"), "WhatId"), "500000000000002AAA");
    let chosen = desk.task("2");
    assert_eq!((text(&chosen, "WhoId"), text(&chosen, "WhatId")), (CONTACT, "006000000000003AAA"));
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_without_an_active_user_are_named_with_what_to_do() {
    let desk = Desk::new(&json!({}), "fallback_owner = \"gone@acme.example\"").await;
    for (name, extension) in [("gone", "104"), ("left", "105")] {
        let user = json!({
            "Username": format!("{name}@acme.example"), "LastName": name, "Extension": extension, "IsActive": false,
        });
        desk.salesforce.insert("User", &user).unwrap();
    }
    let agent = |extension: &str, user: &str| AgentUser {
        extension: extension.into(),
        name: String::new(),
        salesforce_user: user.into(),
    };
    let agents = [agent("101", ""), agent("105", ""), agent("106", ""), agent("102", "left@acme.example")];
    let told = mapping(&desk.client, &agents, true, "gone@acme.example").await.unwrap();
    assert_eq!(told.mapped, 1);
    let begin = |text: &String| text.split(';').next().unwrap().to_owned();
    assert_eq!(
        told.notices.iter().map(begin).collect::<Vec<_>>(),
        [
            "agent 105: the Salesforce user is inactive",
            "agent 106: no active Salesforce user has this extension",
            "agent 102: the Salesforce user is inactive",
            "log.fallback_owner: this user is inactive",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_api_calls_nearly_used_up_tasks_are_written_and_nothing_else_is_asked() {
    let desk = Desk::new(&with_related(), "batch_window = \"20ms\"\nrelated_to = \"case\"").await;
    desk.call("1", Vec::new()).await;
    desk.settled().await;
    for _ in 0..150 {
        desk.client.users().await.unwrap();
    }
    let used = desk.salesforce.api_calls();
    desk.salesforce.set(|knobs| knobs.daily_limit = used + 3);
    desk.call("2", Vec::new()).await;
    desk.settled().await;
    let mut unsure = crate::support::desk::answer(Vec::new());
    unsure.complete = false;
    let before = desk.salesforce.api_calls();
    desk.ended(crate::support::desk::finished("3"), unsure).await;
    desk.until("logged", Duration::from_secs(20), |counts| counts.done == 3).await;
    assert_eq!(desk.salesforce.api_calls() - before, 1);
    let task = desk.task("3");
    assert_eq!(text(&task, "WhatId"), "");
    assert!(text(&task, "Description").contains("The caller was not looked up"), "{task:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_online_check_names_templates_and_agents_that_do_not_fit_the_org() {
    let change = |settings: String| {
        let settings = settings.replace("[log]", "[log.fields]\n\"Nowhere__c\" = \"x\"\n[log]");
        settings.replace("extension = \"103\"", "extension = \"103\"\nsalesforce_user = \"gone@acme.example\"")
    };
    let site = Site::new(change).await;
    let gone = json!({ "Username": "gone@acme.example", "LastName": "Gone", "IsActive": false });
    site.salesforce.insert("User", &gone).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ctibridge"))
        .args(["check", "--online", "--no-wait", "--config"])
        .arg(site.daemon.settings_file())
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("FAILED  Task templates: log.fields.Nowhere__c: the Task has no such field"), "{said}");
    assert!(said.contains("FAILED  agents: agent 103: the Salesforce user is inactive; name the successor"), "{said}");
}
