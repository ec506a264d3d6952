//! `ctibridge completions`: completions for a shell.

use clap::CommandFactory;

use super::{Cli, output};

#[derive(Debug, clap::Args)]
pub struct Args {
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ctibridge", &mut script);
    output::print(&String::from_utf8(script)?)?;
    Ok(())
}
