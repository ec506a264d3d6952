//! `ctibridge journal`: the calls on disk that are not yet, or could not be, logged.

use serde_json::Value as Json;

use super::daemon::Daemon;
use super::table::{sheet, table};
use super::{Context, output};

const COLUMNS: [&str; 8] = ["id", "state", "call", "since", "tries", "due", "task", "reason"];
/// What `list` shows where no state is named: what a person may have to do something about.
const NOT_LOGGED: [&str; 3] = ["waiting", "on-the-wire", "parked"];

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// What waits and what is parked
    List {
        /// Only these [default: all but open and done]
        #[arg(long)]
        state: Option<State>,
        /// At most so many
        #[arg(long, default_value = "100")]
        limit: usize,
        /// As JSON
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

/// How an entry stands.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum State {
    /// The call is not over
    Open,
    /// To be sent
    Waiting,
    /// Sent, without an answer yet
    OnTheWire,
    /// Logged
    Done,
    /// Refused for good
    Parked,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::OnTheWire => "on-the-wire",
            Self::Done => "done",
            Self::Parked => "parked",
        }
    }
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let daemon = Daemon::new(&context.settings()?)?;
    match &args.what {
        What::List { state, limit, json } => list(&daemon, *state, *limit, *json).await,
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

async fn list(daemon: &Daemon, state: Option<State>, limit: usize, json: bool) -> anyhow::Result<()> {
    let answer = daemon.get(&["journal"], &[]).await?;
    let wanted = |entry: &&Json| {
        let is = entry.get("state").and_then(Json::as_str).unwrap_or_default();
        state.map_or_else(|| NOT_LOGGED.contains(&is), |state| state.name() == is)
    };
    let rows: Vec<Json> = entries(&answer).iter().filter(wanted).take(limit).cloned().collect();
    if json {
        output::print_json(&Json::Array(rows))?;
    } else if rows.is_empty() {
        output::print("no such entry")?;
    } else {
        output::print(&table(&COLUMNS, &rows))?;
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
    let answer = daemon.get(&["journal"], &[]).await?;
    for entry in entries(&answer) {
        output::print_json_line(entry)?;
    }
    Ok(())
}

/// The list itself, or the one under `entries`.
fn entries(answer: &Json) -> &[Json] {
    answer.get("entries").unwrap_or(answer).as_array().map_or(&[], Vec::as_slice)
}
