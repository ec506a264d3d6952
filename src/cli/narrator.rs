//! Tells the terminal what happens: a line for each call, pop and Task.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use serde_json::{Map, Value};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::stage::Stage;
use crate::cli::output;
use crate::journal::Journal;
use crate::pops::Subscription;
use crate::sim::Salesforce;
use crate::telemetry::Escaped;

/// How often the pretend org is looked at for new Tasks.
const LOOK: Duration = Duration::from_millis(200);

/// So many looks in a row must find nothing under way: what was played may still be on its way to the bridge.
const QUIET_LOOKS: u32 = 6;

/// What has been told so far.
#[derive(Default)]
struct Told {
    pops: u32,
    withdrawn: u32,
    tasks: BTreeSet<String>,
}

pub struct Narrator {
    told: Arc<Mutex<Told>>,
    journal: Journal,
    _tasks: JoinSet<()>,
}

impl Narrator {
    pub fn of(stage: &Stage) -> Self {
        let (told, mut tasks) = (Arc::new(Mutex::new(Told::default())), JoinSet::new());
        for agent in stage.agents() {
            if let Ok(screen) = stage.bridge().hub().subscribe(agent, None) {
                let name = first_name(&stage.name(agent));
                tasks.spawn(watch_screen(name, screen, Arc::clone(&told)));
            }
        }
        tasks.spawn(watch_org(stage.salesforce(), Arc::clone(&told)));
        Self { told, journal: stage.bridge().journal().clone(), _tasks: tasks }
    }

    /// Waits until each call that has ended is a Task.
    pub async fn all_logged(&self, limit: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + limit;
        let mut quiet = 0;
        while quiet < QUIET_LOOKS {
            self.journal.flush().await;
            let counts = self.journal.counts();
            quiet = if counts.open == 0 && counts.waiting == 0 { quiet + 1 } else { 0 };
            if Instant::now() > until {
                return Err(anyhow!("{} calls still open, {} waiting", counts.open, counts.waiting));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    pub fn summary(&self) -> String {
        let (pops, withdrawn) = self.lock(|told| (told.pops, told.withdrawn));
        let counts = self.journal.counts();
        format!("{pops} pops, {withdrawn} of them withdrawn; {} Tasks; {} parked", counts.done, counts.parked)
    }

    fn lock<T>(&self, look: impl FnOnce(&Told) -> T) -> T {
        look(&self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One line; a terminal that has gone is no reason to stop.
pub fn say(about: &str, line: &str) {
    let _ = output::print(&format!("{about:<10} {}", Escaped(line)));
}

async fn watch_screen(agent: String, mut screen: Subscription, told: Arc<Mutex<Told>>) {
    loop {
        let event = screen.next().await;
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else { continue };
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        match event.name {
            "pop" => {
                told.pops += 1;
                say("  pop", &format!("{agent} sees {}", card(&data)));
            }
            "update" => {
                let state = data.get("state").and_then(Value::as_str).unwrap_or_default();
                say("  update", &format!("{agent}: {state}, {}", card(&data)));
            }
            "withdraw" => {
                told.withdrawn += 1;
                let reason = data.get("reason").and_then(Value::as_str).unwrap_or_default();
                say("  withdraw", &format!("{agent}: {}", in_words(reason)));
            }
            _ => {}
        }
    }
}

fn in_words(reason: &str) -> &str {
    match reason {
        "answered-elsewhere" => "a colleague answered",
        "caller-gone" => "the caller hung up",
        "moved" => "the call went on to somebody else",
        other => other,
    }
}

fn first_name(name: &str) -> String {
    name.split(' ').next().unwrap_or_default().to_owned()
}

/// Who it may be, and the number.
fn card(pop: &Value) -> String {
    let number = match pop.pointer("/caller/display").and_then(Value::as_str) {
        None | Some("withheld") => "a withheld number",
        Some(number) => number,
    };
    let matches = pop.get("matches").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let name = |found: &Value| found.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    match matches {
        [] => number.to_owned(),
        [one] => match one.get("account").and_then(Value::as_str) {
            Some(account) => format!("{}, {account} ({number})", name(one)),
            None => format!("{} ({number})", name(one)),
        },
        several => format!("{} ({number})", several.iter().map(name).collect::<Vec<_>>().join(" or ")),
    }
}

async fn watch_org(org: Arc<Salesforce>, told: Arc<Mutex<Told>>) {
    loop {
        sleep(LOOK).await;
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        for task in org.rows("Task") {
            let id = field(&task, "Id");
            if told.tasks.insert(id) {
                say("  Task", &describe(&task));
            }
        }
    }
}

fn describe(task: &Map<String, Value>) -> String {
    let seconds = task.get("CallDurationInSeconds").and_then(Value::as_i64).unwrap_or_default();
    format!("{}: {}, {seconds} s, {}", field(task, "Subject"), field(task, "CallDisposition"), linked(task))
}

/// Ids of contacts begin with 003, those of leads with 00Q.
fn linked(task: &Map<String, Value>) -> &'static str {
    let (who, what) = (field(task, "WhoId"), field(task, "WhatId"));
    match (who.get(..3), what.is_empty()) {
        (Some("003"), _) => "linked to the contact",
        (Some("00Q"), _) => "linked to the lead",
        (_, false) => "linked to the account",
        (_, true) => "linked to no record",
    }
}

fn field(row: &Map<String, Value>, name: &str) -> String {
    row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
