//! `ctibridge check`: what is wrong with the settings.

mod online;

use super::exit::SettingsAreWrong;
use super::{Context, output};
use crate::settings::{DEFAULT_FILE, Settings};
use crate::telemetry::Escaped;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also try every feed, the login, the permissions, the fields and the limits
    #[arg(long)]
    online: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let file = context.global.config.as_deref();
    let (settings, warnings) = match Settings::load(file) {
        Ok(loaded) => loaded,
        Err(problems) => {
            problems.warnings.iter().for_each(warn);
            output::complain(&problems.to_string());
            return Err(SettingsAreWrong.into());
        }
    };
    warnings.iter().for_each(warn);
    let name = file.map_or(DEFAULT_FILE.into(), |file| file.to_string_lossy());
    let (feeds, agents) = (settings.feeds.len(), settings.agent_list.len());
    output::print(&format!("{}: ok; feeds: {feeds}, agents: {agents}", Escaped(&name)))?;
    if args.online {
        online::run(&settings).await?;
    }
    Ok(())
}

fn warn(warning: &crate::settings::Warning) {
    output::complain(&format!("warning: {warning}"));
}
