//! Each recorded call over a real websocket through the whole bridge: Tasks and pops are those that the truth asks for.

use std::path::Path;
use std::sync::Arc;

use ctibridge::calls::record::CallKey;
use ctibridge::sim::PhoneTokens;
use ctibridge::sim::pbx::recording::{Recording, Speed};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::people::people;
use crate::support::truth;
use crate::support::verdict::{ROUNDED, Scene, compare};
use crate::support::world::{World, comes};

/// Worlds at the same time, on a machine with two cores.
const AT_ONCE: usize = 6;

async fn faults(path: &Path, mode: PhoneTokens) -> Vec<String> {
    let rows = truth::rows(path);
    let people = people(&rows);
    let recording = Recording::load(path).unwrap();
    let world = World::in_mode(&people.seed, mode).await;
    // What a killed PBX leaves open is estimated by the time that passes, so it must pass.
    let speed = if rows.iter().any(|row| row.end_estimated) { Speed::Times(1.0) } else { Speed::AsFast };
    recording.play(&world.asterisk, speed).await.unwrap();
    let expected = rows.iter().filter(|row| row.logged).count();
    comes(|| world.tasks().len() >= expected).await;
    world.settled().await;
    let scene = Scene { salesforce: &world.salesforce, screens: &world.screens, slack: ROUNDED };
    let mut faults = compare(&scene, &rows, &people).await;
    for fault in &mut faults {
        *fault = format!("{}: {fault}", path.file_stem().unwrap().to_string_lossy());
    }
    world.bridge.stop().await;
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
