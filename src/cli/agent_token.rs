//! `ctibridge agent-token`: a token for an agent, printed once.

use anyhow::{Context as _, bail};
use serde_json::Value as Json;

use super::daemon::{Daemon, DaemonError};
use super::token_store::TokenStore;
use super::{Context, output};
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The agent's extension; an older token of the agent's ends
    extension: String,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let extension = &args.extension;
    if extension.is_empty() || !extension.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        bail!("an extension is made of letters, digits, - and _");
    }
    let settings = context.settings()?;
    let token = match by_daemon(&settings, extension).await {
        Ok(token) => token,
        Err(DaemonError::NotRunning { .. }) => by_hand(&settings, extension)?,
        Err(DaemonError::Other(error)) => return Err(error),
    };
    output::complain(&format!("the token of agent {extension}; it is not shown again:"));
    output::print(&token)?;
    Ok(())
}

async fn by_daemon(settings: &Settings, extension: &str) -> Result<String, DaemonError> {
    // A port that nobody can know is nobody's.
    let daemon = Daemon::new(settings)?;
    let answer = daemon.post(&["agents", extension, "token"]).await?;
    let token = answer.get("token").and_then(Json::as_str);
    Ok(token.context("the daemon answered without a token; is it ctibridge?")?.to_owned())
}

/// No daemon runs: the store is written here, and the daemon reads it when it starts.
fn by_hand(settings: &Settings, extension: &str) -> anyhow::Result<String> {
    let agent = settings.agent_list.iter().find(|agent| agent.extension == extension);
    match agent {
        Some(agent) if !agent.token_sha256.is_empty() => {
            bail!(
                "agent {extension} has token_sha256 in the settings, which wins over the store; remove it there first"
            )
        }
        None if !settings.agents.match_user_extension => {
            bail!("no agent has the extension {extension}; add an [[agent]] to the settings")
        }
        Some(_) | None => TokenStore::in_folder(settings.bridge.state_dir()).renew(extension),
    }
}
