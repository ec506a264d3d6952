//! Which records an agent's user may read: asked of Salesforce, and remembered for a while, bounded in number.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::Directory;
use super::answer::Answer;
use crate::salesforce::{Error, MAX_ACCESS_IDS, RecordId};

/// The most pairs of a user and a record that are remembered; the oldest goes first.
const MAX_RIGHTS: usize = 50_000;
/// How long what Salesforce said of a record counts.
const LIFE: Duration = Duration::from_mins(15);
/// The most matches of one number that are asked for; no more are shown.
const MAX_MATCHES: usize = 1000;
/// How many questions are with Salesforce at once; more wait their turn.
const AT_ONCE: usize = 10;

/// Whether the sharing of the org is respected, and what is known of it.
pub(super) struct Sharing {
    wanted: bool,
    rights: Mutex<Rights>,
    turns: Semaphore,
}

impl Sharing {
    pub fn new(wanted: bool) -> Self {
        Self { wanted, rights: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }

    fn rights(&self) -> MutexGuard<'_, Rights> {
        let rights = self.rights.lock();
        rights.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory {
    /// Whether agents are shown only what their users may read.
    #[must_use]
    pub fn respects_sharing(&self) -> bool {
        self.0.sharing.wanted
    }

    /// How long a pop may wait.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.0.deadline
    }

    /// Whether nothing need be asked before the answer is shown to the user: nobody is asked for an agent without one.
    #[must_use]
    pub fn knows_rights(&self, answer: &Answer, user: Option<&RecordId>) -> bool {
        let Some(user) = user.filter(|_| self.respects_sharing()) else { return true };
        let (rights, now) = (self.0.sharing.rights(), Instant::now());
        answer.matches.iter().take(MAX_MATCHES).all(|found| rights.get(user, &found.id, now).is_some())
    }

    /// Asks Salesforce which of the answer's records the user may read, as far as that is not known.
    ///
    /// # Errors
    /// When Salesforce does not say, or may not be asked because the day's API calls are kept for the Tasks.
    pub async fn learn_rights(&self, answer: &Answer, user: &RecordId) -> Result<(), Error> {
        let sharing = &self.0.sharing;
        // It is never closed; if it were, nobody would have to wait.
        let _turn = sharing.turns.acquire().await.ok();
        let unknown: Vec<RecordId> = {
            let (rights, now) = (sharing.rights(), Instant::now());
            let ids = answer.matches.iter().take(MAX_MATCHES).map(|found| &found.id);
            ids.filter(|id| rights.get(user, id, now).is_none()).cloned().collect()
        };
        for ids in unknown.chunks(MAX_ACCESS_IDS) {
            if !self.0.client.allowance().permits_lookups() {
                return Err(Error::Spared);
            }
            let readable = self.0.client.readable(user, ids).await?;
            let (mut rights, now) = (sharing.rights(), Instant::now());
            for id in ids {
                rights.put(user, id, readable.contains(id), now);
            }
        }
        Ok(())
    }

    /// The answer as the user may see it, by what is known now. What is not known is not shown.
    #[must_use]
    pub fn readable_now(&self, mut answer: Answer, user: Option<&RecordId>) -> Answer {
        if !self.respects_sharing() {
            return answer;
        }
        let before = answer.matches.len();
        let Some(user) = user else {
            return Answer { complete: answer.complete, ..Answer::unknown(answer.number) };
        };
        {
            let (rights, now) = (self.0.sharing.rights(), Instant::now());
            answer.matches.retain(|found| rights.get(user, &found.id, now) == Some(true));
        }
        if answer.matches.is_empty() {
            return Answer { complete: answer.complete, ..Answer::unknown(answer.number) };
        }
        if answer.matches.len() < before {
            answer.matches.iter_mut().for_each(|found| forget_the_others(&mut found.reason));
        }
        answer
    }

    /// The answer as the user may see it. Salesforce is waited for until the limit.
    pub async fn readable(&self, answer: Answer, user: Option<&RecordId>, limit: Duration) -> Answer {
        if let Some(user) = user.filter(|user| !self.knows_rights(&answer, Some(user))) {
            match timeout(limit, self.learn_rights(&answer, user)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(reason = %error, "what an agent may read is not known"),
                Err(_) => tracing::debug!("what an agent may read is not known within the deadline"),
            }
        }
        self.readable_now(answer, user)
    }
}

/// What follows the first clause tells of other records.
fn forget_the_others(reason: &mut String) {
    if let Some(end) = reason.find(';') {
        reason.truncate(end);
    }
}

/// What Salesforce said, by user and record.
#[derive(Default)]
struct Rights {
    users: HashMap<RecordId, HashMap<RecordId, (bool, Instant)>>,
    /// In the order of arrival, with the end of what arrived.
    arrivals: VecDeque<(RecordId, RecordId, Instant)>,
}

impl Rights {
    fn get(&self, user: &RecordId, record: &RecordId, now: Instant) -> Option<bool> {
        let (may_read, until) = self.users.get(user)?.get(record)?;
        (now < *until).then_some(*may_read)
    }

    fn put(&mut self, user: &RecordId, record: &RecordId, may_read: bool, now: Instant) {
        let until = now + LIFE;
        self.users.entry(user.clone()).or_default().insert(record.clone(), (may_read, until));
        self.arrivals.push_back((user.clone(), record.clone(), until));
        while self.arrivals.len() > MAX_RIGHTS {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((user, record, until)) = self.arrivals.pop_front() else { return };
        let Some(records) = self.users.get_mut(&user) else { return };
        // A later arrival of the same pair stays.
        if records.get(&record).is_some_and(|(_, end)| *end == until) {
            records.remove(&record);
        }
        if records.is_empty() {
            self.users.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(kind: &str, n: usize) -> RecordId {
        RecordId::parse(&format!("{kind}{n:012}")).unwrap()
    }

    #[test]
    fn what_a_user_may_read_is_forgotten_in_time_and_by_number() {
        let (mut rights, now) = (Rights::default(), Instant::now());
        let (anna, ben) = (id("005", 1), id("005", 2));
        rights.put(&ben, &id("003", 0), true, now);
        for n in 0..MAX_RIGHTS {
            rights.put(&anna, &id("003", n), n % 2 == 1, now);
        }
        assert_eq!(rights.get(&ben, &id("003", 0), now), None, "the oldest is out");
        assert!(!rights.users.contains_key(&ben));
        assert_eq!(rights.get(&anna, &id("003", 0), now), Some(false));
        assert_eq!(rights.get(&anna, &id("003", 1), now), Some(true));
        assert_eq!(rights.get(&anna, &id("003", 1), now + LIFE), None);

        let later = now + LIFE / 2;
        rights.put(&anna, &id("003", 1), false, later);
        rights.put(&ben, &id("003", 1), true, later);
        assert_eq!(rights.get(&anna, &id("003", 1), now + LIFE), Some(false), "the later word counts");
        assert_eq!(rights.get(&ben, &id("003", 1), later), Some(true));
        assert_eq!(rights.arrivals.len(), MAX_RIGHTS);
    }
}
