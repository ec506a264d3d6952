//! `ctibridge replay`: a captured feed played through the bridge.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::narrator::Narrator;
use super::stage::{LOOPBACK, Stage, listen_to};
use super::{Context, assemble, output};
use crate::feeds::{self, hep};
use crate::secret::Secret;
use crate::settings::{DEMO, Settings};
use crate::sim::Seed;
use crate::sim::pbx::mirror::Packets;
use crate::sim::pbx::recording::{Recording, Speed};

/// After the last frame: until the last Task is written.
const CURTAIN: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What was captured; asterisk-ari: one frame of the event websocket a line; hep: one packet a line, in hex
    #[arg(value_name = "FEED-KIND")]
    pub kind: String,
    /// The capture
    pub file: PathBuf,
    /// Into the org of the settings, not into a pretend one
    #[arg(long)]
    pub live: bool,
}

pub(super) async fn run(args: Args, context: Context) -> anyhow::Result<()> {
    let mut config = assemble::bridge_config(&settings(&context, args.live)?)?;
    config.http.listen = LOOPBACK.to_string();
    match args.kind.as_str() {
        "asterisk-ari" => {
            let recording = Recording::load(&args.file)?;
            let stage = Stage::build(config, Seed::default(), args.live, |asterisk, config| {
                recording.prepare(asterisk);
                listen_to(asterisk, config);
            });
            let stage = stage.await?;
            let narrator = Narrator::of(&stage);
            recording.play(&stage.asterisk(), Speed::AsFast).await?;
            finish(stage, narrator).await
        }
        "hep" => {
            let packets = Packets::load(&args.file)?;
            let (feed, address) = mirror(config.feeds)?;
            config.feeds = vec![feed];
            let stage = Stage::build(config, Seed::default(), args.live, |_, _| {}).await?;
            let narrator = Narrator::of(&stage);
            packets.play(address).await.context("the capture could not be played")?;
            finish(stage, narrator).await
        }
        other => bail!("`{}` cannot be replayed yet; expected asterisk-ari or hep", other.escape_debug()),
    }
}

async fn finish(stage: Stage, narrator: Narrator) -> anyhow::Result<()> {
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

/// The first mirror of the settings, listening on a free port of this machine for the capture alone.
fn mirror(feeds: Vec<feeds::Config>) -> anyhow::Result<(feeds::Config, SocketAddr)> {
    let own = feeds.into_iter().find_map(|feed| match feed {
        feeds::Config::Hep(own) => Some(own),
        feeds::Config::AsteriskAri(_) => None,
    });
    let own =
        own.context("what leads outside is not known: give --config FILE with a feed of the kind hep and its trunks")?;
    let address = std::net::TcpListener::bind(LOOPBACK).and_then(|free| free.local_addr()).context("no free port")?;
    let listen = vec![format!("tcp://{address}")];
    let feed = hep::Config { listen, auth_key: Secret::default(), allow: Vec::new(), ..own };
    Ok((feeds::Config::Hep(feed), address))
}
