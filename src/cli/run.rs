//! `ctibridge run`: the daemon.

use super::{Context, not_built};

#[derive(Debug, clap::Args)]
pub struct Args {}

#[expect(clippy::unused_async, reason = "the daemon is started here")]
pub(super) async fn run(_args: Args, context: Context) -> anyhow::Result<()> {
    let _settings = context.settings()?;
    Err(not_built("the daemon"))
}
