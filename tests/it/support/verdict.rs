//! Whether Tasks and pops are those that the truth asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ctibridge::calls::record::CallKey;
use ctibridge::sim::Salesforce;
use serde_json::Value;

use super::people::People;
use super::sse::Screen;
use super::truth::Row;
use super::world::{Record, comes};

/// The Tasks' whole seconds against the recordings' hundredths.
pub const ROUNDED: Duration = Duration::from_secs(1);

/// What came of some calls.
pub struct Scene<'a> {
    pub salesforce: &'a Salesforce,
    pub screens: &'a [(String, Screen)],
    /// What talk may be longer or shorter by than the truth says.
    pub slack: Duration,
}

/// What is wrong with the Tasks and pops of these calls.
pub async fn compare(scene: &Scene<'_>, rows: &[Row], people: &People) -> Vec<String> {
    let mut tasks = scene.salesforce.rows("Task");
    let users: BTreeMap<String, String> = scene
        .salesforce
        .rows("User")
        .into_iter()
        .filter_map(|user| Some((user["Id"].as_str()?.to_owned(), user.get("Extension")?.as_str()?.to_owned())))
        .collect();
    let contacts: BTreeMap<String, String> = scene
        .salesforce
        .rows("Contact")
        .into_iter()
        .map(|row| (row["Id"].as_str().unwrap().to_owned(), row["LastName"].as_str().unwrap().to_owned()))
        .collect();
    let mut faults = Vec::new();
    // Rows of one party are told apart by their starts, which the Tasks' keys carry in their order.
    tasks.sort_by_key(|task| task["CallObject"].as_str().unwrap().to_owned());
    let keys: BTreeSet<String> = rows.iter().filter_map(key_of).collect();
    let mut ordered: Vec<&Row> = rows.iter().filter(|row| row.logged).collect();
    ordered.sort_by(|a, b| a.start.total_cmp(&b.start));
    for row in ordered {
        let who = row.party.as_ref().and_then(|number| people.names.get(number)).cloned();
        let fits = |task: &Record| {
            let key = task["CallObject"].as_str().unwrap();
            let linked = task.get("WhoId").and_then(Value::as_str).map(|id| contacts[id].clone());
            let anothers = keys.contains(key) && key_of(row).as_deref() != Some(key);
            !anothers && linked == who && task["CallType"].as_str().unwrap().to_lowercase() == row.direction
        };
        let best = tasks.iter().enumerate().filter(|(_, task)| fits(task)).min_by_key(|(index, task)| {
            let own = task["CallObject"].as_str().map(str::to_owned) == key_of(row);
            (!own, !row_faults(row, task, &users, scene.slack).is_empty(), *index)
        });
        let Some((index, _)) = best else {
            faults.push(format!("row {}: no Task for {} {who:?}", row.number, row.direction));
            continue;
        };
        let task = tasks.remove(index);
        let mut found = row_faults(row, &task, &users, scene.slack);
        found.extend(pop_faults(row, &task, scene, who.as_deref()).await);
        faults.extend(found.into_iter().map(|fault| format!("row {}: {fault}", row.number)));
    }
    for task in tasks {
        faults.push(format!("a Task too many: {} {}", task["CallObject"], task["Subject"]));
    }
    faults
}

/// The key of a call that is known by its Call-ID.
fn key_of(row: &Row) -> Option<String> {
    row.call_id.as_ref().map(|id| CallKey::new("hq", "pbx1", id).as_str().to_owned())
}

fn row_faults(row: &Row, task: &Record, users: &BTreeMap<String, String>, slack: Duration) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    let disposition = task["CallDisposition"].as_str().unwrap();
    must(row.dispositions.iter().any(|it| it == disposition), format!("{disposition}, not {:?}", row.dispositions));
    let seconds = task["CallDurationInSeconds"].as_f64().unwrap();
    must((seconds - row.talk).abs() <= slack.as_secs_f64(), format!("talk {seconds} s, not {}", row.talk));
    let owner = users.get(task["OwnerId"].as_str().unwrap());
    must(row.owner.is_none() || row.owner.as_ref() == owner, format!("owner {owner:?}, not {:?}", row.owner));
    let description = task["Description"].as_str().unwrap();
    must(
        description.contains("estimated") == row.end_estimated,
        "its end is said to be estimated, or not, wrongly".into(),
    );
    if let Some(queue) = &row.queue {
        must(description.contains(queue.as_str()), format!("queue {queue} is not told"));
    }
    if let Some(dialed) = &row.dialed {
        must(description.contains(dialed.as_str()), format!("dialled number {dialed} is not told"));
    }
    must(task["IsClosed"] == true, "it is not closed".into());
    faults
}

/// One pop for each phone rung, that names the caller, and its end.
async fn pop_faults(row: &Row, task: &Record, scene: &Scene<'_>, who: Option<&str>) -> Vec<String> {
    if row.direction != "inbound" {
        return Vec::new();
    }
    let call = task["CallObject"].as_str().unwrap();
    let mut faults = Vec::new();
    for (extension, screen) in scene.screens {
        let rung = row.rung.contains(extension);
        let told = |kind: &str| screen.of(kind, call);
        if rung {
            // The stream is read by a browser of its own, a little later.
            comes(|| !told("pop").is_empty()).await;
        }
        let pops = told("pop");
        if pops.len() != usize::from(rung) {
            faults.push(format!("{} pops at {extension}, rung: {rung}", pops.len()));
            continue;
        }
        let Some(pop) = pops.first() else { continue };
        let named = pop.data["matches"][0]["name"].as_str();
        if named != who {
            faults.push(format!("the pop at {extension} names {named:?}, not {who:?}"));
        }
        if pop.data["caller"]["e164"].as_str() != row.party.as_deref() {
            faults.push(format!("the pop at {extension} shows another number"));
        }
        let over = told("withdraw").len() + told("update").iter().filter(|it| it.data["state"] == "ended").count();
        if over == 0 {
            faults.push(format!("the pop at {extension} never ends"));
        }
    }
    faults
}
