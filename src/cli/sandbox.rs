//! `ctibridge sandbox`: the pretend Salesforce alone.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Context, not_built};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// JSON with the records it begins with
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
}

#[expect(clippy::unused_async, reason = "the sandbox is started here")]
pub(super) async fn run(_args: Args, _context: Context) -> anyhow::Result<()> {
    Err(not_built("the sandbox"))
}
