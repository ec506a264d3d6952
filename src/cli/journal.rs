//! `ctibridge journal`: the calls on disk that are not yet, or could not be, logged.

use serde_json::Value as Json;

use super::daemon::Daemon;
use super::table::{sheet, table};
use super::{Context, output};

const COLUMNS: [&str; 9] = ["id", "state", "key", "call", "started", "tries", "attempts", "next_try", "reason"];
/// More than any journal holds.
const ALL: &str = "1000000";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// What waits and what is parked
    List {
        /// Only these: waiting, sending, parked or done
        #[arg(long)]
        state: Option<String>,
        /// At most so many
        #[arg(long, default_value = "100")]
        limit: u32,
        /// The daemon's answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// All that is known of one entry
    Show {
        id: String,
        /// The daemon's answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Sends parked entries again
    Retry {
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Gives entries up: they will not be logged
    Drop {
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// All entries, a JSON object per line
    Export,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let daemon = Daemon::new(&context.settings()?)?;
    match &args.what {
        What::List { state, limit, json } => list(&daemon, state.as_deref(), &limit.to_string(), *json).await,
        What::Show { id, json } => show(&daemon, id, *json).await,
        What::Retry { ids } => {
            for id in ids {
                daemon.post(&["journal", id, "retry"]).await?;
                output::print(&format!("{id}: will be sent again"))?;
            }
            Ok(())
        }
        What::Drop { ids } => {
            for id in ids {
                daemon.delete(&["journal", id]).await?;
                output::print(&format!("{id}: dropped"))?;
            }
            Ok(())
        }
        What::Export => export(&daemon).await,
    }
}

async fn list(daemon: &Daemon, state: Option<&str>, limit: &str, json: bool) -> anyhow::Result<()> {
    let query: Vec<_> = state.map(|state| ("state", state)).into_iter().chain([("limit", limit)]).collect();
    let answer = daemon.get(&["journal"], &query).await?;
    if json {
        return Ok(output::print_json(&answer)?);
    }
    match entries(&answer) {
        [] => output::print("nothing waits and nothing is parked")?,
        rows => output::print(&table(&COLUMNS, rows))?,
    }
    Ok(())
}

async fn show(daemon: &Daemon, id: &str, json: bool) -> anyhow::Result<()> {
    let entry = daemon.get(&["journal", id], &[]).await?;
    if json {
        output::print_json(&entry)?;
    } else {
        output::print(&sheet(&entry))?;
    }
    Ok(())
}

async fn export(daemon: &Daemon) -> anyhow::Result<()> {
    let answer = daemon.get(&["journal"], &[("limit", ALL)]).await?;
    for entry in entries(&answer) {
        output::print_json_line(entry)?;
    }
    Ok(())
}

/// The list itself, or the one under `entries`.
fn entries(answer: &Json) -> &[Json] {
    answer.get("entries").unwrap_or(answer).as_array().map_or(&[], Vec::as_slice)
}
