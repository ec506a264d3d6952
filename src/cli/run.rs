//! `ctibridge run`: the daemon.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;

use super::{Context, assemble};
use crate::bridge::Bridge;
use crate::settings::Settings;

/// An orderly end may take this long; then it is a hard one.
const ORDERLY: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
pub struct Args {}

/// Why the daemon leaves its loop.
enum Leave {
    Asked,
    Died(&'static str),
}

pub(super) async fn run(_args: Args, context: Context) -> anyhow::Result<()> {
    let settings = context.settings_with_warnings()?;
    set_level(&settings, &context)?;
    let mut signals = Signals::new()?;
    let mut bridge = Bridge::start(assemble::bridge_config(&settings)?).await?;
    tracing::info!(address = %bridge.address(), "ctibridge is ready");
    notify(&[NotifyState::Ready, NotifyState::Status("running")]);
    let leave = stay(&mut bridge, settings, &context, &mut signals).await;
    notify(&[NotifyState::Stopping]);
    tracing::info!("ctibridge is stopping");
    stop(bridge, &mut signals).await?;
    tracing::info!("ctibridge has stopped");
    match leave {
        Leave::Asked => Ok(()),
        Leave::Died(task) => Err(anyhow!("stopped because the task `{task}` ended; the log says why")),
    }
}

async fn stay(bridge: &mut Bridge, mut settings: Settings, context: &Context, signals: &mut Signals) -> Leave {
    loop {
        tokio::select! {
            wish = signals.wish() => match wish {
                Wish::End => return Leave::Asked,
                Wish::Reload => {}
            },
            task = bridge.death() => return Leave::Died(task),
        }
        if let Some(newer) = reload(bridge, &settings, context).await {
            settings = newer;
        }
    }
}

/// `--log` is stronger than the settings.
fn set_level(settings: &Settings, context: &Context) -> anyhow::Result<()> {
    let level = context.global.log.or(settings.bridge.log_level()?).unwrap_or(LevelFilter::INFO);
    context.level.set(level);
    Ok(())
}

/// Settings that cannot be loaded leave the running ones in force.
async fn reload(bridge: &mut Bridge, settings: &Settings, context: &Context) -> Option<Settings> {
    let newer = match context.settings_with_warnings() {
        Ok(newer) => newer,
        Err(error) => {
            tracing::error!("the settings are not reloaded, the running ones stay in force: {error:#}");
            return None;
        }
    };
    if let Err(error) = set_level(&newer, context) {
        tracing::error!("the log level stays: {error:#}");
    }
    let loaded = match assemble::bridge_config(&newer) {
        Ok(config) => bridge.reload(&config).await.map_err(anyhow::Error::from),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = loaded {
        tracing::error!("the settings are not reloaded, the running ones stay in force: {error:#}");
        return None;
    }
    let late: Vec<String> =
        settings.changed_keys(&newer).into_iter().filter(|key| !Settings::applies_at_once(key)).collect();
    if late.is_empty() {
        tracing::info!("the settings are reloaded");
    } else {
        tracing::warn!(keys = late.join(", "), "the settings are reloaded, but these need a restart");
    }
    Some(newer)
}

/// In order, unless that takes too long or a second signal comes.
async fn stop(bridge: Bridge, signals: &mut Signals) -> anyhow::Result<()> {
    tokio::select! {
        () = bridge.stop() => Ok(()),
        () = signals.end() => Err(anyhow!("stopped at once at a second signal")),
        () = tokio::time::sleep(ORDERLY) => Err(anyhow!("stopped at once after {ORDERLY:?}")),
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd is not told");
    }
}

/// What a signal asks for.
enum Wish {
    End,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn wish(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
