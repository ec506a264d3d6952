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
pub mod snapshot;
pub mod sync;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use self::answer::{Answer, Match, Source};
use self::index::Index;
use self::live::Live;
use self::memory::{Memory, Outcome};
use crate::phone::{NumberPlan, PhoneNumber};
use crate::salesforce::{Client, Error};

pub use config::{Config, CustomObject, LiveSearch, Mode};

/// The most numbers that are looked up at once, with those that wait their turn. One more is answered "unknown" at once.
const MAX_FLIGHTS: usize = 1000;

/// Answers who has a number. Clones share what is under way and what was found a moment ago.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    index: Index,
    live: Live,
    deadline: Duration,
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
            deadline: config.deadline,
            index: Index::new(plan.clone()),
            live: Live::new(client, plan, config),
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
        match self.ask(number, self.0.deadline).await {
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
        self.ask(number, limit).await
    }

    async fn ask(&self, number: &PhoneNumber, limit: Duration) -> Result<Answer, Error> {
        if number.e164().is_none() {
            return Ok(Answer::unknown(number.clone()));
        }
        if let Some(outcome) = self.memory().get(number, Instant::now()) {
            return outcome.map(|matches| answered(number, &matches));
        }
        let late = |_| late("the look-up took longer than its deadline");
        let outcome = timeout(limit, self.flight(number)?).await.map_err(late)?;
        outcome.map(|matches| answered(number, &matches))
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

fn answered(number: &PhoneNumber, matches: &[Match]) -> Answer {
    Answer { number: number.clone(), source: Source::Live, matches: matches.to_vec(), complete: true }
}

fn late(what: &str) -> Error {
    Error::NoAnswer { what: what.to_owned() }
}
