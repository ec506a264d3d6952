//! `ctibridge replay`: a captured feed played through the bridge.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::narrator::Narrator;
use super::stage::{self, LOOPBACK, Stage};
use super::{Context, assemble, output};
use crate::feeds::{self, hep};
use crate::secret::Secret;
use crate::settings::{DEMO, Settings};
use crate::sim::Seed;
use crate::sim::pbx::mirror::Packets;
use crate::sim::pbx::notifier::Exchange;
use crate::sim::pbx::recording::{Recording, Speed};

/// After the last frame: until the last Task is written.
const CURTAIN: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What was captured; asterisk-ari: one frame of the event websocket a line; hep: one packet a line, in hex; sip-dialog: SIP
    /// messages, each behind a line `### UNIX-TIME send|recv TRANSPORT BYTES`, played at the pace that they had
    #[arg(value_name = "FEED-KIND", value_enum)]
    pub kind: Kind,
    /// The capture
    pub file: PathBuf,
    /// Into the org of the settings, not into a pretend one
    #[arg(long)]
    pub live: bool,
}

/// As the settings name them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Kind {
    AsteriskAri,
    Hep,
    SipDialog,
}

pub(super) async fn run(args: Args, context: Context) -> anyhow::Result<()> {
    let mut config = assemble::bridge_config(&settings(&context, args.live)?)?;
    config.http.listen = LOOPBACK.to_string();
    match args.kind {
        Kind::AsteriskAri => {
            let recording = Recording::load(&args.file)?;
            let asterisk = stage::asterisk(&mut config).await?;
            recording.prepare(&asterisk);
            let stage = Stage::build(config, Seed::default(), args.live).await?;
            let playing = async { Ok(recording.play(&asterisk, Speed::AsFast).await?) };
            on_stage(stage, playing).await
        }
        Kind::SipDialog => {
            let exchange = Exchange::load(&args.file)?;
            let notifier = stage::notifier(&mut config, exchange.extensions()).await?;
            let stage = Stage::build(config, Seed::default(), args.live).await?;
            let playing = async {
                notifier.play(&exchange).await;
                Ok(())
            };
            on_stage(stage, playing).await
        }
        Kind::Hep => {
            let packets = Packets::load(&args.file)?;
            let (feed, address) = mirror(config.feeds)?;
            config.feeds = vec![feed];
            let stage = Stage::build(config, Seed::default(), args.live).await?;
            let playing = async { packets.play(address).await.context("the capture could not be played") };
            on_stage(stage, playing).await
        }
    }
}

async fn on_stage(stage: Stage, playing: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let narrator = Narrator::of(&stage);
    playing.await?;
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
        feeds::Config::AsteriskAri(_) | feeds::Config::SipDialog(_) => None,
    });
    let own =
        own.context("what leads outside is not known: give --config FILE with a feed of the kind hep and its trunks")?;
    let address = std::net::TcpListener::bind(LOOPBACK).and_then(|free| free.local_addr()).context("no free port")?;
    let listen = vec![format!("tcp://{address}")];
    let feed = hep::Config { listen, auth_key: Secret::default(), allow: Vec::new(), ..own };
    Ok((feeds::Config::Hep(feed), address))
}
