//! One agent's screen: the cards on it and the events that led there. Pure: the hub numbers the events and wakes the readers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::pop::Pop;
use crate::calls::record::{CallKey, Extension};
use crate::calls::step::WithdrawReason;
use crate::salesforce::RecordId;

/// Events kept for those who come back; what is older is lost to them, and they are told `gap`.
const RECENT_EVENTS: usize = 128;
/// Calls remembered for an agent; beyond it the oldest are forgotten, those that are over first.
const MAX_CARDS: usize = 256;
/// How long a call that is over is remembered, so that a late word about it brings nothing back to life.
const REMEMBER: SignedDuration = SignedDuration::from_hours(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pop,
    Update,
    Withdraw,
    Gap,
}

/// An event with its number; all agents share one count.
#[derive(Clone)]
pub(super) struct Numbered {
    pub number: u64,
    pub kind: Kind,
    pub data: Arc<str>,
}

#[derive(Default)]
pub(super) struct Screen {
    recent: VecDeque<Numbered>,
    /// The number of the last event that `recent` had no room for.
    lost: u64,
    cards: BTreeMap<CallKey, Card>,
}

struct Card {
    /// Number and kind of the event that first showed it.
    number: u64,
    kind: Kind,
    pop: Pop,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Live,
    Withdrawn,
    Ended,
}

#[derive(Serialize)]
struct Withdrawal<'a> {
    call: &'a CallKey,
    extension: &'a Extension,
    reason: &'static str,
}

impl Screen {
    /// Shows or changes a card. False when it says nothing new about a call that is over.
    pub fn show(&mut self, pop: Pop, asked: Kind, number: u64) -> bool {
        let kind = match self.cards.get(&pop.call).map(|card| card.fate) {
            None => asked,
            Some(Fate::Live) => Kind::Update,
            Some(Fate::Withdrawn) if !pop.has_ended() => Kind::Update,
            Some(Fate::Ended) if pop.has_ended() => Kind::Update,
            Some(Fate::Withdrawn | Fate::Ended) => return false,
        };
        self.push(number, kind, &pop);
        self.keep(pop, kind, number);
        true
    }

    pub fn is_live(&self, call: &CallKey) -> bool {
        self.cards.get(call).is_some_and(|card| card.fate == Fate::Live)
    }

    /// Takes a card off. False when it is not on the screen.
    pub fn withdraw(&mut self, call: &CallKey, extension: &Extension, reason: WithdrawReason, number: u64) -> bool {
        let Some(card) = self.cards.get_mut(call).filter(|card| card.fate == Fate::Live) else {
            return false;
        };
        card.fate = Fate::Withdrawn;
        let withdrawal = Withdrawal { call, extension, reason: reason_name(reason) };
        self.push(number, Kind::Withdraw, &withdrawal);
        true
    }

    /// The agent chose a record for the call; false when no card shows it.
    pub fn choose(&mut self, call: &CallKey, record: &RecordId, number: u64) -> bool {
        let Some(card) = self.cards.get_mut(call).filter(|card| card.fate != Fate::Withdrawn) else {
            return false;
        };
        card.pop.choose(record);
        let pop = card.pop.clone();
        self.push(number, Kind::Update, &pop);
        true
    }

    /// Whether somebody who has seen up to this event can be told all that he missed.
    pub fn remembers(&self, number: u64) -> bool {
        number >= self.lost
    }

    /// The events behind this one.
    pub fn after(&self, number: u64) -> impl Iterator<Item = Numbered> + '_ {
        self.recent.iter().filter(move |event| event.number > number).cloned()
    }

    /// The live cards as they are now, under the numbers that first showed them.
    pub fn live(&self) -> Vec<Numbered> {
        let mut live: Vec<_> = self
            .cards
            .values()
            .filter(|card| card.fate == Fate::Live)
            .map(|card| numbered(card.number, card.kind, &card.pop))
            .collect();
        live.sort_by_key(|event| event.number);
        live
    }

    /// The live cards whose first event is no longer among the recent ones.
    pub fn live_before_recent(&self) -> impl Iterator<Item = Numbered> {
        let lost = self.lost;
        self.live().into_iter().filter(move |event| event.number <= lost)
    }

    /// Nothing on it: it may be forgotten when there are too many screens.
    pub fn is_blank(&self) -> bool {
        self.cards.values().all(|card| card.fate != Fate::Live)
    }

    #[cfg(test)]
    pub fn cards(&self) -> usize {
        self.cards.len()
    }

    fn push(&mut self, number: u64, kind: Kind, content: &impl Serialize) {
        if self.recent.len() >= RECENT_EVENTS
            && let Some(oldest) = self.recent.pop_front()
        {
            self.lost = oldest.number;
        }
        self.recent.push_back(numbered(number, kind, content));
    }

    fn keep(&mut self, pop: Pop, kind: Kind, number: u64) {
        let now = pop.at;
        let fate = if pop.has_ended() { Fate::Ended } else { Fate::Live };
        let card = self.cards.entry(pop.call.clone()).or_insert_with(|| Card { number, kind, pop: pop.clone(), fate });
        card.pop = pop;
        card.fate = fate;
        self.forget_old(now);
    }

    fn forget_old(&mut self, now: Timestamp) {
        self.cards.retain(|_, card| card.fate == Fate::Live || now.duration_since(card.pop.at) < REMEMBER);
        while self.cards.len() > MAX_CARDS {
            let oldest = self
                .cards
                .iter()
                .min_by_key(|(_, card)| (card.fate == Fate::Live, card.number))
                .map(|(call, _)| call.clone());
            let Some(oldest) = oldest else { return };
            self.cards.remove(&oldest);
        }
    }
}

fn numbered(number: u64, kind: Kind, content: &impl Serialize) -> Numbered {
    Numbered { number, kind, data: serde_json::to_string(content).unwrap_or_default().into() }
}

fn reason_name(reason: WithdrawReason) -> &'static str {
    match reason {
        WithdrawReason::AnsweredElsewhere => "answered-elsewhere",
        WithdrawReason::CallerGone => "caller-gone",
        WithdrawReason::Moved => "moved",
    }
}
