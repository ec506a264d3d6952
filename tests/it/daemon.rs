//! The daemon as its operator meets it: signals, a second one, settings that are broken, and what may not be in its log.

use std::collections::BTreeMap;
use std::process::Command;

use ctibridge::sim::pbx::Script;
use serde_json::{Value, json};

use crate::support::site::{Site, erika, first, short_call, text};
use crate::support::world::wait;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_bridge_on_the_same_state_folder_refuses_with_a_clear_message() {
    let site = Site::up().await;
    let output = site.daemon.rival();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another ctibridge uses this state folder"), "{said}");
    site.play(&short_call(&erika())).await;
    site.tasks(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_with_calls_open_it_takes_them_up_again() {
    let mut site = Site::up().await;
    let ends_meanwhile = site.begin(&short_call(&erika()), 45).await;
    let goes_on = site.begin(&short_call(&ctibridge::sim::pbx::Caller::new("+493023125987", "")), 45).await;
    site.daemon
        .until("/api/v1/calls", "both calls", |_, body| {
            body["calls"]
                .as_array()
                .is_some_and(|calls| calls.iter().filter(|it| it["state"] == "answered").count() == 2)
        })
        .await;
    assert!(site.daemon.stop().await.success());
    site.go_on(&ends_meanwhile).await;
    site.daemon.start();
    site.daemon.ready().await;
    site.go_on(&goes_on).await;
    let tasks = site.tasks(2).await;
    let estimated: Vec<bool> =
        tasks.iter().map(|task| text(task, "Description").contains("The end is estimated")).collect();
    assert_eq!(estimated.iter().filter(|it| **it).count(), 1, "{tasks:#?}");
    assert!(tasks.iter().all(|task| text(task, "CallDisposition") == "Answered"), "{tasks:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_order_while_salesforce_does_not_answer() {
    let mut site = Site::up().await;
    site.salesforce.set(|knobs| knobs.latency_ms = 60_000);
    let screen = site.daemon.screen("101").opened().await;
    let rest = site.begin(&short_call(&erika()), 45).await;
    first(&screen, "pop").await;
    assert!(site.daemon.stop().await.success(), "{}", site.daemon.log());
    site.salesforce.set(|knobs| knobs.latency_ms = 0);
    site.daemon.start();
    site.daemon.ready().await;
    site.go_on(&rest).await;
    site.tasks(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_settings_leave_the_running_ones_in_force() {
    let site = Site::up().await;
    let good = std::fs::read_to_string(site.daemon.settings_file()).unwrap();
    for broken in ["[log]\nsubject = ", "[log]\nsubjekt = \"x\"", "[log]\nsubject = \"{{ no such }}\""] {
        let before = site.daemon.log().matches("the running ones stay in force").count();
        site.daemon.edit(|_| good.replace("[log]", broken));
        site.daemon.signal("HUP");
        wait("the refusal", || site.daemon.log().matches("the running ones stay in force").count() > before).await;
    }
    site.play(&short_call(&erika())).await;
    assert_eq!(text(&site.tasks(1).await[0], "Subject"), "Inbound call from Muster");

    site.daemon.edit(|_| good.replace("[log]", "[log]\nsubject = \"Call: {{ caller }}\""));
    site.daemon.signal("HUP");
    site.daemon.logged("the settings are reloaded").await;
    site.play(&short_call(&erika())).await;
    let tasks = site.tasks(2).await;
    assert!(tasks.iter().any(|task| text(task, "Subject") == "Call: Muster"), "{tasks:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_daemon_a_look_up_answers_from_the_saved_copy_and_leaves_the_folder_alone() {
    let mut site = Site::up().await;
    site.daemon.until("/readyz", "the copy", |_, body| body["directory"]["synced_at"].is_string()).await;
    assert!(site.daemon.stop().await.success());
    site.salesforce.set(|knobs| knobs.down = true);
    let folder = site.daemon.database().parent().unwrap().to_owned();
    let files = || {
        let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap());
        files.map(|file| (file.file_name(), file.metadata().unwrap().modified().unwrap())).collect::<BTreeMap<_, _>>()
    };
    let before = files();
    for (ignored, source, names) in [("[]", "index", &["Muster"][..]), ("[\"+4930*\"]", "none", &[])] {
        let mut look_up = Command::new(env!("CARGO_BIN_EXE_ctibridge"));
        look_up.args(["lookup", "--json", "+493023125444", "--config"]).arg(site.daemon.settings_file());
        let output = look_up.env("CTIBRIDGE__BRIDGE__IGNORE_NUMBERS", ignored).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let found: Vec<&str> =
            answer["matches"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!((answer["source"].as_str().unwrap(), &found[..]), (source, names));
    }
    assert_eq!(files(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_number_is_nowhere() {
    let site = Site::up().await;
    let screen = site.daemon.screen("101").opened().await;
    let script = Script::inbound_private(&erika(), "+493023125101").ring(&["101"]).after(50).answer("101");
    site.play(&script.talk(50).hangup_by_caller()).await;
    let task = site.tasks(1).await;
    wait("the end", || screen.events().iter().any(|event| event.data["state"] == "ended")).await;
    let pop = first(&screen, "pop").await;
    assert_eq!(pop.data["caller"], json!({ "e164": null, "display": "withheld", "name": null }));
    let mut told = vec![format!("{task:?}"), format!("{:?}", screen.events()), site.daemon.log()];
    for path in ["/api/v1/calls", "/api/v1/journal?state=all", "/api/v1/journal/1", "/readyz"] {
        told.push(site.daemon.ask(path).await.unwrap().1.to_string());
    }
    let journal = std::fs::read(site.daemon.database()).unwrap();
    told.push(String::from_utf8_lossy(&journal).into_owned());
    for text in told {
        assert!(!text.contains("23125444") && !text.contains("Muster"), "{text}");
    }
}
