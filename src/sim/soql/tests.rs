//! Queries against a small org.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::{Clock, Found, parse, run};
use crate::sim::org::{Org, Refusal, Seed, Writer};

fn org() -> Org {
    let mut org = Org::new(false);
    let seed = json!({
        "User": [{"Id": "005000000000001", "LastName": "Agent", "Extension": "101"}],
        "Account": [{"Id": "001000000000001", "Name": "Kern AG", "OwnerId": "005000000000001"}],
        "Contact": [
            {"Id": "003000000000001", "FirstName": "Eva", "LastName": "Kern", "Phone": "(415) 555-0123",
             "AccountId": "001000000000001", "CreatedDate": "2026-11-20T23:30:00Z"},
            {"Id": "003000000000002", "LastName": "O'Neill", "CreatedDate": "2026-11-10T08:00:00Z"},
            {"Id": "003000000000003", "LastName": "50% Off_er", "Email": "x@y.example",
             "CreatedDate": "2026-11-21T08:00:00Z"},
        ],
        "Task": [
            {"Id": "00T000000000001", "Subject": "Call", "WhoId": "003000000000001", "CallDurationInSeconds": 61,
             "CTI_Call_Id__c": "Hq-1", "OwnerId": "005000000000001", "ActivityDate": "2026-11-20"},
            {"Id": "00T000000000002", "Subject": "Mail", "CallDurationInSeconds": 5},
        ],
    });
    let seed = Seed::from_value(seed).expect("a seed");
    org.fill(&seed, &Writer::of("", Timestamp::now())).expect("a good seed");
    org
}

fn records(found: &Found) -> Vec<Value> {
    found.page(&org(), 0, usize::MAX)
}

fn found(source: &str) -> Result<Found, Refusal> {
    let now = "2026-11-21T17:00:00Z".parse().expect("a time");
    run(&org(), &parse::query(source)?, &Clock { now, zone: TimeZone::UTC, user: String::new() }, false)
}

/// The last three characters of the ids that a condition selects from contacts.
fn contacts(condition: &str) -> Vec<String> {
    let found = found(&format!("SELECT Id FROM Contact {condition}")).expect(condition);
    ids(&found)
}

fn ids(found: &Found) -> Vec<String> {
    let records = records(found);
    let ids = records.iter().filter_map(|record| record.get("Id")?.as_str());
    ids.filter_map(|id| Some(id.get(14..15)?.to_owned())).collect()
}

fn refused(source: &str) -> &'static str {
    found(source).expect_err(source).code
}

#[test]
fn conditions_select_rows() {
    for (condition, expected) in [
        ("WHERE LastName = 'kern'", "1"),
        ("where lastname != 'Kern'", "2,3"),
        ("WHERE LastName = 'O\\'Neill'", "2"),
        ("WHERE Phone LIKE '%415%0123'", "1"),
        ("WHERE LastName LIKE '50\\% Off\\_er'", "3"),
        ("WHERE LastName LIKE '_ern'", "1"),
        ("WHERE Phone = null", "2,3"),
        ("WHERE Phone != null", "1"),
        ("WHERE (Phone = null AND Email = null) OR Account.Name = 'Kern AG'", "1,2"),
        ("WHERE NOT (LastName = 'Kern')", "2,3"),
        ("WHERE NOT LastName IN ('Kern', 'O\\'Neill')", "3"),
        ("WHERE LastName NOT IN ('Kern')", "2,3"),
        ("WHERE Id = '003000000000001'", "1"),
        ("WHERE Id IN ('003000000000001AAA', '003000000000003')", "1,3"),
        ("WHERE CreatedDate = TODAY", "3"),
        ("WHERE CreatedDate = LAST_N_DAYS:3", "1,3"),
        ("WHERE CreatedDate < LAST_N_DAYS:3", "2"),
        ("WHERE CreatedDate >= 2026-11-20T23:30:00Z", "1,3"),
        ("WHERE CreatedDate > 2026-11-20T18:30:00-05:00", "3"),
        ("WHERE IsDeleted = false AND FirstName = 'eva'", "1"),
        ("WHERE AccountId IN (SELECT Id FROM Account WHERE Name LIKE 'Kern%')", "1"),
        ("WHERE Account.Owner.Extension = '101'", "1"),
    ] {
        assert_eq!(contacts(condition).join(","), expected, "{condition}");
    }
}

#[test]
fn order_limit_and_offset_apply_in_turn() {
    assert_eq!(contacts("ORDER BY Email"), ["1", "2", "3"]);
    assert_eq!(contacts("ORDER BY Email NULLS LAST, LastName DESC"), ["3", "2", "1"]);
    assert_eq!(contacts("ORDER BY CreatedDate DESC LIMIT 1 OFFSET 1"), ["1"]);
    assert_eq!(contacts("ORDER BY CreatedDate ASC LIMIT 0"), Vec::<String>::new());
}

#[test]
fn parents_come_nested_and_nulls_are_shown() {
    let found = found("SELECT id, account.name, FirstName FROM Contact c WHERE c.LastName LIKE '%'").expect("records");
    let records = records(&found);
    let first = records.first().expect("a record");
    assert_eq!(first.pointer("/Account/Name"), Some(&json!("Kern AG")));
    assert_eq!(first.pointer("/attributes/type"), Some(&json!("Contact")));
    let second = records.get(1).expect("a record");
    assert_eq!(second.get("Account"), Some(&Value::Null));
    assert_eq!(second.get("FirstName"), Some(&Value::Null));
}

#[test]
fn tasks_are_found_by_key_with_case_and_by_their_people() {
    let count = |condition: &str| {
        let source = format!("SELECT COUNT() FROM Task WHERE {condition}");
        found(&source).expect(condition).total
    };
    assert_eq!(count("CTI_Call_Id__c = 'Hq-1'"), 1);
    assert_eq!(count("CTI_Call_Id__c = 'hq-1'"), 0);
    assert_eq!(count("Who.Name = 'Eva Kern'"), 1);
    assert_eq!(count("Who.Type = 'Contact'"), 1);
    assert_eq!(count("CallDurationInSeconds > 10"), 1);
    assert_eq!(count("ActivityDate = 2026-11-20"), 1);
    assert_eq!(count("ActivityDate = YESTERDAY"), 1);
    assert_eq!(count("IsClosed = false"), 2);
}

#[test]
fn aggregates_count_and_compare() {
    let found = found("SELECT COUNT(Id) n, MAX(CallDurationInSeconds) FROM Task").expect("one row");
    let records = records(&found);
    let row = records.first().expect("a row");
    assert_eq!(row.get("n"), Some(&json!(2)));
    assert_eq!(row.get("expr0"), Some(&json!(61)), "those without an alias are numbered");
}

#[test]
fn access_to_records_can_be_asked_for() {
    let found = found(
        "SELECT RecordId, HasReadAccess FROM UserRecordAccess WHERE UserId = '005000000000001' \
         AND RecordId IN ('003000000000001','003000000000002')",
    )
    .expect("rows");
    assert_eq!(found.total, 2);
}

#[test]
fn wrong_queries_are_refused_as_salesforce_does() {
    for (source, code) in [
        ("SELECT Id FROM", "MALFORMED_QUERY"),
        ("SELECT FROM Contact", "MALFORMED_QUERY"),
        ("SELECT Id Contact", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE LastName = 'a' AND Id = null OR Phone = null", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE LastName = 'O'Neill'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE LastName = 'a\\q'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact LIMIT x", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact; DROP", "MALFORMED_QUERY"),
        ("SELECT Fone FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Fone = null", "INVALID_FIELD"),
        ("SELECT Id FROM Contact ORDER BY Fone", "INVALID_FIELD"),
        ("SELECT Acount.Name FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE LastName = 5", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE CreatedDate > '2026-11-20T00:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE CreatedDate > 2026-11-20", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE CreatedDate = SOMEDAY", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE IsDeleted = 'false'", "INVALID_FIELD"),
        ("SELECT Id FROM Task WHERE Description LIKE '%a%'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Kontact", "INVALID_TYPE"),
    ] {
        assert_eq!(refused(source), code, "{source}");
    }
    let deep = format!("SELECT Id FROM Contact WHERE {}Id = null", "(".repeat(5000));
    assert_eq!(refused(&deep), "MALFORMED_QUERY");
}

#[test]
fn an_unknown_field_is_pointed_at() {
    let message = found("SELECT Id, Fone FROM Contact").expect_err("unknown").message;
    assert!(message.contains("\nSELECT Id, Fone FROM Contact\n           ^\nERROR at Row:1:Column:12\n"));
    assert!(message.contains("No such column 'Fone' on entity 'Contact'"));
}

#[test]
fn a_page_goes_on_after_a_stamp_and_an_id() {
    let mut org = Org::new(false);
    let rows: Vec<Value> = (1..=6)
        .map(|n| {
            let stamp = format!("2026-11-20T10:00:0{}Z", (n - 1) / 3);
            json!({"Id": format!("00300000000000{n}"), "LastName": "P", "SystemModstamp": stamp})
        })
        .collect();
    let seed = Seed::from_value(json!({"Contact": rows})).expect("a seed");
    org.fill(&seed, &Writer::of("", Timestamp::now())).expect("a good seed");
    let clock = Clock { now: Timestamp::now(), zone: TimeZone::UTC, user: String::new() };
    let found = |condition: &str| {
        let query = format!("SELECT Id FROM Contact WHERE {condition} ORDER BY SystemModstamp, Id");
        let found = run(&org, &parse::query(&query).expect("a query"), &clock, false).expect(condition);
        ids(&found).concat()
    };
    let (first, second) = ("2026-11-20T10:00:00Z", "2026-11-20T10:00:01Z");
    let after = |stamp: &str, n: u8| {
        format!("(SystemModstamp > {stamp} OR (SystemModstamp = {stamp} AND Id > '00300000000000{n}'))")
    };
    assert_eq!(found(&after(first, 2)), "3456");
    assert_eq!(found(&after(second, 4)), "56");
    assert_eq!(found(&format!("{} AND SystemModstamp <= {first}", after(first, 1))), "23");
    assert_eq!(found(&format!("SystemModstamp > {first}")), "456");
    assert_eq!(found(&format!("SystemModstamp >= {first} AND SystemModstamp < {second}")), "123");
    assert_eq!(found(&format!("NOT (SystemModstamp > {first})")), "123");
    assert_eq!(found("SystemModstamp > 2027-01-01T00:00:00Z AND SystemModstamp < 2026-01-01T00:00:00Z"), "");
    assert_eq!(found("Id > '003000000000004'"), "56");
    assert_eq!(found("Id IN ('003000000000005', '003000000000002')"), "25");
    assert_eq!(found("Id > '003000000000004' OR LastName = 'P'"), "123456");
}

#[test]
fn a_deleted_row_is_found_by_its_key_where_deleted_rows_are_asked_for() {
    let mut org = org();
    let by = Writer::of("", Timestamp::now());
    org.delete("Task", "00T000000000001", &by).expect("a task");
    let clock = Clock { now: Timestamp::now(), zone: TimeZone::UTC, user: String::new() };
    let query = parse::query("SELECT Id FROM Task WHERE CTI_Call_Id__c = 'Hq-1'").expect("a query");
    let count = |all: bool| run(&org, &query, &clock, all).expect("rows").total;
    assert_eq!((count(false), count(true)), (0, 1));
    let query = parse::query("SELECT Id FROM Task WHERE CTI_Call_Id__c = ''").expect("a query");
    assert_eq!(run(&org, &query, &clock, false).expect("rows").total, 1);
}

#[test]
fn children_come_with_their_parents() {
    let query = "SELECT Name, (SELECT Id, LastName, Account.Name FROM Contacts WHERE LastName LIKE 'K%' LIMIT 1), \
                 (SELECT Id FROM opportunities) FROM Account";
    let [account] = &records(&found(query).expect(query))[..] else { panic!("one account") };
    let eva = &account["Contacts"]["records"][0];
    assert_eq!((&account["Contacts"]["totalSize"], &account["Contacts"]["done"]), (&json!(1), &json!(true)));
    assert_eq!((&eva["LastName"], &eva["Account"]["Name"]), (&json!("Kern"), &json!("Kern AG")));
    assert_eq!(account["Opportunities"], Value::Null, "none, under the name as the org spells it");
    let inner = "SELECT (SELECT Id, (SELECT Subject FROM Tasks) FROM Contacts) FROM Account";
    let tasks = records(&found(inner).expect(inner)).remove(0)["Contacts"]["records"].take();
    assert_eq!(tasks[0]["Tasks"]["records"][0]["Subject"], "Call");
    assert_eq!(refused("SELECT (SELECT Id FROM Contact) FROM Account"), "INVALID_TYPE");
    assert_eq!(refused("SELECT (SELECT Nothing FROM Contacts) FROM Account"), "INVALID_FIELD");
    assert_eq!(refused("SELECT (SELECT Id FROM Contacts FROM Account"), "MALFORMED_QUERY");
    let deep = format!("SELECT {}Id FROM Contacts{}", "(SELECT ".repeat(9_000), ") FROM Account".repeat(9_000));
    assert_eq!(refused(&deep), "MALFORMED_QUERY");
}

#[test]
fn rows_are_grouped_and_computed_by_group() {
    let query = "SELECT AccountId, COUNT(Id) n, MAX(LastName) FROM Contact GROUP BY AccountId ORDER BY COUNT(Id) DESC";
    let groups = records(&found(query).expect(query));
    let [none, one] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!(
        none,
        &json!({"attributes": {"type": "AggregateResult"}, "AccountId": null, "n": 2, "expr0": "O'Neill"})
    );
    assert_eq!((&one["AccountId"], &one["n"]), (&json!("001000000000001AAA"), &json!(1)));
    let twice = "SELECT AccountId FROM Contact GROUP BY AccountId HAVING COUNT(Id) > 1 AND COUNT(Id) < 9";
    assert_eq!(found(twice).expect(twice).len(), 1);
    let named = "SELECT Account.Name, COUNT(Id) FROM Contact WHERE AccountId != null GROUP BY Account.Name";
    assert_eq!(records(&found(named).expect(named))[0]["Name"], "Kern AG");
    let sums =
        "SELECT SUM(CallDurationInSeconds) s, AVG(CallDurationInSeconds) a, SUM(CallDurationInSeconds) FROM Task";
    let sums = records(&found(sums).expect(sums)).remove(0);
    assert_eq!((&sums["s"], &sums["a"]), (&json!(66), &json!(33.0)));
    for wrong in [
        "SELECT LastName, COUNT(Id) FROM Contact GROUP BY AccountId",
        "SELECT LastName, COUNT(Id) FROM Contact",
        "SELECT COUNT() FROM Contact GROUP BY AccountId",
        "SELECT Id FROM Contact ORDER BY COUNT(Id)",
        "SELECT AccountId FROM Contact GROUP BY AccountId HAVING AccountId > 1",
    ] {
        assert_eq!(refused(wrong), "MALFORMED_QUERY", "{wrong}");
    }
}
