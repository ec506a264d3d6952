//! `ctibridge demo`: a pretend phone system, a pretend Salesforce and the bridge in one process.

mod narrator;
mod stage;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, output};
use crate::sim::pbx::player::Player;
use crate::sim::story;
use narrator::Narrator;
use stage::Stage;

/// After the last call: long enough for its Task to be written.
const CURTAIN: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the agent page is served [default: 127.0.0.1:8460]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Play a short set of calls, print what was popped and logged, and end
    #[arg(long)]
    pub once: bool,
}

pub(super) async fn run(args: Args, _context: Context) -> anyhow::Result<()> {
    let stage = Stage::build(args.listen, args.once).await?;
    let narrator = Narrator::of(&stage);
    output::print(&stage.welcome()?)?;
    let played = tokio::select! {
        played = play(&stage, &narrator, args.once) => played,
        asked = asked_to_end() => asked,
    };
    stage.clear().await;
    played
}

async fn play(stage: &Stage, narrator: &Narrator, is_once: bool) -> anyhow::Result<()> {
    if is_once { once(stage, narrator).await } else { endlessly(stage).await }
}

/// By Ctrl-C or as a service manager does.
async fn asked_to_end() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    tokio::select! {
        asked = tokio::signal::ctrl_c() => asked.context("cannot listen for signals"),
        _ = terminate.recv() => Ok(()),
    }
}

async fn once(stage: &Stage, narrator: &Narrator) -> anyhow::Result<()> {
    let mut player = Player::new(stage.asterisk(), seed());
    let scenes = story::once(&stage.callers());
    story::play(scenes, &mut player, |told| narrator::say("call", told)).await?;
    player.finish().await;
    let ended = narrator.all_logged(CURTAIN).await;
    output::print(&narrator.summary())?;
    ended.context("the calls were played, but not all Tasks came")
}

async fn endlessly(stage: &Stage) -> anyhow::Result<()> {
    let mut player = Player::new(stage.asterisk(), seed());
    let scenes = story::endless(&stage.callers(), seed());
    story::play(scenes, &mut player, |told| narrator::say("call", told)).await?;
    Ok(())
}

/// Different calls, and different ids, at each start.
fn seed() -> u64 {
    fastrand::u64(..)
}
