//! The one token of the process: asked for when needed, renewed once however many notice that it has ended.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::{Error, Retry};
use super::id::RecordId;
use super::oauth::{Grant, Login};
use crate::secret::Secret;

/// How long a refused login is not tried again, doubled with each refusal: each try counts against the user's lock-out.
const REFUSED_WAIT: Duration = Duration::from_secs(30);
const LONGEST_REFUSED_WAIT: Duration = Duration::from_mins(15);
/// How long no other session is asked for after a fresh one was refused.
const DISTRUST: Duration = Duration::from_secs(2);

/// A token that was good when it came.
#[derive(Debug)]
pub(super) struct Session {
    pub token: Secret,
    pub instance: reqwest::Url,
    pub user: Option<RecordId>,
    /// Counts the logins of this process: who holds an older one need not ask for another.
    pub generation: u64,
}

/// Holds the session. Clones of the client share it.
pub(super) struct Tokens {
    login: Login,
    current: RwLock<Option<Arc<Session>>>,
    /// Held during a login, so that there is one at a time.
    flight: Mutex<Flight>,
}

#[derive(Default)]
struct Flight {
    generation: u64,
    failed: Option<Failed>,
    /// Refusals in a row.
    refused: u32,
}

/// A login that failed: whoever waited for it, and whoever asks too soon after it, gets the same answer.
struct Failed {
    error: Error,
    until: Instant,
}

impl Tokens {
    pub fn new(login: Login) -> Self {
        Self { login, current: RwLock::default(), flight: Mutex::default() }
    }

    /// The session that was used last, if there was one.
    pub fn current(&self) -> Option<Arc<Session>> {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A session, by a login if there is none.
    pub async fn session(&self) -> Result<Arc<Session>, Error> {
        match self.current() {
            Some(session) => Ok(session),
            None => self.newer_than(0).await,
        }
    }

    /// A session newer than the one that was refused: one login for all who noticed.
    pub async fn newer_than(&self, generation: u64) -> Result<Arc<Session>, Error> {
        let asked = Instant::now();
        let mut flight = self.flight.lock().await;
        if let Some(session) = self.current()
            && session.generation > generation
        {
            return Ok(session);
        }
        if let Some(failed) = &flight.failed
            && asked < failed.until
        {
            return Err(failed.error.clone());
        }
        match self.login.ask().await {
            Ok(grant) => Ok(self.keep(&mut flight, grant)),
            Err(error) => {
                let wait = pause(&error, &mut flight.refused);
                flight.failed = Some(Failed { until: Instant::now() + wait, error: error.clone() });
                Err(error)
            }
        }
    }

    /// A fresh session was refused, too: another login now would bring the same, and each call would log in anew.
    pub async fn distrust(&self, session: &Session) {
        let mut flight = self.flight.lock().await;
        if flight.generation == session.generation {
            flight.failed = Some(Failed { error: Error::Session, until: Instant::now() + DISTRUST });
        }
    }

    /// Takes a new consent, if Salesforce takes it.
    pub async fn adopt(&self, refresh_token: &Secret) -> Result<Arc<Session>, Error> {
        let mut flight = self.flight.lock().await;
        let grant = self.login.adopt(refresh_token).await?;
        Ok(self.keep(&mut flight, grant))
    }

    /// Logs in anew, also a moment after a refusal: for an operator who waits for it.
    pub async fn again(&self) -> Result<Arc<Session>, Error> {
        *self.flight.lock().await = Flight { generation: self.generation(), ..Flight::default() };
        self.newer_than(self.generation()).await
    }

    fn generation(&self) -> u64 {
        self.current().map_or(0, |session| session.generation)
    }

    /// Uses the refresh token before it dies of idleness, if it was not used for this long.
    pub async fn keep_alive(&self, idle: SignedDuration) -> Result<(), Error> {
        let used = self.login.consent_used_at();
        if used.is_some_and(|used| Timestamp::now().duration_since(used) >= idle) {
            self.newer_than(self.generation()).await?;
        }
        Ok(())
    }

    pub fn login(&self) -> &Login {
        &self.login
    }

    fn keep(&self, flight: &mut Flight, grant: Grant) -> Arc<Session> {
        flight.failed = None;
        flight.refused = 0;
        flight.generation += 1;
        tracing::debug!(
            sf.login = flight.generation,
            sf.instance = grant.instance.as_str(),
            sf.issued_at = grant.issued_at,
            "logged in to Salesforce"
        );
        let session = Arc::new(Session {
            token: grant.token,
            instance: grant.instance,
            user: grant.user,
            generation: flight.generation,
        });
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::clone(&session));
        session
    }
}

/// How long a failure speaks for those who come after it. After a broken connection only those who already waited share it.
fn pause(error: &Error, refused: &mut u32) -> Duration {
    if matches!(error, Error::Grant(_)) {
        // Only a file was read.
        return Duration::ZERO;
    }
    match error.retry() {
        Retry::After(wait) => wait,
        Retry::WhenMended | Retry::Never | Retry::Quota => {
            let wait = REFUSED_WAIT.saturating_mul(2_u32.saturating_pow(*refused));
            *refused = refused.saturating_add(1);
            wait.min(LONGEST_REFUSED_WAIT)
        }
        Retry::Soon => Duration::ZERO,
    }
}
