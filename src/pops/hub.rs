//! Carries cards to whoever watches an agent's screen, and says so to those who missed some.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::pop::Pop;
use super::screen::{Kind, Numbered, Screen};
use crate::calls::record::{CallKey, Extension};
use crate::calls::step::WithdrawReason;
use crate::salesforce::RecordId;

/// Open streams of one agent: tabs, second computers, and those whose loss has not been noticed; more are refused.
const MAX_STREAMS: usize = 16;
/// Screens that are kept; beyond it the blank ones that nobody watches are forgotten.
const MAX_SCREENS: usize = 4096;
/// Calls whose chosen record is remembered for the next agent who gets them; the oldest are forgotten.
const MAX_CHOICES: usize = 512;

/// The screens of all agents.
#[derive(Clone)]
pub struct Hub(Arc<Mutex<Screens>>);

/// What a stream carries: `id` is none other's, `data` is JSON on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    /// `pop`, `update`, `withdraw` or `gap`.
    pub name: &'static str,
    pub data: Arc<str>,
}

/// An agent has too many streams open.
#[derive(Debug, thiserror::Error)]
#[error("this agent has {MAX_STREAMS} streams open; close another tab first")]
pub struct TooManyStreams;

/// One reader of an agent's screen. Slow readers lose their oldest events and are told `gap`.
pub struct Subscription {
    hub: Hub,
    extension: Extension,
    /// All events up to this one have been taken.
    taken: u64,
    waiting: VecDeque<Event>,
    changed: watch::Receiver<()>,
    /// Counted by the seat, for as long as the subscription lives.
    _presence: Arc<()>,
}

struct Screens {
    /// When this run began, in milliseconds: makes ids differ from those of earlier runs.
    run: i64,
    /// The number of the last event of any agent.
    last: u64,
    seats: BTreeMap<Extension, Seat>,
    choices: VecDeque<(CallKey, RecordId)>,
}

#[derive(Default)]
struct Seat {
    screen: Screen,
    changed: watch::Sender<()>,
    presence: Arc<()>,
}

impl Hub {
    /// `started`: when this run of the daemon began.
    #[must_use]
    pub fn new(started: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Screens {
            run: started.as_millisecond(),
            last: 0,
            seats: BTreeMap::new(),
            choices: VecDeque::new(),
        })))
    }

    /// Shows a call to an agent. The second time for one call and agent it is an update.
    pub fn pop(&self, pop: Pop) {
        self.lock().show(pop, Kind::Pop);
    }

    /// Changes what is shown. An agent who had no pop gets the card by it, without a second ring of the bell.
    pub fn update(&self, pop: Pop) {
        self.lock().show(pop, Kind::Update);
    }

    /// Changes a card if it is still on the screen: for an answer of the directory that comes late.
    pub fn amend(&self, pop: Pop) {
        let mut screens = self.lock();
        if screens.seats.get(&pop.extension).is_some_and(|seat| seat.screen.is_live(&pop.call)) {
            screens.show(pop, Kind::Update);
        }
    }

    /// Takes a call off an agent's screen. False when no live card shows it.
    #[must_use]
    pub fn withdraw(&self, call: &CallKey, extension: &Extension, reason: WithdrawReason) -> bool {
        let mut screens = self.lock();
        let number = screens.last + 1;
        let Some(seat) = screens.seats.get_mut(extension) else {
            return false;
        };
        let is_off = seat.screen.withdraw(call, extension, reason, number);
        if is_off {
            seat.changed.send_replace(());
            screens.last = number;
        }
        is_off
    }

    /// An agent chose the record of a call: all who see the call, now and later, see the choice.
    pub fn choose(&self, call: &CallKey, record: &RecordId) {
        let mut guard = self.lock();
        let screens = &mut *guard;
        screens.remember_choice(call, record);
        for seat in screens.seats.values_mut() {
            if seat.screen.choose(call, record, screens.last + 1) {
                seat.changed.send_replace(());
                screens.last += 1;
            }
        }
    }

    /// Watches an agent's screen. With a known id: what was missed since. With an unknown one: `gap` and the live cards. Without: those.
    ///
    /// # Errors
    /// When the agent has too many streams open.
    pub fn subscribe(
        &self,
        extension: &Extension,
        last_event_id: Option<&str>,
    ) -> Result<Subscription, TooManyStreams> {
        let mut screens = self.lock();
        let seat = screens.seat(extension);
        if Arc::strong_count(&seat.presence) > MAX_STREAMS {
            return Err(TooManyStreams);
        }
        let (changed, presence) = (seat.changed.subscribe(), Arc::clone(&seat.presence));
        let (taken, waiting) = screens.catch_up(extension, last_event_id);
        Ok(Subscription {
            hub: self.clone(),
            extension: extension.clone(),
            taken,
            waiting,
            changed,
            _presence: presence,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Screens> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// The next event; waits for it. Nothing is lost when the wait is given up.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return event;
            }
            self.changed.borrow_and_update();
            let (taken, waiting) = self.hub.lock().read_on(&self.extension, self.taken);
            (self.taken, self.waiting) = (taken, waiting);
            if self.waiting.is_empty() && self.changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Screens {
    fn show(&mut self, mut pop: Pop, kind: Kind) {
        if let Some((_, record)) = self.choices.iter().find(|(call, _)| *call == pop.call) {
            pop.choose(record);
        }
        let number = self.last + 1;
        let extension = pop.extension.clone();
        let seat = self.seat(&extension);
        if seat.screen.show(pop, kind, number) {
            seat.changed.send_replace(());
            self.last = number;
        }
    }

    fn seat(&mut self, extension: &Extension) -> &mut Seat {
        if self.seats.len() >= MAX_SCREENS && !self.seats.contains_key(extension) {
            self.seats.retain(|_, seat| seat.is_watched() || !seat.screen.is_blank());
        }
        self.seats.entry(extension.clone()).or_default()
    }

    fn remember_choice(&mut self, call: &CallKey, record: &RecordId) {
        self.choices.retain(|(known, _)| known != call);
        if self.choices.len() >= MAX_CHOICES {
            self.choices.pop_front();
        }
        self.choices.push_back((call.clone(), record.clone()));
    }

    fn catch_up(&mut self, extension: &Extension, last_event_id: Option<&str>) -> (u64, VecDeque<Event>) {
        let seen = last_event_id.and_then(|id| self.number_of(id));
        if let Some(seen) = seen
            && self.seat(extension).screen.remembers(seen)
        {
            return self.read_on(extension, seen);
        }
        let gap = last_event_id.map(|_| self.gap());
        let live = self.seat(extension).screen.live();
        (self.last, self.events(gap.into_iter().chain(live)))
    }

    fn read_on(&mut self, extension: &Extension, taken: u64) -> (u64, VecDeque<Event>) {
        let Some(seat) = self.seats.get(extension) else {
            return (self.last, VecDeque::new());
        };
        let recent: Vec<_> = seat.screen.after(taken).collect();
        if seat.screen.remembers(taken) {
            return (self.last, self.events(recent));
        }
        let still_live: Vec<_> = seat.screen.live_before_recent().collect();
        let gap = self.gap();
        let events = self.events([gap].into_iter().chain(still_live).chain(recent));
        (self.last, events)
    }

    /// A number of its own, so that a reader that comes back with it misses nothing.
    fn gap(&mut self) -> Numbered {
        self.last += 1;
        Numbered { number: self.last, kind: Kind::Gap, data: r#"{"reason":"events were missed"}"#.into() }
    }

    fn events(&self, numbered: impl IntoIterator<Item = Numbered>) -> VecDeque<Event> {
        numbered
            .into_iter()
            .map(|event| Event {
                id: format!("{}-{}", self.run, event.number),
                name: kind_name(event.kind),
                data: event.data,
            })
            .collect()
    }

    /// The number in an id of this run.
    fn number_of(&self, id: &str) -> Option<u64> {
        let (run, number) = id.split_once('-')?;
        let number = number.parse().ok()?;
        (run == self.run.to_string() && number <= self.last).then_some(number)
    }
}

impl Seat {
    fn is_watched(&self) -> bool {
        Arc::strong_count(&self.presence) > 1
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Pop => "pop",
        Kind::Update => "update",
        Kind::Withdraw => "withdraw",
        Kind::Gap => "gap",
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
