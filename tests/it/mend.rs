//! Rows that Salesforce refuses: mended once where it is plain how, parked with the reason where it is not.

use ctibridge::journal::Note;
use ctibridge::sim::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::desk::{Desk, answer, finished, found, id, key};
use crate::support::site::text;

const CONTACT: &str = "003000000000001AAA";
const OTHER: &str = "003000000000002AAA";
const LEAD: &str = "00Q000000000001EAA";
const ACCOUNT: &str = "001000000000001AAA";

fn people() -> Value {
    json!({
        "Account": [{ "Id": ACCOUNT, "Name": "Acme" }],
        "Contact": [
            { "Id": CONTACT, "LastName": "Muster", "AccountId": ACCOUNT },
            { "Id": OTHER, "LastName": "Other", "AccountId": ACCOUNT },
        ],
        "Lead": [{ "Id": LEAD, "LastName": "Lead", "Company": "Acme" }],
    })
}

async fn desk(log: &str) -> Desk {
    Desk::new(&people(), &format!("batch_window = \"20ms\"\nsettle_after = \"1s\"\n{log}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_that_was_converted_meanwhile_is_followed_to_its_contact() {
    let desk = desk("").await;
    assert!(desk.salesforce.convert(LEAD, CONTACT));
    desk.call("1", vec![found("Lead", LEAD, None)]).await;
    desk.call("2", vec![found("Contact", OTHER, None)]).await;
    desk.settled().await;
    let task = desk.task("1");
    assert_eq!(text(&task, "WhoId"), CONTACT);
    assert!(text(&task, "Description").contains(&format!("Linked to {CONTACT}, which {LEAD} became.")), "{task:?}");
    assert_eq!(text(&desk.task("2"), "WhoId"), OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_converted_lead_that_an_agent_chooses_later_is_followed_too() {
    let desk = desk("").await;
    desk.call("1", Vec::new()).await;
    desk.settled().await;
    assert!(desk.salesforce.convert(LEAD, CONTACT));
    desk.note("1", Note { record_id: Some(id(LEAD)), ..Note::default() }).await;
    desk.settled().await;
    assert_eq!(text(&desk.task("1"), "WhoId"), CONTACT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_contact_is_followed_and_a_deleted_one_is_left_out() {
    let desk = desk("").await;
    assert!(desk.salesforce.merge(OTHER, &[CONTACT]));
    desk.call("1", vec![found("Contact", CONTACT, None)]).await;
    desk.settled().await;
    assert_eq!(text(&desk.task("1"), "WhoId"), OTHER);
    assert!(desk.salesforce.remove("Contact", OTHER));
    desk.call("2", vec![found("Contact", CONTACT, None)]).await;
    desk.call("3", vec![found("Contact", "003000000000999AAA", None)]).await;
    desk.settled().await;
    for (unique, code) in [("2", "ENTITY_IS_DELETED"), ("3", "INVALID_CROSS_REFERENCE_KEY")] {
        let task = desk.task(unique);
        assert_eq!(text(&task, "WhoId"), "", "{task:?}");
        assert!(text(&task, "Description").contains(&format!("Salesforce refused it ({code})")), "{task:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_task_of_an_agent_who_has_just_left_goes_to_the_fallback_owner() {
    let desk = desk("fallback_owner = \"ben@acme.example\"").await;
    let users = desk.salesforce.rows("User");
    let of = |name: &str| text(users.iter().find(|user| text(user, "LastName") == name).unwrap(), "Id").to_owned();
    desk.call("1", Vec::new()).await;
    desk.settled().await;
    assert_eq!(text(&desk.task("1"), "OwnerId"), of("Anna"));
    desk.salesforce.edit("User", &of("Anna"), &json!({ "IsActive": false })).unwrap();
    desk.call("2", Vec::new()).await;
    desk.settled().await;
    assert_eq!(text(&desk.task("2"), "OwnerId"), of("Ben"));
    assert!(text(&desk.task("2"), "Description").contains("the fallback owner does"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_cut_where_the_org_describes_it_and_where_salesforce_says_it_is_too_long() {
    let mut people = people();
    people["$fields"] = json!({ "Task": ["Note__c text:10", "Code__c key:20"] });
    let log = "[log.fields]\n\"Note__c\" = \"{{ call }} {{ queue }}\"";
    let desk = Desk::new(&people, &format!("batch_window = \"20ms\"\n{log}")).await;
    desk.call("1", Vec::new()).await;
    desk.settled().await;
    assert_eq!(text(&desk.task("1"), "Note__c"), "hq-pbx1-1", "cut where the org said");
    desk.salesforce.set(|knobs| knobs.subject_length = 20);
    desk.call("2", vec![found("Contact", CONTACT, None)]).await;
    desk.settled().await;
    assert_eq!(text(&desk.task("2"), "Subject"), "Inbound call from Er", "cut where Salesforce said");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_another_task_has_is_tried_again_and_then_parked_with_the_reason() {
    let mut people = people();
    people["$fields"] = json!({ "Task": ["Code__c key:20"] });
    let desk = Desk::new(&people, "batch_window = \"20ms\"\n[log.fields]\n\"Code__c\" = \"same\"").await;
    for unique in ["1", "2", "3"] {
        desk.call(unique, Vec::new()).await;
    }
    desk.until("one is logged", std::time::Duration::from_mins(1), |counts| counts.done == 1 && counts.waiting == 2)
        .await;
    desk.salesforce.edit("Task", text(&desk.task("1"), "Id"), &json!({ "Code__c": "other" })).unwrap();
    desk.until("the next", std::time::Duration::from_mins(1), |counts| counts.done == 2).await;
    desk.settled().await;
    let reason = desk.parked().await;
    assert_eq!(reason.code, "DUPLICATE_VALUE");
    assert!(reason.advice.contains("unique field"), "{reason:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_that_lost_a_race_ends_in_one_task() {
    let desk = desk("external_id_field = \"CTI_Call_Id__c\"").await;
    desk.salesforce.fail_next(Fault::new(FaultKind::LostRace).on("composite/sobjects"));
    desk.call("1", vec![found("Contact", CONTACT, None)]).await;
    desk.settled().await;
    let task = desk.task("1");
    assert_eq!((text(&task, "CTI_Call_Id__c"), text(&task, "TaskSubtype")), (key("1").as_str(), "Call"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_onto_a_task_that_is_there_goes_without_what_is_only_set_when_it_is_made() {
    let desk = desk("external_id_field = \"CTI_Call_Id__c\"").await;
    let row = json!({ "Subject": "begun by somebody else", "CTI_Call_Id__c": key("1").as_str() });
    let id = desk.salesforce.insert("Task", &row).unwrap();
    desk.call("1", vec![found("Contact", CONTACT, None)]).await;
    desk.settled().await;
    let task = desk.task("1");
    assert_eq!((text(&task, "Id"), text(&task, "WhoId")), (id.as_str(), CONTACT));
    assert_eq!(desk.tasks().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_rows_are_tried_again_and_hold_up_no_other() {
    let desk = desk("").await;
    desk.salesforce.fail_next(Fault::new(FaultKind::LockRow).times(2).rows(3).on("composite/sobjects"));
    for nth in 0..200 {
        desk.journal.ended(finished(&nth.to_string()), Some(answer(Vec::new()))).await;
    }
    desk.until("the others", std::time::Duration::from_mins(1), |counts| counts.done >= 197).await;
    desk.settled().await;
    assert_eq!((desk.tasks().len(), desk.journal.counts().parked), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_to_a_task_that_was_deleted_is_parked_with_what_to_do() {
    let desk = desk("").await;
    desk.call("1", Vec::new()).await;
    desk.settled().await;
    assert!(desk.salesforce.remove("Task", text(&desk.task("1"), "Id")));
    desk.note("1", Note { notes: Some("called back".into()), record_id: Some(id(CONTACT)), ..Note::default() }).await;
    desk.settled().await;
    let reason = desk.parked().await;
    assert_eq!(reason.code, "ENTITY_IS_DELETED");
    assert!(reason.advice.contains("restore it"), "{reason:?}");
}
