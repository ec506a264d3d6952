//! Whether Salesforce answers, for `/readyz` and the metrics.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use super::error::Error;

/// How Salesforce is doing. No secrets and no data of the org are in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    pub state: State,
    /// When it came into this state.
    pub since: Timestamp,
    /// Why it is down, in a sentence.
    pub last_error: Option<String>,
    /// API calls of the org in the last 24 hours: used, allowed.
    pub api_used: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not asked yet.
    Unknown,
    Up,
    Down,
}

/// Where the client writes down how its calls went.
pub(super) struct Pulse(Mutex<Health>);

impl Pulse {
    pub fn new() -> Self {
        Self(Mutex::new(Health { state: State::Unknown, since: Timestamp::now(), last_error: None, api_used: None }))
    }

    pub fn read(&self, api_used: Option<(u64, u64)>) -> Health {
        Health { api_used, ..self.lock().clone() }
    }

    /// A call that Salesforce understood counts as up, whatever it said to it.
    pub fn note<T>(&self, outcome: &Result<T, Error>) {
        match outcome {
            Err(error) if !error.is_answer() => {
                self.turn(State::Down, Some(error.to_string()));
            }
            Ok(_) | Err(_) => self.turn(State::Up, None),
        }
    }

    fn turn(&self, state: State, error: Option<String>) {
        let mut health = self.lock();
        match &error {
            Some(reason) if health.last_error != error => tracing::warn!(reason, "Salesforce is down"),
            None if health.state != state => tracing::info!("Salesforce answers"),
            Some(_) | None => {}
        }
        if health.state != state {
            health.state = state;
            health.since = Timestamp::now();
        }
        health.last_error = error;
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
