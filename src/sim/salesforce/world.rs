//! Everything the pretend Salesforce knows, behind one lock.

use std::{collections::BTreeMap, time::Instant};

use super::{
    Credentials,
    exchange::Ask,
    jobs::Jobs,
    knobs::{Fault, FaultKind, Knobs},
    query::OpenQuery,
    sessions::Sessions,
};
use crate::sim::{
    org::{Fields, Org, Refusal, Writer, text},
    soql::Clock,
    sosl::Index,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// The whole state.
pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) org: Org,
    pub(crate) credentials: Credentials,
    pub(crate) login_user: String,
    pub(crate) knobs: Knobs,
    pub(crate) queue: Vec<Fault>,
    pub(crate) sessions: Sessions,
    pub(crate) counts: Counts,
    pub(crate) pages: Vec<OpenQuery>,
    /// How many queries needed pages.
    pub(crate) queries: u64,
    pub(crate) jobs: Jobs,
    /// Ids of the records that were last made, changed or looked at, the newest first.
    pub(crate) recent: Vec<String>,
    /// Rows still to be refused with a lock error in the request at hand.
    pub(crate) locked_rows: u32,
    pub(crate) chance: fastrand::Rng,
    /// Requests that nobody waits for any more and that are still to be done.
    pub(crate) late: Vec<(Instant, Ask)>,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// API calls that draw on the daily limit.
    pub(crate) api_calls: u64,
    /// Requests by method and path without ids.
    pub(crate) endpoints: BTreeMap<String, u64>,
    pub(crate) faults: BTreeMap<FaultKind, u64>,
    pub(crate) tokens: u64,
}

impl World {
    /// The org's time.
    pub(crate) fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_secs(self.knobs.clock_offset_seconds);
        let now = Timestamp::now();
        now.checked_add(offset).unwrap_or(now)
    }

    pub(crate) fn session_ttl(&self) -> SignedDuration {
        SignedDuration::from_secs(self.knobs.session_ttl_seconds)
    }

    pub(crate) fn writer(&self, user: &str) -> Writer {
        Writer::of(user, self.now())
    }

    /// The clock of a user: date literals are in the user's time zone.
    pub(crate) fn clock(&self, user: &str) -> Clock {
        let zone = self.org.row("User", user);
        let zone = zone.and_then(|row| text(&row.fields, "TimeZoneSidKey"));
        let zone = zone.and_then(|name| TimeZone::get(name).ok());
        Clock { now: self.now(), zone: zone.unwrap_or(TimeZone::UTC), user: user.to_owned() }
    }

    pub(crate) fn index(&self) -> Index {
        Index { tokens: self.knobs.phone_tokens, lag: SignedDuration::from_secs(self.knobs.search_lag_seconds) }
    }

    /// Takes new knobs and what follows from them.
    pub(crate) fn apply(&mut self, knobs: Knobs) {
        if knobs.fault_seed != self.knobs.fault_seed {
            self.chance = fastrand::Rng::with_seed(knobs.fault_seed);
        }
        if !knobs.task_statuses.is_empty() && knobs.task_statuses != self.knobs.task_statuses {
            let statuses = knobs.task_statuses.iter();
            let statuses: Vec<_> =
                statuses.map(|status| (status.label.clone(), status.closed, status.default)).collect();
            self.org.set_task_statuses(&statuses);
        }
        if knobs.hidden != self.knobs.hidden {
            self.org.hide(&knobs.hidden);
        }
        self.knobs = knobs;
    }

    /// Whether a row may be written now: maintenance and locks come before the row's own rules.
    pub(crate) fn may_write(&mut self) -> Result<(), Refusal> {
        if self.knobs.read_only {
            return Err(Refusal::new(
                "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
                "Updates can't be made during maintenance.",
            ));
        }
        if self.locked_rows > 0 {
            self.locked_rows -= 1;
            return Err(Refusal::new(
                "UNABLE_TO_LOCK_ROW",
                "unable to obtain exclusive access to this record or 1 records: 001000000000000AAA",
            ));
        }
        Ok(())
    }

    /// Whether a Task obeys the rules that the administrator has made: the validation rule, and how long a subject may be.
    pub(crate) fn obeys(&self, object: &str, body: &Fields) -> Result<(), Refusal> {
        if object != "Task" {
            return Ok(());
        }
        let (says, about) = (&self.knobs.task_validation, &self.knobs.task_validation_subject);
        let subject = text(body, "Subject").unwrap_or_default();
        if !says.is_empty() && subject.contains(about.as_str()) {
            return Err(Refusal::new("FIELD_CUSTOM_VALIDATION_EXCEPTION", says.clone()));
        }
        let most = self.knobs.subject_length;
        if subject.chars().count() <= most {
            return Ok(());
        }
        let message = format!("Subject: data value too large: {subject} (max length={most})");
        Err(Refusal::of_field("STRING_TOO_LONG", "Subject", message))
    }

    /// The fault that this request meets, if any: queued ones first, then chance.
    pub(crate) fn next_fault(&mut self, ask: &Ask) -> Option<Fault> {
        let fault = self.queued(ask).or_else(|| self.drawn(ask))?;
        *self.counts.faults.entry(fault.kind).or_default() += 1;
        Some(fault)
    }

    fn queued(&mut self, ask: &Ask) -> Option<Fault> {
        let path = ask.segments.join("/");
        let hits = |fault: &Fault| {
            let here = if fault.path.is_empty() {
                path.starts_with("services/data/")
            } else {
                path.contains(fault.path.trim_matches('/'))
            };
            here && fault.count > 0 && (!fault.kind.needs_write() || ask.writes())
        };
        let fault = self.queue.iter_mut().find(|fault| hits(fault))?;
        fault.count -= 1;
        let found = fault.clone();
        self.queue.retain(|fault| fault.count > 0);
        Some(found)
    }

    fn drawn(&mut self, ask: &Ask) -> Option<Fault> {
        let is_data = ask.path().starts_with(&["services", "data"]);
        if !is_data || self.knobs.fault_rate <= 0.0 || self.chance.f64() >= self.knobs.fault_rate {
            return None;
        }
        let kind = *self.knobs.fault_kinds.get(self.chance.usize(..self.knobs.fault_kinds.len().max(1)))?;
        let fits = !kind.needs_write() || ask.writes();
        fits.then(|| Fault::new(kind).for_ms(self.knobs.hang_ms))
    }

    /// A late request whose time has come.
    pub(crate) fn due(&mut self) -> Option<Ask> {
        let now = Instant::now();
        let place = self.late.iter().position(|(when, _)| *when <= now)?;
        Some(self.late.remove(place).1)
    }

    /// Counts a request under its endpoint's name.
    pub(crate) fn count_endpoint(&mut self, ask: &Ask) {
        let path: Vec<&str> = ask.path();
        let shown: Vec<&str> = match path.as_slice() {
            ["services", "data", version, rest @ ..] => {
                let kept = if rest.first() == Some(&"sobjects") { 2 } else { 3 };
                let rest = rest.iter().take(kept).copied();
                ["services", "data", version].into_iter().chain(rest).collect()
            }
            other => other.iter().take(3).copied().collect(),
        };
        let name = format!("{} /{}", ask.method, shown.join("/"));
        *self.counts.endpoints.entry(name).or_default() += 1;
    }
}

/// A random text of letters, digits, dots and underscores, as in real tokens.
pub(crate) fn secret(length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
    let mut bytes = vec![0_u8; length];
    if getrandom::fill(&mut bytes).is_err() {
        fastrand::fill(&mut bytes);
    }
    let letters = bytes.iter().map(|byte| LETTERS.get(usize::from(byte % 64)));
    letters.flatten().map(|byte| char::from(*byte)).collect()
}
