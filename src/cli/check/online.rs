//! `ctibridge check --online`: tries what the settings name, a line each with what to do.

use std::time::Duration;

use serde_json::Value as Json;

use super::report::{Finding, Report};
use super::{agents, copy, fields};
use crate::calls::record::Extension;
use crate::cli::active::until_known;
use crate::cli::daemon::Daemon;
use crate::directory::Mode;
use crate::feeds;
use crate::salesforce::{Allowance, Client, Error};
use crate::settings::Settings;

/// `wait`: for an app that Salesforce does not know yet.
pub(super) async fn run(settings: &Settings, wait: bool, report: &mut Report) -> anyhow::Result<()> {
    let agents: Vec<_> = settings.agent_list.iter().map(|agent| Extension(agent.extension.clone())).collect();
    let running = running(settings).await;
    for feed in &settings.feeds {
        let outcome = match feed {
            feeds::Config::AsteriskAri(config) => {
                feeds::asterisk::try_once(config).await.map_err(|error| error.to_string())
            }
            feeds::Config::SipDialog(config) => {
                feeds::sip_dialog::try_once(config, &agents).await.map_err(|error| error.to_string())
            }
            // Its sockets are the running bridge's.
            feeds::Config::Hep(config) if is_run(running.as_ref(), &config.name) => {
                Ok("the bridge that runs listens".to_owned())
            }
            feeds::Config::Hep(config) => feeds::hep::try_once(config).await,
        };
        report.tell(&format!("feed {}", feed.name()), outcome.into())?;
    }
    let client = Client::with_state(&settings.salesforce, settings.bridge.state_dir())?;
    let login = until_known(wait, || client.login_again()).await;
    if let Err(error) = login {
        return report.tell("Salesforce login", Finding::Failed(error.to_string()));
    }
    let version = client.api_version().await;
    let spoken = version.is_ok();
    report.tell("Salesforce login", who(&client).await.into())?;
    report.tell("API version", version.into())?;
    if spoken {
        salesforce(&client, settings, report).await?;
    }
    Ok(())
}

async fn salesforce(client: &Client, settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let limits = client.limits().await;
    if let Some(error) = limits.as_ref().err().filter(|error| error.code().is_none()) {
        return report.tell("API calls", Finding::Failed(error.to_string()));
    }
    let status = client.closed_task_status().await.map(|status| format!("finished calls are {status}"));
    report.tell("Task status", status.into())?;
    let task = client.columns("Task").await;
    report.tell("Task fields", fields::written(&task))?;
    report.tell("Task key", fields::key(&task, &settings.log.external_id_field))?;
    report.tell("Task templates", fields::templates(&task, &settings.log))?;
    for object in &settings.directory.objects {
        report.tell(&format!("{object} phone fields"), fields::phones(client, object).await.into())?;
    }
    for object in &settings.directory.custom_objects {
        report.tell(&format!("{} fields", object.name), fields::custom(client, object).await.into())?;
    }
    if settings.directory.mode == Mode::Index {
        report.tell("local copy", copy::state(settings).await.into())?;
    }
    report.tell("agents", agents::mapped(client, settings).await)?;
    // Not every user may see the limits; each answer tells of the calls, too.
    match limits.ok().or(client.health().api_used) {
        Some(limits) => report.tell("API calls", budget(limits, settings).await),
        None => {
            let what = "not told; with View Setup and Configuration the user of ctibridge may see them (Setup: Permission Sets, \
                        System Permissions)";
            report.tell("API calls", Finding::Note(what.to_owned()))
        }
    }
}

async fn who(client: &Client) -> Result<String, Error> {
    let user = client.login_user().await?;
    // A user who may not read users may still do all the rest.
    let name = client.username(&user).await.ok().flatten().unwrap_or_else(|| user.to_string());
    Ok(format!("as {name} in {}", client.instance_url().unwrap_or_default()))
}

/// What `/readyz` of the bridge says, if one runs.
async fn running(settings: &Settings) -> Option<Json> {
    Daemon::new(settings).ok()?.readiness().await
}

fn is_run(readiness: Option<&Json>, feed: &str) -> bool {
    let feeds = readiness.and_then(|it| it.get("feeds")).and_then(Json::as_array);
    feeds.is_some_and(|feeds| feeds.iter().any(|it| it.get("name").and_then(Json::as_str) == Some(feed)))
}

/// Used, left, and what the running bridge spends.
async fn budget((used, allowed): (u64, u64), settings: &Settings) -> Finding {
    let left = allowed.saturating_sub(used);
    let own = own(running(settings).await.as_ref());
    let text = format!("{used} of {allowed} used in the last 24 hours, {left} left; {own}");
    match Allowance::of(used, allowed) {
        Allowance::All => Finding::Ok(text),
        Allowance::FewerPolls => Finding::Note(format!("{text}. Above 70 % ctibridge asks less often for changes")),
        Allowance::NoPolls => Finding::Note(format!("{text}. Above 90 % ctibridge does not ask for changes")),
        Allowance::TasksOnly | Allowance::Nothing => Finding::Failed(format!(
            "{text}. Above 97 % ctibridge writes Tasks and looks nobody up; find what uses them (Setup: System Overview, API \
             Usage), or ask Salesforce for more"
        )),
    }
}

/// Before, what a start costs would be taken for what each minute costs.
const SETTLED: Duration = Duration::from_hours(1);

fn own(readiness: Option<&Json>) -> String {
    let number = |name: &str| readiness?.get("salesforce")?.get(name)?.as_u64();
    let (Some(calls), Some(seconds)) = (number("own_calls"), number("own_calls_over")) else {
        return "ctibridge does not run, so that what it spends is not known".to_owned();
    };
    let over = Duration::from_secs(seconds);
    if over >= Duration::from_hours(24) {
        return format!("ctibridge itself spent {calls} of them");
    }
    if over < SETTLED {
        return format!("ctibridge itself spent {calls} since its start, the first load included");
    }
    let minutes = seconds.div_ceil(60);
    let a_day = calls.saturating_mul(24 * 60) / minutes;
    format!("ctibridge itself spent {calls} in its first {minutes} minutes, which would be {a_day} a day")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_bridge_spends_is_told_by_the_day() {
        let spent =
            |calls: u64, over: u64| own(Some(&json!({ "salesforce": { "own_calls": calls, "own_calls_over": over } })));
        assert_eq!(spent(1312, 86_400), "ctibridge itself spent 1312 of them");
        assert_eq!(
            spent(120, 3 * 3600),
            "ctibridge itself spent 120 in its first 180 minutes, which would be 960 a day"
        );
        assert_eq!(spent(18, 16), "ctibridge itself spent 18 since its start, the first load included");
        assert!(own(None).contains("does not run"));
        assert!(own(Some(&json!({}))).contains("does not run"));
    }
}
