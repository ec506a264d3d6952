//! `ctibridge journal`: the calls on disk that are not yet, or could not be, logged.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::civil::DateTime;
use jiff::{Span, Timestamp};
use serde_json::Value as Json;
use tokio::sync::OnceCell;

use super::daemon::{Daemon, DaemonError};
use super::table::{sheet_from, table};
use super::{Context, output};
use crate::bridge::ledger;
use crate::http::{Comparison, JournalQuery};
use crate::journal::Journal;
use crate::lifecycle::Tasks;
use crate::salesforce::{self, Client};
use crate::settings::Settings;

const COLUMNS: [&str; 8] = ["id", "state", "call", "agent", "started", "next_try", "task", "reason"];
/// What `show` begins with.
const FIRST: [&str; 6] = ["id", "state", "reason", "call", "agent", "started"];

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
        #[arg(long, default_value_t = 100)]
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
    /// Compares what is on disk with the Tasks in Salesforce, and repairs what is missing
    Reconcile {
        /// Calls that ended since then: a duration such as 24h or 7d, or a time such as 2026-11-21T08:00:00Z
        #[arg(long, value_parser = since)]
        since: Timestamp,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
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
            Self::Done => "done",
            Self::Parked => "parked",
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

/// Asks the daemon, and reads the disk where no daemon runs.
struct Ledger {
    daemon: Daemon,
    state_dir: PathBuf,
    disk: OnceCell<(Journal, Tasks)>,
    salesforce: salesforce::Config,
    client: std::cell::OnceCell<Client>,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let ledger = Ledger::of(&context.settings()?)?;
    let outcome = answer(&args.what, &ledger).await;
    ledger.close().await;
    outcome
}

async fn answer(what: &What, ledger: &Ledger) -> anyhow::Result<()> {
    match what {
        What::List { state, limit, json } => {
            let rows = ledger.list(*state, *limit).await?;
            if *json {
                output::print_json(&Json::Array(rows))?;
            } else if rows.is_empty() {
                output::print(state.none())?;
            } else {
                output::print(&table(&COLUMNS, &rows))?;
            }
        }
        What::Show { id, json: true } => output::print_json(&ledger.show(id).await?)?,
        What::Show { id, json: false } => {
            output::print(&sheet_from(&without_details(ledger.show(id).await?), &FIRST))?;
        }
        What::Retry { ids, all: false } => retry(ledger, ids).await?,
        What::Retry { all: true, .. } => retry(ledger, &parked(ledger).await?).await?,
        What::Drop { ids } => {
            for id in ids {
                ledger.give_up(id).await?;
                output::print(&format!("{id}: dropped"))?;
            }
        }
        What::Export => {
            for entry in ledger.list(State::All, u32::MAX).await? {
                output::print_json_line(&entry)?;
            }
        }
        What::Reconcile { since, dry_run } => reconcile(ledger, *since, *dry_run).await?,
    }
    Ok(())
}

/// A line for each entry that differs, then the sum.
async fn reconcile(ledger: &Ledger, since: Timestamp, dry_run: bool) -> anyhow::Result<()> {
    let (mut compared, mut sums, mut after) = (0, BTreeMap::<String, u64>::new(), None);
    loop {
        let page = ledger.reconcile(&Comparison { since, dry_run, after }).await?;
        compared += page.get("compared").and_then(Json::as_u64).unwrap_or(0);
        for entry in page.get("differing").and_then(Json::as_array).into_iter().flatten() {
            let text = |name| entry.get(name).and_then(Json::as_str).unwrap_or_default();
            output::print(&format!("{} {}: {}", text("id"), text("key"), in_words(text("found"), dry_run)))?;
            *sums.entry(text("found").to_owned()).or_default() += 1;
        }
        after = page.get("next").and_then(Json::as_str).map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    let of = |found: &str| sums.get(found).copied().unwrap_or(0);
    let (missing, there, deleted) = (of("missing"), of("there"), of("deleted"));
    let sum = format!("{compared} compared: {missing} missing, {there} there already, {deleted} deleted by somebody");
    output::print(&sum)?;
    Ok(())
}

fn in_words(found: &str, dry_run: bool) -> &'static str {
    match (found, dry_run) {
        ("missing", false) => "its Task is not in Salesforce; it is sent again",
        ("missing", true) => "its Task is not in Salesforce; it would be sent again",
        ("there", false) => "its Task is in Salesforce; it is done",
        ("there", true) => "its Task is in Salesforce; it would be done",
        ("deleted", _) => "its Task was deleted in Salesforce; it is left so",
        (_, _) => "differs",
    }
}

/// A time, a day (from its midnight here), or how long ago.
fn since(text: &str) -> Result<Timestamp, String> {
    let now = jiff::Zoned::now();
    let at = text.parse::<Timestamp>().ok();
    let at = at.or_else(|| Some(text.parse::<DateTime>().ok()?.to_zoned(now.time_zone().clone()).ok()?.timestamp()));
    let ago = || Some(now.checked_sub(text.parse::<Span>().ok()?.abs()).ok()?.timestamp());
    at.or_else(ago)
        .ok_or_else(|| "expected a duration such as 24h or 7d, or a time such as 2026-11-21T08:00".to_owned())
}

async fn retry(ledger: &Ledger, ids: &[String]) -> anyhow::Result<()> {
    for id in ids {
        ledger.retry(id).await?;
        output::print(&format!("{id}: will be sent again"))?;
    }
    Ok(())
}

async fn parked(ledger: &Ledger) -> anyhow::Result<Vec<String>> {
    let entries = ledger.list(State::Parked, u32::MAX).await?;
    Ok(entries.iter().filter_map(|entry| entry.get("id")?.as_str()).map(str::to_owned).collect())
}

/// They are for programs.
fn without_details(mut entry: Json) -> Json {
    if let Some(keys) = entry.as_object_mut() {
        keys.remove("details");
    }
    entry
}

impl Ledger {
    fn of(settings: &Settings) -> anyhow::Result<Self> {
        let state_dir = settings.bridge.state_dir().to_owned();
        Ok(Self {
            daemon: Daemon::new(settings)?,
            state_dir,
            disk: OnceCell::new(),
            salesforce: settings.salesforce.clone(),
            client: std::cell::OnceCell::new(),
        })
    }

    async fn list(&self, state: State, limit: u32) -> anyhow::Result<Vec<Json>> {
        let query = [("state", state.name()), ("limit", &limit.to_string())];
        match self.daemon.get(&["journal"], &query).await {
            Err(DaemonError::NotRunning { .. }) => {
                let query = JournalQuery { state: Some(state.name().to_owned()), limit };
                let entries = ledger::list(self.disk().await?, query).await?;
                entries.iter().map(|entry| Ok(serde_json::to_value(entry)?)).collect()
            }
            answered => Ok(entries(&answered?).to_vec()),
        }
    }

    async fn show(&self, id: &str) -> anyhow::Result<Json> {
        match self.daemon.get(&["journal", id], &[]).await {
            Err(DaemonError::NotRunning { .. }) => {
                Ok(serde_json::to_value(ledger::show(self.disk().await?, id).await?)?)
            }
            answered => Ok(answered?),
        }
    }

    async fn retry(&self, id: &str) -> anyhow::Result<()> {
        match self.daemon.post(&["journal", id, "retry"], &[]).await {
            Err(DaemonError::NotRunning { .. }) => drop(ledger::retry(self.disk().await?, id).await?),
            answered => drop(answered?),
        }
        Ok(())
    }

    async fn give_up(&self, id: &str) -> anyhow::Result<()> {
        match self.daemon.delete(&["journal", id]).await {
            Err(DaemonError::NotRunning { .. }) => ledger::give_up(self.disk().await?, id).await?,
            answered => drop(answered?),
        }
        Ok(())
    }

    /// Where no daemon runs, what is missing is sent by the next one.
    async fn reconcile(&self, wanted: &Comparison) -> anyhow::Result<Json> {
        match self.daemon.post_json(&["journal", "reconcile"], wanted).await {
            Err(DaemonError::NotRunning { .. }) => {
                let result = ledger::reconcile(self.disk().await?, self.salesforce()?, wanted.clone()).await?;
                Ok(serde_json::to_value(result)?)
            }
            answered => Ok(answered?),
        }
    }

    fn salesforce(&self) -> anyhow::Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Fails only where a provider has been chosen before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::with_state(&self.salesforce, &self.state_dir)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// The journal itself; held against a daemon until this is closed.
    async fn disk(&self) -> anyhow::Result<&Journal> {
        let open = async || {
            let (tasks, _deaths) = Tasks::new();
            Ok::<_, anyhow::Error>((Journal::open(&self.state_dir, &tasks).await?, tasks))
        };
        Ok(&self.disk.get_or_try_init(open).await?.0)
    }

    async fn close(self) {
        if let Some((_, tasks)) = self.disk.into_inner() {
            tasks.stop().await;
        }
    }
}

/// The list itself, or the one under `entries`.
fn entries(answer: &Json) -> &[Json] {
    answer.get("entries").unwrap_or(answer).as_array().map_or(&[], Vec::as_slice)
}
