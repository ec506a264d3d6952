//! `ctibridge demo`: a pretend phone system, a pretend Salesforce and the bridge in one process.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use super::narrator::{self, Narrator};
use super::stage::{self, LOOPBACK, Stage};
use super::{Context, assemble, output};
use crate::bridge;
use crate::phone::NumberPlan;
use crate::settings::{DEMO, Settings};
use crate::sim::pbx::Asterisk;
use crate::sim::pbx::player::Player;
use crate::sim::people;
use crate::sim::story::{self, Caller};

/// After the last call: long enough for its Task to be written.
const CURTAIN: Duration = Duration::from_secs(5);
/// How many of the people in the pretend org call: the Germans among them, whose numbers are all read in this region.
const CALLERS: usize = 12;

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
    let mut config = config(&args)?;
    let plan = config.site.plan.clone();
    let asterisk = stage::asterisk(&mut config).await?;
    let stage = Stage::build(config, people::demo(), false).await.map_err(with_advice)?;
    let narrator = Narrator::of(&stage);
    output::print(&welcome(&stage)?)?;
    let callers = callers(&stage, &plan);
    let played = tokio::select! {
        played = play(&asterisk, &callers, &narrator, args.once) => played,
        asked = asked_to_end() => asked,
    };
    stage.clear().await;
    played
}

/// With `--once` nobody looks at the page, so that a taken port gives way to a free one.
fn config(args: &Args) -> anyhow::Result<bridge::Config> {
    let (settings, _) = Settings::from_toml(DEMO)?;
    let mut config = assemble::bridge_config(&settings)?;
    if let Some(address) = args.listen.or_else(|| args.once.then_some(LOOPBACK)) {
        config.http.listen = address.to_string();
    }
    Ok(config)
}

async fn play(asterisk: &Arc<Asterisk>, callers: &[Caller], narrator: &Narrator, is_once: bool) -> anyhow::Result<()> {
    if is_once { once(asterisk, callers, narrator).await } else { endlessly(asterisk, callers).await }
}

async fn once(asterisk: &Arc<Asterisk>, callers: &[Caller], narrator: &Narrator) -> anyhow::Result<()> {
    let mut player = Player::new(Arc::clone(asterisk), seed());
    story::play(story::once(callers), &mut player, |told| narrator::say("call", told)).await?;
    player.finish().await;
    let ended = narrator.all_logged(CURTAIN).await;
    output::print(&narrator.summary())?;
    ended.context("the calls were played, but not all Tasks came")
}

async fn endlessly(asterisk: &Arc<Asterisk>, callers: &[Caller]) -> anyhow::Result<()> {
    let mut player = Player::new(Arc::clone(asterisk), seed());
    story::play(story::endless(callers, seed()), &mut player, |told| narrator::say("call", told)).await?;
    Ok(())
}

/// By Ctrl-C or as a service manager does.
async fn asked_to_end() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    tokio::select! {
        asked = tokio::signal::ctrl_c() => asked.context("cannot listen for signals"),
        _ = terminate.recv() => Ok(()),
    }
}

fn with_advice(error: anyhow::Error) -> anyhow::Error {
    if error.downcast_ref::<bridge::StartError>().is_some_and(bridge::StartError::is_taken_address) {
        return anyhow!(
            "{error:#}. Does a demo or a ctibridge run already? \
             Choose another address: ctibridge demo --listen 127.0.0.1:8470"
        );
    }
    error
}

/// Different calls, and different ids, at each start.
fn seed() -> u64 {
    fastrand::u64(..)
}

/// What the terminal shows first, with an address for each agent.
fn welcome(stage: &Stage) -> anyhow::Result<String> {
    let mut text = "A pretend Asterisk, a pretend Salesforce and ctibridge between them. Ctrl-C ends it.\n\
                    What an agent sees:\n"
        .to_owned();
    let (bridge, address) = (stage.bridge(), stage.bridge().address());
    for agent in stage.agents() {
        let token = bridge.agents().make_token(agent)?;
        let name = stage.name(agent);
        writeln!(text, "  {name}, {agent}: http://{address}/#token={}", token.expose())?;
    }
    writeln!(text, "What Salesforce has: {}/lightning/o/Task/list", stage.salesforce().url())?;
    Ok(text)
}

/// People of the pretend org who have a phone.
fn callers(stage: &Stage, plan: &NumberPlan) -> Vec<Caller> {
    let org = stage.salesforce();
    let people = org.rows("Contact").into_iter().chain(org.rows("Lead"));
    let callers = people.filter_map(|person| {
        let number = ["MobilePhone", "Phone"].iter().find_map(|field| person.get(*field)?.as_str())?;
        Some(Caller::new(plan.read(number).e164()?, person.get("Name")?.as_str()?))
    });
    callers.take(CALLERS).collect()
}
