//! The command line: one file per subcommand, and what they share.

mod active;
mod agent_token;
mod assemble;
mod bar;
mod check;
mod completions;
mod config;
mod daemon;
mod demo;
mod exit;
mod journal;
mod login;
mod lookup;
mod man;
mod narrator;
mod output;
mod replay;
mod run;
mod sandbox;
mod stage;
mod sync;
mod table;

pub use assemble::bridge_config;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use crate::settings::Settings;
use crate::telemetry::{self, Format, LevelHandle};

/// Brings the calls of a phone system to the right agent's screen and into Salesforce.
#[derive(Debug, Parser)]
#[command(name = "ctibridge", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every subcommand takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// The settings file [default: /etc/ctibridge/ctibridge.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What is logged: off, error, warn, info, debug or trace [default: info for run, else warn]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log: Option<LevelFilter>,
    /// How it is logged
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log_format: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon
    Run(run::Args),
    /// Plays calls through a pretend phone system and a pretend Salesforce
    Demo(demo::Args),
    /// Reads the settings and says what is wrong
    Check(check::Args),
    /// Asks for consent in a browser and stores what Salesforce grants
    Login(login::Args),
    /// Says who a number is, as the daemon would answer
    Lookup(lookup::Args),
    /// Brings the local copy of the org's phone numbers up to date now
    Sync(sync::Args),
    /// Shows and settles the calls that are not yet, or could not be, logged
    Journal(journal::Args),
    /// Plays a captured feed through the bridge and prints pops and Tasks
    Replay(replay::Args),
    /// Runs the pretend Salesforce alone
    Sandbox(sandbox::Args),
    /// Makes a token for an agent and prints it once
    AgentToken(agent_token::Args),
    /// Prints the annotated settings file or its JSON Schema
    Config(config::Args),
    /// Prints completions for a shell
    Completions(completions::Args),
    /// Prints the man page
    Man(man::Args),
}

/// What a subcommand is given.
#[derive(Debug, Clone)]
pub struct Context {
    pub global: Global,
    /// Changes the log level while running.
    pub level: LevelHandle,
}

impl Context {
    /// The settings, for commands that ask the daemon: its log and `check` tell the warnings.
    ///
    /// # Errors
    /// [`crate::settings::Problems`], which ends the process with 78.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings::load(self.global.config.as_deref())?.0)
    }

    /// The settings; warnings are logged.
    ///
    /// # Errors
    /// As [`Self::settings`].
    pub fn settings_with_warnings(&self) -> anyhow::Result<Settings> {
        let (settings, warnings) = Settings::load(self.global.config.as_deref())?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(settings)
    }
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => exit::code_of(start(cli)),
        Err(usage) => exit::usage(&usage),
    }
}

fn start(cli: Cli) -> anyhow::Result<()> {
    // Fails only where a provider has been chosen before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let quiet = !matches!(cli.command, Command::Run(_));
    let usual = if quiet { LevelFilter::WARN } else { LevelFilter::INFO };
    let level = cli.global.log.unwrap_or(usual);
    let level = telemetry::init(level, cli.global.log_format)?;
    let context = Context { global: cli.global, level };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start")?
        .block_on(dispatch(cli.command, context))
}

async fn dispatch(command: Command, context: Context) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => run::run(args, context).await,
        Command::Demo(args) => demo::run(args, context).await,
        Command::Check(args) => check::run(&args, &context).await,
        Command::Login(args) => login::run(&args, &context).await,
        Command::Lookup(args) => lookup::run(&args, &context).await,
        Command::Sync(args) => sync::run(&args, &context).await,
        Command::Journal(args) => journal::run(&args, &context).await,
        Command::Replay(args) => replay::run(args, context).await,
        Command::Sandbox(args) => sandbox::run(args, context).await,
        Command::AgentToken(args) => agent_token::run(&args, &context).await,
        Command::Config(args) => config::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
