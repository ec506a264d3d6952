//! `ctibridge agent-token`: a token for an agent, printed once.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value as Json;

use super::daemon::{Daemon, DaemonError};
use super::{Context, output};
use crate::calls::record::Extension;
use crate::pops::AgentStore;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::state_file;

/// Held while the tokens are changed, so that two of these commands do not undo each other's.
const LOCK: &str = "agent-tokens.lock";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The agent's extension; an older token of the agent's ends
    #[arg(value_parser = extension)]
    extension: String,
}

fn extension(text: &str) -> Result<String, &'static str> {
    let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if fits && (1..=20).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err("an extension is 1 to 20 letters, digits, - and _")
    }
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let extension = &args.extension;
    let settings = context.settings()?;
    let token = match by_daemon(&settings, extension).await {
        Ok(token) => token,
        Err(DaemonError::NotRunning { .. }) => by_hand(&settings, extension)?,
        Err(DaemonError::Other(error)) => return Err(error),
    };
    output::complain(&format!("the token of agent {extension}; it is not shown again:"));
    output::print(token.expose())?;
    Ok(())
}

async fn by_daemon(settings: &Settings, extension: &str) -> Result<Secret, DaemonError> {
    let daemon = Daemon::new(settings)?;
    let answer = daemon.post(&["agents", extension, "token"], &[]).await?;
    let token = answer.get("token").and_then(Json::as_str);
    let token = token.context("the daemon answered without a token; is it ctibridge?")?;
    Ok(Secret::new(token))
}

/// No daemon runs: the store is written here, and the daemon reads it when it starts.
fn by_hand(settings: &Settings, extension: &str) -> anyhow::Result<Secret> {
    let mut agents = settings.agent_list.iter();
    let known = agents.any(|agent| agent.extension == extension);
    if !known && !settings.agents.match_user_extension {
        bail!("no agent has the extension {extension}; add an [[agent]] to the settings");
    }
    let folder = settings.bridge.state_dir();
    if !folder.is_dir() {
        bail!("the state folder {} is not there; start ctibridge once, or make it", folder.display());
    }
    let _locked = lock(folder)?;
    let store = AgentStore::open(folder, &settings.agent_list)?;
    store
        .make_token(&Extension(extension.to_owned()))
        .context("the token cannot be kept; run this as root or as the daemon's user")
}

/// Held until it is dropped.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join(LOCK);
    let lock = state_file::lock_file(&path)
        .with_context(|| format!("cannot write {}; run this as root or as the daemon's user", path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(lock)
}
