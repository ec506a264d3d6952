//! `ctibridge journal`: the calls on disk that are not yet, or could not be, logged.

use serde_json::Value as Json;

use super::daemon::Daemon;
use super::table::{sheet_from, table};
use super::{Context, output};

const COLUMNS: [&str; 8] = ["id", "state", "call", "agent", "started", "next_try", "task", "reason"];
/// What `show` begins with.
const FIRST: [&str; 6] = ["id", "state", "reason", "call", "agent", "started"];
/// More than a journal holds.
const ALL: &str = "4294967295";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// What waits and what is parked
    List {
        /// Which ones
        #[arg(long, default_value = "pending")]
        state: State,
        /// At most so many
        #[arg(long, default_value = "100")]
        limit: u32,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// One entry, why it is there, and what to do
    Show {
        id: String,
        /// As JSON, with all details
        #[arg(long)]
        json: bool,
    },
    /// Sends parked entries again
    Retry {
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// All that are parked
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
    /// Gives entries up: they will not be logged
    Drop {
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// All entries, also those of the last seven days that are logged, a JSON object per line
    Export,
}

/// How an entry stands.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum State {
    /// All that are not in Salesforce as they should be
    Pending,
    /// To be sent
    Waiting,
    /// Sent, without an answer yet
    Wire,
    /// Refused by Salesforce; waits for you
    Parked,
    /// Logged in the last seven days
    Done,
    All,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Wire => "wire",
            Self::Parked => "parked",
            Self::Done => "done",
            Self::All => "all",
        }
    }

    /// What is said where there is none.
    fn none(self) -> &'static str {
        match self {
            Self::Pending => "nothing waits and nothing is parked",
            Self::Waiting | Self::Wire | Self::Parked | Self::Done | Self::All => "no such entry",
        }
    }
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let daemon = Daemon::new(&context.settings()?)?;
    match &args.what {
        What::List { state, limit, json } => list(&daemon, *state, *limit, *json).await,
        What::Show { id, json } => show(&daemon, id, *json).await,
        What::Retry { ids, all: false } => retry(&daemon, ids).await,
        What::Retry { all: true, .. } => retry(&daemon, &parked(&daemon).await?).await,
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

async fn list(daemon: &Daemon, state: State, limit: u32, json: bool) -> anyhow::Result<()> {
    let answer = daemon.get(&["journal"], &[("state", state.name()), ("limit", &limit.to_string())]).await?;
    let rows = entries(&answer);
    if json {
        output::print_json(&Json::Array(rows.to_vec()))?;
    } else if rows.is_empty() {
        output::print(state.none())?;
    } else {
        output::print(&table(&COLUMNS, rows))?;
    }
    Ok(())
}

async fn show(daemon: &Daemon, id: &str, json: bool) -> anyhow::Result<()> {
    let entry = daemon.get(&["journal", id], &[]).await?;
    if json {
        output::print_json(&entry)?;
    } else {
        output::print(&sheet_from(&without_details(entry), &FIRST))?;
    }
    Ok(())
}

/// They are for programs.
fn without_details(mut entry: Json) -> Json {
    if let Some(keys) = entry.as_object_mut() {
        keys.remove("details");
    }
    entry
}

async fn parked(daemon: &Daemon) -> anyhow::Result<Vec<String>> {
    let answer = daemon.get(&["journal"], &[("state", State::Parked.name()), ("limit", ALL)]).await?;
    let ids = entries(&answer).iter().filter_map(|entry| entry.get("id")?.as_str());
    Ok(ids.map(str::to_owned).collect())
}

async fn retry(daemon: &Daemon, ids: &[String]) -> anyhow::Result<()> {
    for id in ids {
        daemon.post(&["journal", id, "retry"]).await?;
        output::print(&format!("{id}: will be sent again"))?;
    }
    Ok(())
}

async fn export(daemon: &Daemon) -> anyhow::Result<()> {
    let answer = daemon.get(&["journal"], &[("state", "all"), ("limit", ALL)]).await?;
    for entry in entries(&answer) {
        output::print_json_line(entry)?;
    }
    Ok(())
}

/// The list itself, or the one under `entries`.
fn entries(answer: &Json) -> &[Json] {
    answer.get("entries").unwrap_or(answer).as_array().map_or(&[], Vec::as_slice)
}
