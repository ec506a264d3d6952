//! `ctibridge check --online`: tries what the settings name, a line each with what to do.

use std::collections::BTreeSet;

use anyhow::bail;
use serde_json::Value as Json;

use crate::cli::daemon::{Daemon, DaemonError};
use crate::cli::{bar, output};
use crate::directory::Mode;
use crate::feeds;
use crate::salesforce::{Client, Error};
use crate::settings::Settings;
use crate::telemetry::Escaped;

/// Fields of the Task that ctibridge writes and an org may have taken from its user.
const TASK_FIELDS: [&str; 5] = ["CallType", "CallDurationInSeconds", "CallDisposition", "CallObject", "TaskSubtype"];

/// What was tried so far.
#[derive(Default)]
struct Report {
    failed: u32,
}

impl Report {
    fn tell(&mut self, what: &str, outcome: Result<String, String>) -> anyhow::Result<()> {
        match outcome {
            Ok(fine) => output::print(&format!("ok      {what}: {}", Escaped(&fine)))?,
            Err(wrong) => {
                self.failed += 1;
                output::print(&format!("FAILED  {what}: {}", Escaped(&wrong)))?;
            }
        }
        Ok(())
    }
}

/// # Errors
/// When something does not work; it has been told by then.
pub(super) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let mut report = Report::default();
    for feed in &settings.feeds {
        let outcome = match feed {
            feeds::Config::AsteriskAri(config) => feeds::asterisk::try_once(config).await,
        };
        report.tell(&format!("feed {}", feed.name()), outcome.map_err(|error| error.to_string()))?;
    }
    salesforce(settings, &mut report).await?;
    match report.failed {
        0 => Ok(()),
        1 => bail!("one thing does not work; its line says what to do"),
        failed => bail!("{failed} things do not work; their lines say what to do"),
    }
}

async fn salesforce(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let client = Client::new(&settings.salesforce)?;
    let version = client.api_version().await;
    let reached = version.is_ok();
    report.tell("Salesforce login", said(version.map(|version| format!("API {version}"))))?;
    if !reached {
        return Ok(());
    }
    report.tell(
        "Task status",
        said(client.closed_task_status().await.map(|status| format!("finished calls are {status}"))),
    )?;
    report.tell("Task fields", task_fields(&client, &settings.log.external_id_field).await)?;
    for object in &settings.directory.objects {
        report.tell(&format!("{object} phone fields"), phone_fields(&client, object).await)?;
    }
    if settings.directory.mode == Mode::Index {
        report.tell("local copy", local_copy(settings).await)?;
    }
    report.tell("agents", agents(&client, settings).await)?;
    report.tell("Salesforce API requests", Ok(budget(&client)))
}

/// How far the running daemon is with it.
async fn local_copy(settings: &Settings) -> Result<String, String> {
    let daemon = Daemon::new(settings).map_err(|error| error.to_string())?;
    let state = match daemon.get(&["directory"], &[]).await {
        Ok(state) => state,
        Err(DaemonError::NotRunning { .. }) => {
            return Ok("no daemon runs; `ctibridge sync` loads it, and so does the daemon".to_owned());
        }
        Err(error) => return Err(error.to_string()),
    };
    let number = |key: &str| state.get(key).and_then(Json::as_u64).unwrap_or_default();
    let text = |key: &str| state.get(key).and_then(Json::as_str).unwrap_or("never");
    if let Some(reason) = state.get("reason").and_then(Json::as_str) {
        return Err(reason.to_owned());
    }
    Ok(match text("phase") {
        "loading" => bar::drawn("loading", number("loaded"), number("of")),
        phase => format!("{phase}, {} phone numbers, up to date at {}", number("numbers"), text("synced_at")),
    })
}

fn said(outcome: Result<String, Error>) -> Result<String, String> {
    outcome.map_err(|error| error.to_string())
}

fn budget(client: &Client) -> String {
    match client.health().api_used {
        Some((used, allowed)) => format!("{used} of {allowed} used in the last 24 hours"),
        None => "Salesforce does not tell how many are left".to_owned(),
    }
}

async fn task_fields(client: &Client, external_id: &str) -> Result<String, String> {
    let fields = client.describe("Task").await.map_err(|error| error.to_string())?;
    let names: BTreeSet<String> = fields.iter().map(|field| field.name.to_ascii_lowercase()).collect();
    let wanted = TASK_FIELDS.into_iter().chain((!external_id.is_empty()).then_some(external_id));
    let missing: Vec<&str> = wanted.filter(|field| !names.contains(&field.to_ascii_lowercase())).collect();
    if missing.is_empty() {
        return Ok("all that are written can be seen".to_owned());
    }
    Err(format!(
        "the user of ctibridge cannot see {}; give it access in Setup, Object Manager, Activity, Fields",
        missing.join(", ")
    ))
}

async fn phone_fields(client: &Client, object: &str) -> Result<String, String> {
    let fields = client.describe(object).await.map_err(|error| error.to_string())?;
    let phones: Vec<&str> = fields
        .iter()
        .filter(|field| field.kind == "phone" && field.name != "Fax")
        .map(|field| field.name.as_str())
        .collect();
    if phones.is_empty() {
        return Err("none can be seen; give the user of ctibridge access to them".to_owned());
    }
    Ok(phones.join(", "))
}

async fn agents(client: &Client, settings: &Settings) -> Result<String, String> {
    let users = client.users().await.map_err(|error| error.to_string())?;
    let known = |agent: &&crate::pops::Agent| {
        users.iter().any(|user| {
            let named = user.username == agent.salesforce_user || user.id.as_str() == agent.salesforce_user;
            let by_extension = user.extension.as_deref() == Some(&agent.extension);
            if agent.salesforce_user.is_empty() { settings.agents.match_user_extension && by_extension } else { named }
        })
    };
    let (mapped, unmapped): (Vec<_>, Vec<_>) = settings.agent_list.iter().partition(known);
    if settings.agent_list.is_empty() && settings.agents.match_user_extension {
        let extensions = users.iter().filter(|user| user.extension.as_ref().is_some_and(|it| !it.is_empty())).count();
        return Ok(format!("{extensions} active Salesforce users have an extension"));
    }
    if unmapped.is_empty() {
        return Ok(format!("{} of {} have a Salesforce user", mapped.len(), settings.agent_list.len()));
    }
    let extensions: Vec<&str> = unmapped.iter().map(|agent| agent.extension.as_str()).collect();
    Err(format!(
        "no active Salesforce user for {}; set the user's Extension in Salesforce, or salesforce_user in [[agent]]",
        extensions.join(", ")
    ))
}
