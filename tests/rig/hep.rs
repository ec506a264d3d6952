//! The bridge listens to the mirror of a live Kamailio: what comes of the calls is what the rig says that it placed.

use std::time::Duration;

use super::kamailio::{self, Kamailio};
use super::stalls::Stalls;
use super::support::mirror::{KAMAILIO, Mirror, folder};
use super::support::people::{People, people};
use super::support::truth::{Row, line_of, table};
use super::support::verdict::{ROUNDED, Scene, compare};
use super::support::world::{comes, settled};

/// The scripts that place one call each, and who calls or is called, so that the calls can be told apart.
const CALLS: [(&str, &str); 13] = [
    ("answered", "+447700900201"),
    ("answered-agent-hangs-up", "+447700900202"),
    ("missed", "+447700900203"),
    ("busy", "+447700900204"),
    ("group-parallel", "+447700900205"),
    ("group-parallel-missed", "+447700900206"),
    ("group-serial", "+447700900207"),
    ("outbound", "+447700900208"),
    ("internal", "+447700900209"),
    ("hold", "+447700900210"),
    ("anonymous", "+447700900211"),
    ("transfer-blind", "+447700900212"),
    ("transfer-attended", "+447700900213"),
];
const WHILE_RESTARTED: &str = "+447700900214";

/// Everybody who may call has a contact: the mix draws its numbers from a seed, as it did for the recording.
fn everybody() -> People {
    let mut rows = table(&folder().join("kamailio-many.tsv"));
    let mut template = rows[0].clone();
    for (_, number) in CALLS.iter().chain([&("", WHILE_RESTARTED)]) {
        template.party = Some((*number).to_owned());
        rows.push(template.clone());
    }
    people(&rows)
}

async fn place(script: &str, environment: &[(&str, &str)], rows: &mut Vec<Row>) {
    for line in kamailio::place(script, environment).await {
        rows.push(line_of(rows.len() + 1, &line));
    }
}

async fn verdict(mirror: &Mirror, people: &People, rows: &[Row], stalls: &Stalls) {
    let expected = rows.iter().filter(|row| row.logged).count();
    comes(|| mirror.salesforce.rows("Task").len() >= expected).await;
    settled(&mirror.bridge).await;
    let scene = Scene { salesforce: &mirror.salesforce, screens: &mirror.screens, slack: ROUNDED + stalls.longest() };
    let faults = compare(&scene, rows, people).await;
    assert!(faults.is_empty(), "\n{}\n{rows:#?}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kamailio and sipp: see tests/rig/kamailio/README.md"]
async fn each_call_of_a_live_kamailio_is_one_task_and_its_pops() {
    let (people, stalls) = (everybody(), Stalls::watch());
    let mirror = Mirror::new(&KAMAILIO, &people.seed).await;
    let kamailio = Kamailio::start(mirror.port).await;
    let mut rows = Vec::new();
    for (script, number) in CALLS {
        let variable = match script {
            "internal" => None,
            "outbound" => Some(("DIAL", number)),
            _ => Some(("FROM", number)),
        };
        place(script, variable.as_slice(), &mut rows).await;
    }
    // The phones and the carrier live on when the proxy dies, and hang up through the new one.
    let talk = [("FROM", WHILE_RESTARTED), ("TALK", "6000")];
    let restart = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        kamailio.kill();
        Kamailio::start(mirror.port).await
    };
    let ((), kamailio) = tokio::join!(place("answered", &talk, &mut rows), restart);
    place("many", &[], &mut rows).await;
    verdict(&mirror, &people, &rows, &stalls).await;
    drop(kamailio);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kamailio and sipp: see tests/rig/kamailio/README.md"]
async fn a_live_kamailio_mirrors_over_tcp_just_as_well() {
    let (people, stalls) = (everybody(), Stalls::watch());
    let mirror = Mirror::new(&KAMAILIO, &people.seed).await;
    let kamailio = Kamailio::start_with(mirror.port, &[("HEP_TRANSPORT", ";transport=tcp")]).await;
    let mut rows = Vec::new();
    for (script, number) in [CALLS[0], CALLS[4], CALLS[11]] {
        place(script, &[("FROM", number)], &mut rows).await;
    }
    verdict(&mirror, &people, &rows, &stalls).await;
    drop(kamailio);
}
