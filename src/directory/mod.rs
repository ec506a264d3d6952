//! Who is calling: the answer to a phone number, with a deadline.

pub mod answer;
mod config;
pub mod index;
mod live;
mod memory;
mod rank;
mod reading;
pub mod row;
mod shape;
mod sharing;
pub mod snapshot;
mod spoken;
pub mod sync;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use jiff::Zoned;
use jiff::civil::Date;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use self::answer::{Answer, Match, Source};
use self::index::Index;
use self::live::Live;
use self::memory::{Memory, Outcome};
use self::sharing::Sharing;
use self::spoken::Spoken;
use crate::phone::{NumberPlan, PhoneNumber};
use crate::salesforce::{Allowance, Client, Error, RecordId};

pub use config::{Config, CustomObject, LiveSearch, Mode};
pub use spoken::Told;

/// The most numbers that are looked up at once, with those that wait their turn. One more is answered "unknown" at once.
const MAX_FLIGHTS: usize = 1000;

/// Answers who has a number. Clones share what is under way and what was found a moment ago.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    index: Index,
    live: Live,
    client: Client,
    mode: Mode,
    live_search: LiveSearch,
    deadline: Duration,
    sharing: Sharing,
    spoken: Mutex<Spoken>,
    memory: Mutex<Memory>,
    flights: Mutex<HashMap<PhoneNumber, Flight>>,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Directory")
    }
}

/// A look-up under way, which all who ask for its number share.
type Flight = Shared<BoxFuture<'static, Outcome>>;

impl Directory {
    #[must_use]
    pub fn new(client: Client, plan: NumberPlan, config: Config) -> Self {
        Self(Arc::new(Inner {
            mode: config.mode,
            live_search: config.live_search,
            deadline: config.deadline,
            sharing: Sharing::new(config.respect_sharing),
            index: Index::new(plan.clone()),
            live: Live::new(client.clone(), plan, config),
            client,
            spoken: Mutex::default(),
            memory: Mutex::default(),
            flights: Mutex::default(),
            tasks: TaskTracker::new(),
        }))
    }

    /// The local copy, for who keeps it as the org is.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.0.index
    }

    /// Logs in and learns the org's phone fields, so that the first caller does not wait for that.
    ///
    /// # Errors
    /// When Salesforce does not answer; the first look-up then tries again.
    pub async fn prepare(&self) -> Result<(), Error> {
        self.0.live.prepare().await
    }

    /// Who it is, as far as that is known within `directory.deadline`. When Salesforce is late or down the answer is not complete;
    /// the look-up goes on, and the next who asks shares it.
    pub async fn find(&self, number: &PhoneNumber) -> Answer {
        if let Some(answer) = self.find_now(number) {
            return answer;
        }
        match self.search(number, self.0.deadline).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(reason = %error, "a look-up is not complete");
                Answer { complete: false, ..Answer::unknown(number.clone()) }
            }
        }
    }

    /// Who it is, or why that cannot be said: for those who can wait.
    ///
    /// # Errors
    /// When Salesforce does not answer within the limit, or not at all.
    pub async fn find_surely(&self, number: &PhoneNumber, limit: Duration) -> Result<Answer, Error> {
        let now = self.find_now(number);
        if let Some(answer) = now.as_ref().filter(|answer| answer.complete) {
            return Ok(answer.clone());
        }
        if let Some(now) = now.as_ref().filter(|_| !self.searches()) {
            return Ok(now.clone());
        }
        let searched = self.search(number, limit).await?;
        // What was typed a moment ago is in the index before Salesforce's search finds it.
        Ok(now.filter(|_| searched.matches.is_empty()).map_or(searched, |now| Answer { complete: true, ..now }))
    }

    /// Who it is, where Salesforce need not be asked for that. `None`: it must be.
    ///
    /// An answer of the index that is not complete comes while the first load is under way: a search may find somebody better.
    #[must_use]
    pub fn find_now(&self, number: &PhoneNumber) -> Option<Answer> {
        let Some(e164) = number.e164() else {
            return Some(Answer::unknown(number.clone()));
        };
        let searches = self.searches();
        let matches = match self.0.mode {
            Mode::Index => self.find_in_index(number, e164),
            Mode::Live => Vec::new(),
        };
        let loads = self.0.mode == Mode::Index && self.0.index.synced_at().is_none();
        if matches.is_empty() {
            return (!searches).then(|| Answer { complete: !loads, ..Answer::unknown(number.clone()) });
        }
        let complete = !loads;
        Some(Answer { number: number.clone(), source: Source::Index, matches, complete })
    }

    fn find_in_index(&self, number: &PhoneNumber, e164: &str) -> Vec<Match> {
        let spoken = self.spoken().with(e164, today()).cloned();
        let mut matches = rank::ranked(self.0.index.candidates(number, spoken.as_ref()));
        if let Some(spoken) = spoken {
            rank::spoken_first(&mut matches, &spoken);
        }
        matches
    }

    /// Whether Salesforce is asked for what the index does not know.
    fn searches(&self) -> bool {
        let wanted = match (self.0.mode, self.0.live_search) {
            (Mode::Live, _) | (Mode::Index, LiveSearch::OnMiss) => true,
            (Mode::Index, LiveSearch::UntilSynced) => self.0.index.synced_at().is_none(),
            (Mode::Index, LiveSearch::Never) => false,
        };
        wanted && self.0.client.allowance() < Allowance::TasksOnly
    }

    /// This number was on the phone with this record on that day. `told` says how that is known.
    pub fn spoke(&self, number: &PhoneNumber, record: RecordId, day: Date, told: Told) {
        if let Some(e164) = number.e164() {
            self.spoken().note(e164, record, day, told);
        }
    }

    async fn search(&self, number: &PhoneNumber, limit: Duration) -> Result<Answer, Error> {
        let remembered = self.memory().get(number, Instant::now());
        let outcome = if let Some(outcome) = remembered {
            outcome
        } else {
            let late = |_| late("the look-up took longer than its deadline");
            timeout(limit, self.flight(number)?).await.map_err(late)?
        };
        let mut matches = outcome?.to_vec();
        let spoken = number.e164().and_then(|e164| self.spoken().with(e164, today()).cloned());
        if let Some(spoken) = spoken {
            rank::spoken_first(&mut matches, &spoken);
        }
        Ok(Answer { number: number.clone(), source: Source::Live, matches, complete: true })
    }

    /// The look-up of this number that is under way, or a new one.
    fn flight(&self, number: &PhoneNumber) -> Result<Flight, Error> {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(number) {
            return Ok(flight.clone());
        }
        if flights.len() >= MAX_FLIGHTS {
            return Err(Error::Busy);
        }
        let task = self.0.tasks.spawn(self.clone().fly(number.clone()));
        let flight = task.map(|ended| ended.unwrap_or_else(|_| Err(late("the look-up broke off")))).boxed().shared();
        flights.insert(number.clone(), flight.clone());
        Ok(flight)
    }

    async fn fly(self, number: PhoneNumber) -> Outcome {
        let landing = Landing { directory: self, number };
        let (directory, number) = (&landing.directory, &landing.number);
        let outcome = directory.0.live.ask(number).await.map(Arc::new);
        directory.memory().put(number.clone(), outcome.clone(), Instant::now());
        outcome
    }

    fn spoken(&self) -> MutexGuard<'_, Spoken> {
        let spoken = self.0.spoken.lock();
        spoken.unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        let memory = self.0.memory.lock();
        memory.unwrap_or_else(PoisonError::into_inner)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<PhoneNumber, Flight>> {
        let flights = self.0.flights.lock();
        flights.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a flight off the list however it ends, after what it found is in memory.
struct Landing {
    directory: Directory,
    number: PhoneNumber,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.directory.flights().remove(&self.number);
    }
}

/// By the zone of this machine, where the agents are.
fn today() -> Date {
    Zoned::now().date()
}

fn late(what: &str) -> Error {
    Error::NoAnswer { what: what.to_owned() }
}
