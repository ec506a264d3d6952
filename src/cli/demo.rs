//! `ctibridge demo`: a pretend phone system, a pretend Salesforce and the bridge in one process.

use std::net::SocketAddr;

use super::{Context, not_built};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the agent page is served [default: 127.0.0.1:8460]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Play a short set of calls, print what was popped and logged, and end
    #[arg(long)]
    pub once: bool,
}

#[expect(clippy::unused_async, reason = "the demo is started here")]
pub(super) async fn run(_args: Args, _context: Context) -> anyhow::Result<()> {
    Err(not_built("the demo"))
}
