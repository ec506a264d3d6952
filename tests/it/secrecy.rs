//! What is secret or somebody's own is in no log, no error and no answer that is not for it: a whole run is searched for it.

use std::process::Command;

use ctibridge::sim::pbx::{Caller, Script};
use ctibridge::sim::{Credentials, Fault, FaultKind, Knobs};

use crate::support::process::TOKEN;
use crate::support::site::{Site, erika, short_call};
use crate::support::world::http;

/// What a caller and a contact are known by.
const PEOPLE: [&str; 7] = ["Muster", "Zweitname", "Geheimrat", "Anrufer", "3023125444", "3023125777", "1515550123"];

/// What a write may meet; those after which the bridge rests for minutes come last, by themselves.
const FAULTS: [FaultKind; 9] = [
    FaultKind::Http503,
    FaultKind::Html502,
    FaultKind::LockRow,
    FaultKind::CommitThenDrop,
    FaultKind::CommitThenHang,
    FaultKind::LateCommit,
    FaultKind::LostRace,
    FaultKind::Drop,
    FaultKind::Hang,
];

/// Anything that the daemon tells those who are not the agent on the call.
async fn told(site: &Site) -> Vec<(String, String)> {
    let base = site.daemon.base();
    let mut told = Vec::new();
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/openapi.json",
        "/api/v1/lookup?number=%2B493023125444",
        "/api/v1/calls",
        "/api/v1/journal",
        "/api/v1/nothing?number=%2B493023125444",
        "/details?number=%2B493023125444",
        "/",
    ] {
        let answer = http().get(format!("{base}{path}")).send().await.unwrap();
        told.push((path.to_owned(), format!("{:?}\n{}", answer.headers().clone(), answer.text().await.unwrap())));
    }
    for (path, body) in [
        ("/session", "token=not-a-token"),
        ("/api/v1/calls/hq-pbx1-1/notes", "{\"notes\":\"Geheimrat\""),
        ("/api/v1/salesforce/grant", "{\"refresh_token\":\"5Aep861Geheimrat\"}"),
    ] {
        let method = if path.ends_with("grant") { reqwest::Method::PUT } else { reqwest::Method::POST };
        let answer =
            http().request(method, format!("{base}{path}")).bearer_auth(TOKEN).body(body).send().await.unwrap();
        told.push((path.to_owned(), format!("{:?}\n{}", answer.headers().clone(), answer.text().await.unwrap())));
    }
    told
}

/// All that a run brings forth, with secrets in every place where they can be; `flow` stands in `[salesforce]`.
async fn run(level: &str, flow: impl FnOnce(&Credentials) -> String) -> (Vec<(String, String)>, Vec<String>) {
    let mut site = Site::new(|settings| {
        let settings = settings.replace("password = \"secret\"", "password = \"the-ari-password\"");
        settings.replace("[log]", "details_link = \"\"\n[log]\nsettle_after = \"1s\"")
    })
    .await;
    let secrets = site.salesforce.credentials();
    site.daemon.edit(|settings| settings.replace("details_link", &format!("{}\ndetails_link", flow(&secrets))));
    site.asterisk.stop().await;
    site.daemon.log_at(level);
    site.daemon.start();
    site.daemon.logged("check `url`").await;
    site.asterisk.restart().await.unwrap();
    // Wrong at first, so that the refusal is told, too.
    site.daemon.logged("check `username` and `password`").await;
    site.daemon.edit(|settings| settings.replace("the-ari-password", "secret"));
    site.daemon.stop().await;
    site.daemon.start();
    site.daemon.ready().await;

    let named = Caller::new("+491515550123", "Anrufer Geheimrat");
    for caller in [erika(), named.clone()] {
        site.play(&short_call(&caller)).await;
    }
    site.play(
        &Script::outbound("101", "+493023125444").ring_outside().after(30).answer_outside().talk(30).hangup_by_callee(),
    )
    .await;
    site.tasks(3).await;
    site.salesforce.fail_next(Fault::new(FaultKind::SessionExpired));
    site.salesforce.fail_next(Fault::new(FaultKind::Html502).on("search"));
    site.play(&short_call(&Caller::new("+493023125777", "Zweitname"))).await;
    site.tasks(4).await;
    let mut count = 4;
    for kind in FAULTS {
        site.salesforce.fail_next(Fault::new(kind).on("composite/sobjects").for_ms(300));
        site.play(&short_call(&named)).await;
        count += 1;
        site.tasks(count).await;
    }
    // Salesforce's refusal repeats the subject, with the name in it.
    site.salesforce.set(|knobs| knobs.subject_length = 10);
    site.play(&short_call(&erika())).await;
    site.tasks(count + 1).await;
    site.salesforce.set(|knobs| "Muster must not be called on +493023125444".clone_into(&mut knobs.task_validation));
    site.play(&short_call(&named)).await;
    site.daemon.until("/readyz", "a parked call", |_, body| body["journal"]["parked"] == 1).await;
    site.salesforce.set(|knobs| *knobs = Knobs::default());
    for (error, description) in
        [("invalid_grant", "Erika Muster +493023125444 has no access"), ("something_new", "Muster <+493023125444>")]
    {
        site.salesforce.set(|knobs| {
            let (error, description) = (error.to_owned(), description.to_owned());
            knobs.deny_login = Some(ctibridge::sim::Denial { error, description });
        });
        site.salesforce.revoke_sessions();
        site.play(&short_call(&erika())).await;
        site.daemon.ask("/api/v1/lookup?number=%2B491515550999").await;
        let degraded = |_, body: &serde_json::Value| body["degraded"] == serde_json::json!(["salesforce"]);
        site.daemon.until("/readyz", "the trouble", degraded).await;
    }
    site.waiting(2).await;
    let mut told = told(&site).await;
    let checked = Command::new(env!("CARGO_BIN_EXE_ctibridge"))
        .args(["check", "--online", "--no-wait", "--log", level, "--config"])
        .arg(site.daemon.settings_file())
        .env_clear()
        .output();
    let checked = checked.unwrap();
    told.push(("check".to_owned(), String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned()));
    site.daemon.stop().await;
    told.push(("log".to_owned(), site.daemon.log()));
    let secrets = [
        secrets.client_secret,
        secrets.password,
        secrets.security_token,
        TOKEN.to_owned(),
        "the-ari-password".to_owned(),
    ];
    (told, secrets.to_vec())
}

fn assert_silent(told: &[(String, String)], hidden: &[String]) {
    for (place, text) in told {
        for word in hidden {
            let line = text.lines().find(|line| line.contains(word.as_str()));
            assert!(line.is_none(), "{word} in {place}: {}", line.unwrap_or_default());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_at_the_usual_level_names_nobody_and_betrays_nothing() {
    let (told, mut hidden) = run("info", |_| String::new()).await;
    assert!(told.iter().any(|(place, text)| place == "log" && text.contains("INFO") && text.len() > 500));
    hidden.extend(PEOPLE.map(str::to_owned));
    assert_silent(&told, &hidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_looked_into_names_nobody_and_betrays_nothing() {
    let password = |known: &Credentials| {
        let (name, password, token) = (&known.username, &known.password, &known.security_token);
        format!("flow = \"password\"\nusername = \"{name}\"\npassword = \"{password}\"\nsecurity_token = \"{token}\"")
    };
    let (told, mut hidden) = run("debug", password).await;
    assert!(told.iter().any(|(place, text)| place == "log" && text.contains("DEBUG")));
    hidden.extend(PEOPLE.map(str::to_owned));
    // The start of every access token and of every assertion.
    hidden.extend(["!AQ".to_owned(), "eyJ".to_owned()]);
    assert_silent(&told, &hidden);
}
