//! `ctibridge man`: the man page.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory;

use super::{Cli, output};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write the pages of all subcommands, too, into this folder
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(folder) = &args.dir {
        return clap_mangen::generate_to(Cli::command(), folder)
            .with_context(|| format!("cannot write to {}", folder.display()));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    output::print(&String::from_utf8(page)?)?;
    Ok(())
}
