//! `ctibridge demo`: a pretend phone system, a pretend Salesforce and the bridge in one process.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;

use super::narrator::{self, Narrator};
use super::stage::{LOOPBACK, Stage};
use super::{Context, assemble, output};
use crate::bridge;
use crate::phone::NumberPlan;
use crate::settings::{DEMO, Settings};
use crate::sim::pbx::player::Player;
use crate::sim::people;
use crate::sim::story::{self, Caller};

/// After the last call: long enough for its Task to be written.
const CURTAIN: Duration = Duration::from_secs(5);
/// How many of the people in the pretend org call.
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
    let config = config(&args)?;
    let plan = config.site.plan.clone();
    let stage = Stage::build(config, people::demo(), false, |_| {})
        .await
        .context("is a demo running already? Then choose another address: --listen 127.0.0.1:8470")?;
    let narrator = Narrator::of(&stage);
    output::print(&welcome(&stage)?)?;
    let callers = callers(&stage, &plan);
    let played = if args.once { once(&stage, &callers, &narrator).await } else { until_asked(&stage, &callers).await };
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

async fn once(stage: &Stage, callers: &[Caller], narrator: &Narrator) -> anyhow::Result<()> {
    let mut player = Player::new(stage.asterisk(), seed());
    story::play(story::once(callers), &mut player, |told| narrator::say("call", told)).await?;
    player.finish().await;
    let ended = narrator.all_logged(CURTAIN).await;
    output::print(&narrator.summary())?;
    ended.context("the calls were played, but not all Tasks came")
}

async fn until_asked(stage: &Stage, callers: &[Caller]) -> anyhow::Result<()> {
    let mut player = Player::new(stage.asterisk(), seed());
    tokio::select! {
        outcome = story::play(story::endless(callers, seed()), &mut player, |told| narrator::say("call", told)) => {
            Ok(outcome?)
        }
        asked = tokio::signal::ctrl_c() => asked.context("cannot listen for signals"),
    }
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
        let name = bridge.agents().name(agent).unwrap_or_default();
        writeln!(text, "  {name}, {agent}: http://{address}/#token={}", token.expose())?;
    }
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
