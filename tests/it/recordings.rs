//! Each recorded call over a real websocket through the whole bridge: Tasks and pops are those that the truth asks for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ctibridge::calls::record::CallKey;
use ctibridge::sim::PhoneTokens;
use ctibridge::sim::pbx::recording::{Recording, Speed};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::people::{People, people};
use crate::support::truth::{self, Row};
use crate::support::world::{Record, World, wait};

/// Worlds at the same time, on a machine with two cores.
const AT_ONCE: usize = 6;

async fn faults(path: &Path, mode: PhoneTokens) -> Vec<String> {
    let rows = truth::rows(path);
    let people = people(&rows);
    let recording = Recording::load(path).unwrap();
    let world = World::in_mode(&people.seed, mode).await;
    recording.prepare(&world.asterisk);
    // What a killed PBX leaves open is estimated by the time that passes, so it must pass.
    let speed = if rows.iter().any(|row| row.end_estimated) { Speed::Times(1.0) } else { Speed::AsFast };
    recording.play(&world.asterisk, speed).await.unwrap();
    let expected = rows.iter().filter(|row| row.logged).count();
    wait("the Tasks", || world.tasks().len() >= expected).await;
    world.settled().await;
    let tasks = world.tasks();
    let mut faults = compare(&world, &rows, &people, tasks).await;
    for fault in &mut faults {
        *fault = format!("{}: {fault}", path.file_stem().unwrap().to_string_lossy());
    }
    world.bridge.stop().await;
    faults
}

async fn compare(world: &World, rows: &[Row], people: &People, mut tasks: Vec<Record>) -> Vec<String> {
    let users: BTreeMap<String, String> = world
        .salesforce
        .rows("User")
        .into_iter()
        .filter_map(|user| Some((user["Id"].as_str()?.to_owned(), user.get("Extension")?.as_str()?.to_owned())))
        .collect();
    let contacts: BTreeMap<String, String> = world
        .salesforce
        .rows("Contact")
        .into_iter()
        .map(|row| (row["Id"].as_str().unwrap().to_owned(), row["LastName"].as_str().unwrap().to_owned()))
        .collect();
    let mut faults = Vec::new();
    // Rows of one party are told apart by their starts, which the Tasks' keys carry in their order.
    tasks.sort_by_key(|task| task["CallObject"].as_str().unwrap().to_owned());
    let mut ordered: Vec<&Row> = rows.iter().filter(|row| row.logged).collect();
    ordered.sort_by(|a, b| a.start.total_cmp(&b.start));
    for row in ordered {
        let who = row.party.as_ref().map(|number| people.names[number].clone());
        let fits = |task: &Record| {
            let linked = task.get("WhoId").and_then(Value::as_str).map(|id| contacts[id].clone());
            linked == who && task["CallType"].as_str().unwrap().to_lowercase() == row.direction
        };
        let best = tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| fits(task))
            .min_by_key(|(index, task)| (!row_faults(row, task, &users).is_empty(), *index));
        let Some((index, _)) = best else {
            faults.push(format!("row {}: no Task for {} {who:?}", row.number, row.direction));
            continue;
        };
        let task = tasks.remove(index);
        let mut found = row_faults(row, &task, &users);
        found.extend(pop_faults(row, &task, world, who.as_deref()).await);
        faults.extend(found.into_iter().map(|fault| format!("row {}: {fault}", row.number)));
    }
    for task in tasks {
        faults.push(format!("a Task too many: {} {}", task["CallObject"], task["Subject"]));
    }
    faults
}

fn row_faults(row: &Row, task: &Record, users: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    let disposition = task["CallDisposition"].as_str().unwrap();
    must(row.dispositions.iter().any(|it| it == disposition), format!("{disposition}, not {:?}", row.dispositions));
    let seconds = task["CallDurationInSeconds"].as_f64().unwrap();
    must((seconds - row.talk).abs() <= 1.0, format!("talk {seconds} s, not {}", row.talk));
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
async fn pop_faults(row: &Row, task: &Record, world: &World, who: Option<&str>) -> Vec<String> {
    if row.direction != "inbound" {
        return Vec::new();
    }
    let call = task["CallObject"].as_str().unwrap();
    let mut faults = Vec::new();
    for (extension, screen) in &world.screens {
        let rung = row.rung.contains(extension);
        let told = |kind: &str| screen.of(kind, call);
        if rung {
            // The stream is read by a browser of its own, a little later.
            wait("a pop", || !told("pop").is_empty()).await;
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

async fn check(folder: &str, expected: usize, mode: PhoneTokens) {
    let paths = truth::recordings(folder);
    assert_eq!(paths.len(), expected);
    let (room, mut worlds) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for path in paths {
        let room = Arc::clone(&room);
        worlds.spawn(async move {
            let _place = room.acquire().await.unwrap();
            faults(&path, mode).await
        });
    }
    let wrong: Vec<String> = worlds.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recorded_call_is_one_task_and_its_pops() {
    check("asterisk-ari", 56, PhoneTokens::ExactDigits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_same_in_an_org_that_also_finds_the_ends_of_numbers() {
    check("asterisk-ari", 56, PhoneTokens::Suffix).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_recorded_with_linkedid_is_one_task_and_its_pops() {
    check("asterisk-ari-linkedid", 10, PhoneTokens::ExactDigits).await;
}

/// Whether two names are of one call; keys are all that Tasks and pops share.
#[test]
fn a_key_is_the_same_in_tasks_and_pops() {
    assert_eq!(CallKey::new("hq", "pbx1", "1795282967.390").as_str(), "hq-pbx1-1795282967-390");
}
