//! `ctibridge sync`: brings the local copy of the org's phone numbers up to date now.

use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde_json::Value as Json;

use super::bar::Bar;
use super::daemon::{Daemon, DaemonError};
use super::{Context, assemble, output};
use crate::bridge;
use crate::directory::sync::Status;
use crate::settings::Settings;
use crate::telemetry::Escaped;

/// How often the daemon is asked how far it is.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also compare all rows, which costs about as many API calls as the first load
    #[arg(long)]
    compare: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let settings = context.settings()?;
    match by_daemon(args, &Daemon::new(&settings)?).await {
        Err(DaemonError::NotRunning { .. }) => alone(args, &settings).await,
        done => Ok(done?),
    }
}

async fn by_daemon(args: &Args, daemon: &Daemon) -> Result<(), DaemonError> {
    let began = Timestamp::now();
    let compare = if args.compare { "true" } else { "false" };
    let mut state = daemon.post(&["directory", "sync"], &[("compare", compare)]).await?;
    let mut bar = Bar::new();
    loop {
        let number = |key: &str| state.get(key).and_then(Json::as_u64).unwrap_or_default();
        let text = |key: &str| state.get(key).and_then(Json::as_str);
        if text("phase") == Some("loading") {
            bar.show("loading", number("loaded"), number("of"));
        }
        let synced = text("synced_at").and_then(|at| at.parse::<Timestamp>().ok());
        if number("readings") == 0 && synced.is_some_and(|at| at >= began) {
            bar.end();
            return Ok(tell(number("numbers"))?);
        }
        if let Some(reason) = text("reason") {
            bar.end();
            return Err(anyhow::anyhow!("{}", Escaped(reason)).into());
        }
        tokio::time::sleep(LOOK).await;
        state = daemon.get(&["directory"], &[]).await?;
    }
}

/// As the daemon would, while none runs.
async fn alone(args: &Args, settings: &Settings) -> anyhow::Result<()> {
    let config = assemble::bridge_config(settings)?;
    let Some(mut copy) = bridge::LocalCopy::take(&config).await? else {
        bail!("there is no local copy: `directory.mode` is \"live\"; set it to \"index\" to have one");
    };
    let bar = std::cell::RefCell::new(Bar::new());
    let told = |status: &Status| {
        if status.of > 0 {
            bar.borrow_mut().show("loading", status.loaded, status.of);
        }
    };
    let outcome = copy.bring_up_to_date(args.compare, told).await;
    bar.borrow_mut().end();
    for (object, why) in copy.unreadable() {
        output::complain(&format!("warning: {object}: {why}"));
    }
    outcome.context(
        "the local copy cannot be brought up to date; what was loaded is kept, and the next run goes on there",
    )?;
    tell(copy.numbers())?;
    Ok(())
}

fn tell(numbers: u64) -> anyhow::Result<()> {
    output::print(&format!("up to date: {numbers} phone numbers"))?;
    Ok(())
}
