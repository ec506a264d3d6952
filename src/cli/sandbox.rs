//! `ctibridge sandbox`: the pretend Salesforce alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Context, output};
use crate::sim::{Options, Salesforce, Seed};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// JSON with the records it begins with
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
}

pub(super) async fn run(args: Args, _context: Context) -> anyhow::Result<()> {
    let seed = args.data.as_deref().map(read).transpose()?.unwrap_or_default();
    let options = Options { listen: args.listen, seed, ..Options::default() };
    let salesforce = Salesforce::start(options).await.context("the sandbox cannot start")?;
    output::print(&salesforce.announcement().to_string())?;
    tokio::signal::ctrl_c().await.context("cannot listen for signals")?;
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Seed> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    Seed::from_json(&text).with_context(|| format!("{}", path.display()))
}
