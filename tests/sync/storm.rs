//! A storm of changes while the index follows; afterwards it is as the org, record by record.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::desk::{Desk, Running, SOON, is_phone, text};
use crate::load::number;

const CHANGES: usize = 3000;

#[tokio::test]
async fn after_a_storm_of_changes_the_index_is_as_the_org() {
    for seed in [7, 8] {
        storm(seed).await;
    }
}

async fn storm(seed: u64) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let accounts: Vec<Value> = (0..60).map(|n| json!({ "Name": format!("Firm {n}"), "Phone": number(n) })).collect();
    let contacts: Vec<Value> = (0..400)
        .map(|n| json!({ "LastName": format!("C{n}"), "Phone": number(1000 + n), "Account": { "Name": format!("Firm {}", n % 60) } }))
        .collect();
    let leads: Vec<Value> = (0..200)
        .map(|n| json!({ "LastName": format!("L{n}"), "Company": format!("Co {n}"), "Phone": number(3000 + n) }))
        .collect();
    let mut desk = Desk::open(json!({ "Account": accounts, "Contact": contacts, "Lead": leads })).await;
    desk.settings.directory.refresh = Duration::from_millis(30);
    let running = desk.start();
    let mut done = BTreeMap::<&str, usize>::new();
    for n in 0..CHANGES {
        *done.entry(change(&desk, &mut chance, n)).or_default() += 1;
        if n % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if n % 1000 == 999 {
            // Time passes: what was touched settles, and is read once more.
            desk.later(400);
        }
    }
    println!("storm {seed}: {done:?}, {} polls", running.handle.status().polls);
    desk.later(400);
    let end = std::time::Instant::now() + SOON;
    while let Err(difference) = compare(&desk, &running) {
        assert!(std::time::Instant::now() < end, "the index is not as the org: {difference}");
        running.polled().await;
    }
    let status = running.handle.status();
    println!("storm {seed}: {} changes taken in, {} API calls", status.changes, desk.salesforce.api_calls());
    running.stop().await;
    // And so is the one on disk.
    desk.salesforce.set(|knobs| knobs.refuse = true);
    let running = desk.start();
    compare(&desk, &running).unwrap();
    running.stop().await;
}

fn change(desk: &Desk, chance: &mut fastrand::Rng, n: usize) -> &'static str {
    let org = &desk.salesforce;
    let object = *chance.choice(&["Contact", "Contact", "Lead", "Account"]).unwrap();
    let live = org.rows(object);
    let Some(row) = chance.choice(&live) else { return "nothing" };
    let id = text(row, "Id").to_owned();
    match chance.u8(..14) {
        0..4 => {
            let fields = if object == "Account" { vec!["Phone"] } else { vec!["Phone", "MobilePhone"] };
            let field = chance.choice(&fields).unwrap();
            org.edit(object, &id, &json!({ *field: number(10_000 + chance.usize(..500)) })).unwrap();
            "new number"
        }
        4 => {
            org.edit(object, &id, &json!({ "Phone": null })).unwrap();
            "lost number"
        }
        5..7 => {
            let field = if object == "Account" { "Name" } else { "LastName" };
            org.edit(object, &id, &json!({ field: format!("Renamed {n}") })).unwrap();
            "new name"
        }
        7..9 => {
            if org.remove(object, &id) {
                "deletion"
            } else {
                "nothing"
            }
        }
        9 => {
            let all = org.rows_and_bin(object);
            let bin: Vec<_> = all.iter().filter(|row| row["IsDeleted"] == true).collect();
            let Some(row) = chance.choice(&bin) else { return "nothing" };
            if org.undelete(text(row, "Id")) { "undeletion" } else { "nothing" }
        }
        10 => {
            let other = chance.choice(&live).unwrap();
            if org.merge(&id, &[text(other, "Id")]) { "merge" } else { "nothing" }
        }
        11 => {
            let contacts = org.rows("Contact");
            let (Some(lead), Some(contact)) = (chance.choice(&org.rows("Lead")).cloned(), chance.choice(&contacts))
            else {
                return "nothing";
            };
            if org.convert(text(&lead, "Id"), text(contact, "Id")) { "conversion" } else { "nothing" }
        }
        _ => {
            let mut row = json!({ "LastName": format!("New {n}"), "Phone": number(20_000 + n) });
            if object == "Lead" {
                row["Company"] = json!("New");
            }
            if object == "Account" {
                row = json!({ "Name": format!("New {n}"), "Phone": number(20_000 + n) });
            }
            org.insert(object, &row).unwrap();
            "creation"
        }
    }
}

/// Each record of the org against what the index says of it, and the other way round.
fn compare(desk: &Desk, running: &Running) -> Result<(), String> {
    let accounts: BTreeMap<String, String> = desk
        .salesforce
        .rows("Account")
        .iter()
        .map(|row| (text(row, "Id").to_owned(), text(row, "Name").to_owned()))
        .collect();
    for object in ["Contact", "Lead", "Account"] {
        let (org, index) = (desk.ids(object), running.ids(object));
        if org != index {
            let (more, less) = (index.difference(&org).count(), org.difference(&index).count());
            return Err(format!("{object}: {more} too many, {less} too few of {}", org.len()));
        }
        for row in desk.rows(object) {
            for (field, phone) in row.iter().filter(|(field, value)| is_phone(field) && value.is_string()) {
                let found = running.index.find(&desk.plan().read(phone.as_str().unwrap()));
                let Some(found) = found.iter().find(|found| found.id.as_str() == text(&row, "Id")) else {
                    return Err(format!("{object} {} is not found by {field}", text(&row, "Id")));
                };
                let account = match (object, text(&row, "AccountId")) {
                    // In a real org its contacts go with an account.
                    ("Contact", id) if !id.is_empty() && !accounts.contains_key(id) => continue,
                    ("Contact", id) => accounts.get(id).map_or("", String::as_str),
                    ("Lead", _) => text(&row, "Company"),
                    _ => "",
                };
                let owner = found.owner_id.as_ref().map(ToString::to_string).unwrap_or_default();
                let told = (found.name.as_str(), found.account.as_deref().unwrap_or_default(), owner.as_str());
                let expected = (text(&row, "Name"), account, text(&row, "OwnerId"));
                if told != expected {
                    return Err(format!("{object} {}: {told:?}, not {expected:?}", text(&row, "Id")));
                }
            }
        }
    }
    Ok(())
}
