//! The bridge watches the extensions of a live Kamailio: what comes of the calls is what the rig says that it placed.

use std::time::Duration;

use ctibridge::feeds::{self, sip_dialog};
use ctibridge::secret::Secret;

use super::kamailio::{self, Kamailio, SIP};
use super::stalls::Stalls;
use super::support::mirror::{KAMAILIO, Mirror};
use super::support::people::people;
use super::support::truth::{Row, line_of};
use super::support::verdict::{ROUNDED, Scene, compare};
use super::support::world::{comes, settled};

const CALLS: [(&str, &str); 13] = [
    ("answered", "+447700900301"),
    ("answered-agent-hangs-up", "+447700900302"),
    ("missed", "+447700900303"),
    ("busy", "+447700900304"),
    ("group-parallel", "+447700900305"),
    ("group-parallel-missed", "+447700900306"),
    ("group-serial", "+447700900307"),
    ("outbound", "+447700900308"),
    ("internal", "+447700900309"),
    ("hold", "+447700900310"),
    ("anonymous", "+447700900311"),
    ("transfer-blind", "+447700900312"),
    ("transfer-attended", "+447700900313"),
];
const AFTER_RESTART: &str = "+447700900314";
/// Longer than between two keep-alives, by which it shows that nothing listens any more. A shorter absence leaves no trace on UDP
/// until the next refresh.
const NOTICED: Duration = Duration::from_secs(35);
/// Longer than the longest wait between two tries.
const TRIED_AGAIN: Duration = Duration::from_secs(15);

fn watching(transport: &str) -> feeds::Config {
    feeds::Config::SipDialog(sip_dialog::Config {
        name: "pbx1".to_owned(),
        server: format!("sip:{SIP};transport={transport}"),
        domain: "pbx.example".to_owned(),
        username: "cti".to_owned(),
        password: Secret::new("ctisecret"),
        extensions: Vec::new(),
        list: String::new(),
        same_pbx_as: String::new(),
        ca_file: String::new(),
        insecure: false,
    })
}

async fn place(script: &str, number: &str, rows: &mut Vec<Row>) {
    let variable = match script {
        "internal" => None,
        "outbound" => Some(("DIAL", number)),
        _ => Some(("FROM", number)),
    };
    for line in kamailio::place(script, variable.as_slice()).await {
        let mut row = line_of(rows.len() + 1, &line);
        if script.starts_with("group") {
            // All members are told to be confirmed: who answered is not told.
            row.owner = None;
        }
        rows.push(row);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kamailio and sipp: see tests/rig/kamailio/README.md"]
async fn each_call_of_a_live_kamailio_is_seen_by_subscription_over_udp() {
    subscribe_over("udp").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kamailio and sipp: see tests/rig/kamailio/README.md"]
async fn each_call_of_a_live_kamailio_is_seen_by_subscription_over_tcp() {
    subscribe_over("tcp").await;
}

async fn subscribe_over(transport: &str) {
    let stalls = Stalls::watch();
    let mut rows = Vec::new();
    let known =
        |number: &str| line_of(1, &format!("answered\t{number}\t+441134960201\t201\t201\t1\t1\tcaller-hangs-up"));
    let all: Vec<Row> = CALLS.iter().map(|(_, number)| known(number)).chain([known(AFTER_RESTART)]).collect();
    let people = people(&all);
    let kamailio = Kamailio::start(9).await;
    let bridge = Mirror::with(&KAMAILIO, &people.seed, |config| config.feeds = vec![watching(transport)]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (script, number) in CALLS {
        place(script, number, &mut rows).await;
    }
    kamailio.kill();
    tokio::time::sleep(NOTICED).await;
    let kamailio = Kamailio::start(9).await;
    tokio::time::sleep(TRIED_AGAIN).await;
    place("answered", AFTER_RESTART, &mut rows).await;
    let expected = rows.iter().filter(|row| row.logged).count();
    comes(|| bridge.salesforce.rows("Task").len() >= expected).await;
    settled(&bridge.bridge).await;
    let scene = Scene { salesforce: &bridge.salesforce, screens: &bridge.screens, slack: ROUNDED + stalls.longest() };
    let faults = compare(&scene, &rows, &people).await;
    assert!(faults.is_empty(), "\n{}\n{rows:#?}", faults.join("\n"));
    drop(kamailio);
}
