//! `ctibridge replay`: a captured feed played through the bridge.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::narrator::Narrator;
use super::stage::{LOOPBACK, Stage};
use super::{Context, assemble, output};
use crate::settings::{DEMO, Settings};
use crate::sim::Seed;
use crate::sim::pbx::recording::{Recording, Speed};

/// After the last frame: until the last Task is written.
const CURTAIN: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What was captured; asterisk-ari: one frame of the event websocket a line
    #[arg(value_name = "FEED-KIND")]
    pub kind: String,
    /// The capture
    pub file: PathBuf,
    /// Into the org of the settings, not into a pretend one
    #[arg(long)]
    pub live: bool,
}

pub(super) async fn run(args: Args, context: Context) -> anyhow::Result<()> {
    if args.kind != "asterisk-ari" {
        bail!("`{}` cannot be replayed yet; expected asterisk-ari", args.kind.escape_debug());
    }
    let recording = Recording::load(&args.file)?;
    let mut config = assemble::bridge_config(&settings(&context, args.live)?)?;
    config.http.listen = LOOPBACK.to_string();
    let stage = Stage::build(config, Seed::default(), args.live, |asterisk| recording.prepare(asterisk)).await?;
    let narrator = Narrator::of(&stage);
    recording.play(&stage.asterisk(), Speed::AsFast).await?;
    let ended = narrator.all_logged(CURTAIN).await;
    output::print(&narrator.summary())?;
    stage.clear().await;
    ended.context("the capture was played, but not all calls ended and became Tasks")
}

/// Those that are named; without any, those of the demo, which know the trunk `PJSIP/trunk`.
fn settings(context: &Context, live: bool) -> anyhow::Result<Settings> {
    if live || context.global.config.is_some() {
        return context.settings();
    }
    Ok(Settings::from_toml(DEMO)?.0)
}
