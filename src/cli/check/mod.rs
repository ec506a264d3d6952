//! `ctibridge check`: what is wrong with the settings.

mod agents;
mod copy;
mod fields;
mod online;
mod report;

use anyhow::bail;
use serde_json::{Value as Json, json};

use self::report::Report;
use super::exit::SettingsAreWrong;
use super::{Context, output};
use crate::settings::{DEFAULT_FILE, Settings};
use crate::telemetry::Escaped;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also try every feed, the login, the permissions, the fields and the limits
    #[arg(long)]
    online: bool,
    /// All that was found as JSON
    #[arg(long)]
    json: bool,
    /// Do not wait for an app that Salesforce does not know yet
    #[arg(long, requires = "online")]
    no_wait: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let file = context.global.config.as_deref();
    let name = file.map_or(DEFAULT_FILE.into(), |file| file.to_string_lossy());
    let (settings, warnings) = match Settings::load(file) {
        Ok(loaded) => loaded,
        Err(problems) if args.json => {
            let wrong: Vec<String> = problems.problems.iter().map(ToString::to_string).collect();
            let warnings: Vec<String> = problems.warnings.iter().map(ToString::to_string).collect();
            output::print_json(&json!({ "file": name, "ok": false, "problems": wrong, "warnings": warnings }))?;
            return Err(SettingsAreWrong.into());
        }
        Err(problems) => {
            problems.warnings.iter().for_each(warn);
            output::complain(&problems.to_string());
            return Err(SettingsAreWrong.into());
        }
    };
    let (feeds, agents) = (settings.feeds.len(), settings.agent_list.len());
    if !args.json {
        warnings.iter().for_each(warn);
        output::print(&format!("{}: ok; feeds: {feeds}, agents: {agents}", Escaped(&name)))?;
    }
    let mut report = Report::new(args.json);
    if args.online {
        online::run(&settings, !args.no_wait, &mut report).await?;
    }
    let failed = report.failed();
    if args.json {
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        let checks: Vec<Json> = report.into_lines();
        let ok = failed == 0;
        let told =
            json!({ "file": name, "ok": ok, "feeds": feeds, "agents": agents, "warnings": warnings, "checks": checks });
        output::print_json(&told)?;
    }
    match failed {
        0 => Ok(()),
        1 => bail!("one thing does not work; its line says what to do"),
        failed => bail!("{failed} things do not work; their lines say what to do"),
    }
}

fn warn(warning: &crate::settings::Warning) {
    output::complain(&format!("warning: {warning}"));
}
