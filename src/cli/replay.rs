//! `ctibridge replay`: a captured feed played through the bridge.

use std::path::PathBuf;

use super::{Context, not_built};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What was captured, such as asterisk-ari
    #[arg(value_name = "FEED-KIND")]
    pub kind: String,
    /// The capture
    pub file: PathBuf,
    /// Into the org of the settings, not into a pretend one
    #[arg(long)]
    pub live: bool,
}

#[expect(clippy::unused_async, reason = "the replay is started here")]
pub(super) async fn run(_args: Args, _context: Context) -> anyhow::Result<()> {
    Err(not_built("replay"))
}
