//! One call while it runs: who it is with, who of us has to do with it, and what of it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::event::{Cause, LegId, Presentation};
use super::record::{
    AgentPart, CallKey, CallRecord, Direction, Disposition, Extension, Happening, HungUpBy, JourneyStep, OpenCall,
    OutsideParty,
};
use super::screen::{Screen, Tell, Turn};
use super::step::{PopState, Step};
use crate::phone::PhoneNumber;

/// The tracker's own number of a call, in the order in which calls began.
pub(super) type CallId = u64;

/// So soon before a transfer a phone takes the line off hold, as part of it.
const TRANSFER_HOLD: SignedDuration = SignedDuration::from_secs(1);
/// The longest story that is kept of a call; what comes later is left out of it, not out of the times.
const MAX_JOURNEY: usize = 200;

#[derive(Debug)]
pub(super) struct Call {
    /// What is known of it, as if its number might be shown.
    facts: OpenCall,
    presentation: Presentation,
    /// The leg that began it, while that is known.
    pub root: Option<LegId>,
    /// Legs that lead outside and live; the first of all is the outside party's own.
    pub outside: Vec<LegId>,
    pub primary: Option<LegId>,
    in_queue: bool,
    screens: BTreeMap<Extension, Screen>,
    /// Phones that speak with the outside party, and since when.
    talking: BTreeMap<LegId, (Extension, Timestamp)>,
    /// Phones that have spoken with the outside party.
    have_talked: BTreeSet<LegId>,
    hangup: Option<HungUpBy>,
    /// The agent who placed the call gave up before it was answered.
    agent_gave_up: bool,
    /// Why the last leg to the outside party ended.
    outside_cause: Option<Cause>,
    /// Steps wait until the presentation is known, or until then.
    hold: Option<(Instant, Vec<Step>)>,
    changed: bool,
    /// A part of it was seen to go on in this other call.
    pub absorbed_by: Option<CallId>,
    /// Of a restored call: extensions that have not yet said whether it lives there.
    unsettled: BTreeSet<Extension>,
}

/// What a call begins with.
pub(super) struct Beginning {
    pub key: CallKey,
    pub feed: String,
    pub direction: Direction,
    pub number: PhoneNumber,
    pub name: Option<String>,
    pub dialed: String,
    pub started: Timestamp,
    pub presentation: Presentation,
    pub root: LegId,
}

impl Call {
    pub fn new(beginning: Beginning) -> Self {
        let started = beginning.started;
        let mut call = Self::restore(OpenCall {
            key: beginning.key,
            feed: beginning.feed,
            direction: beginning.direction,
            party: OutsideParty { number: beginning.number, name: beginning.name },
            dialed: beginning.dialed,
            queue: None,
            started,
            answered: None,
            agents: Vec::new(),
            journey: Vec::new(),
            outside_legs: Vec::new(),
            aliases: Vec::new(),
            seen: started,
            voicemail: false,
        });
        call.presentation = beginning.presentation;
        call.root = Some(beginning.root);
        call.note(started, Happening::Started);
        call
    }

    /// A call that an earlier run of the daemon left open. Its agents have had their pops.
    pub fn restore(facts: OpenCall) -> Self {
        let screens: BTreeMap<_, _> =
            facts.agents.iter().map(|part| (part.extension.clone(), Screen::Withdrawn)).collect();
        Self {
            unsettled: screens.keys().cloned().collect(),
            facts,
            screens,
            presentation: Presentation::Unknown,
            root: None,
            outside: Vec::new(),
            primary: None,
            in_queue: false,
            talking: BTreeMap::new(),
            have_talked: BTreeSet::new(),
            hangup: None,
            agent_gave_up: false,
            outside_cause: None,
            hold: None,
            changed: false,
            absorbed_by: None,
        }
    }

    pub fn key(&self) -> &CallKey {
        &self.facts.key
    }

    pub fn direction(&self) -> Direction {
        self.facts.direction
    }

    pub fn started(&self) -> Timestamp {
        self.facts.started
    }

    pub fn seen(&self) -> Timestamp {
        self.facts.seen
    }

    /// An earlier run left it open, and nothing of it has been seen to live since.
    pub fn is_relic(&self) -> bool {
        self.root.is_none() && self.outside.is_empty()
    }

    /// This extension has said what lives there, and the call is not among it. Tells whether no other is left to ask.
    pub fn settled_by(&mut self, extension: &Extension) -> bool {
        self.unsettled.remove(extension);
        self.unsettled.is_empty()
    }

    pub fn is_answered(&self) -> bool {
        self.facts.answered.is_some()
    }

    pub fn has_outside_party(&self) -> bool {
        self.facts.direction != Direction::Internal
    }

    pub fn was_outside(&self, leg: &LegId) -> bool {
        self.facts.outside_legs.contains(&leg.0)
    }

    /// The call as it may be told: without the number when it is withheld, or not yet known not to be.
    pub fn view(&self) -> OpenCall {
        let mut view = self.facts.clone();
        let hidden = match self.presentation {
            Presentation::Withheld => true,
            Presentation::Awaited => self.hold.is_some(),
            Presentation::Allowed | Presentation::Unknown => false,
        };
        if hidden || view.party.number == PhoneNumber::Withheld {
            view.party = OutsideParty { number: PhoneNumber::Withheld, name: None };
        }
        view
    }

    // ---- telling

    /// Passes steps on, unless they must wait for the presentation.
    pub fn tell(&mut self, step: Step, out: &mut Vec<Step>) {
        match &mut self.hold {
            Some((_, steps)) => steps.push(step),
            None => out.push(step),
        }
    }

    /// Says what changed since the last time, for the disk: not held back, but without a number that is not known to be shown.
    pub fn keep(&mut self, seen: Timestamp, out: &mut Vec<Step>) {
        if std::mem::take(&mut self.changed) {
            self.facts.seen = self.facts.seen.max(seen);
            out.push(Step::Keep(self.view()));
        }
    }

    /// The same without a change, so that the disk knows until when it was seen.
    pub fn touch(&mut self) {
        self.changed = true;
    }

    pub fn turn(&mut self, extension: &Extension, turn: Turn, out: &mut Vec<Step>) {
        if !self.has_outside_party() {
            return;
        }
        let Some(tell) = self.screens.entry(extension.clone()).or_insert(Screen::Blank).turn(turn) else {
            return;
        };
        let (call, extension) = (self.view(), extension.clone());
        let step = match tell {
            Tell::Pop(state) => Step::Pop { call, extension, state },
            Tell::Update(state) => Step::Update { call, extension, state },
            Tell::Withdraw(reason) => Step::Withdraw { call: call.key, extension, reason },
        };
        self.tell(step, out);
    }

    pub fn turn_all(&mut self, turn: Turn, but: Option<&Extension>, out: &mut Vec<Step>) {
        let others: Vec<_> = self.screens.keys().filter(|extension| Some(*extension) != but).cloned().collect();
        for extension in others {
            self.turn(&extension, turn, out);
        }
    }

    /// Turns the screens of those whose phones ring, or rang a moment ago.
    pub fn turn_ringing(&mut self, turn: Turn, out: &mut Vec<Step>) {
        let ringing = self.screens.iter().filter(|(_, screen)| screen.shown() == Some(PopState::Ringing));
        for extension in ringing.map(|(extension, _)| extension.clone()).collect::<Vec<_>>() {
            self.turn(&extension, turn, out);
        }
    }

    /// A phone takes the line off hold to transfer it: that is told as the transfer alone.
    pub fn transferred(&mut self, at: Timestamp, by: Option<Extension>, to: Option<String>) {
        let taken_back = by.clone().map(Happening::Resumed);
        if self.facts.journey.last().is_some_and(|step| {
            Some(&step.what) == taken_back.as_ref() && at.duration_since(step.at).abs() < TRANSFER_HOLD
        }) {
            self.facts.journey.pop();
        }
        self.note(at, Happening::Transferred { by, to });
    }

    pub fn note(&mut self, at: Timestamp, what: Happening) {
        if self.facts.journey.len() < MAX_JOURNEY {
            self.facts.journey.push(JourneyStep { at, what });
        }
        self.facts.seen = self.facts.seen.max(at);
        self.changed = true;
    }

    // ---- presentation

    pub fn hold_until(&mut self, until: Instant) {
        self.hold = Some((until, Vec::new()));
    }

    pub fn awaits_presentation(&self) -> bool {
        self.presentation == Presentation::Awaited
    }

    /// The presentation is known now: what was held back goes out, and what was told already is corrected.
    pub fn present(&mut self, presentation: Presentation, out: &mut Vec<Step>) {
        let before = self.view().party;
        self.presentation = presentation;
        let was_held = self.hold.is_some();
        self.release(out);
        if self.view().party != before {
            self.changed = true;
            if !was_held {
                self.correct_screens(out);
            }
        }
    }

    /// Lets go what was held back, with the party as it may be told now.
    pub fn release(&mut self, out: &mut Vec<Step>) {
        let Some((_, steps)) = self.hold.take() else {
            return;
        };
        let party = self.view().party;
        self.changed = true;
        for mut step in steps {
            match &mut step {
                Step::Pop { call, .. } | Step::Update { call, .. } => call.party = party.clone(),
                Step::Keep(_) | Step::Withdraw { .. } | Step::Ended(_) | Step::Forget { .. } => {}
            }
            out.push(step);
        }
    }

    fn correct_screens(&mut self, out: &mut Vec<Step>) {
        for (extension, screen) in &self.screens {
            if let Some(state) = screen.shown() {
                out.push(Step::Update { call: self.view(), extension: extension.clone(), state });
            }
        }
    }

    // ---- people

    /// Changes what is known of an agent, who is new to the call if need be.
    pub fn agent(&mut self, extension: &Extension, change: impl FnOnce(&mut AgentPart)) {
        self.changed = true;
        if let Some(part) = self.facts.agents.iter_mut().find(|part| part.extension == *extension) {
            return change(part);
        }
        let mut part =
            AgentPart { extension: extension.clone(), rang: false, dialed: false, talk_ms: 0, last_talk: None };
        change(&mut part);
        self.facts.agents.push(part);
    }

    /// Whether this phone speaks with the outside party for the first time.
    pub fn first_words(&mut self, leg: &LegId) -> bool {
        self.have_talked.insert(leg.clone())
    }

    pub fn has_talked(&self, extension: &Extension) -> bool {
        self.facts.agents.iter().any(|part| part.extension == *extension && part.last_talk.is_some())
    }

    /// Who speaks with the outside party now, by leg. Returns those who began with this.
    pub fn set_talking(&mut self, now: &BTreeMap<LegId, Extension>, at: Timestamp) -> Vec<(LegId, Extension)> {
        let ended: Vec<_> = self.talking.keys().filter(|leg| !now.contains_key(*leg)).cloned().collect();
        for leg in ended {
            if let Some((extension, since)) = self.talking.remove(&leg) {
                self.agent(&extension, |part| {
                    part.talk_ms += (at.as_millisecond() - since.as_millisecond()).max(0);
                    part.last_talk = Some(at);
                });
            }
        }
        let begun: Vec<_> = now.iter().filter(|(leg, _)| !self.talking.contains_key(*leg)).collect();
        begun
            .into_iter()
            .map(|(leg, extension)| {
                self.talking.insert(leg.clone(), (extension.clone(), at));
                (leg.clone(), extension.clone())
            })
            .collect()
    }

    pub fn answer(&mut self, at: Timestamp) {
        self.facts.answered.get_or_insert(at);
        self.in_queue = false;
        self.hangup = None;
        self.changed = true;
    }

    // ---- what runs, and who is outside

    pub fn queue(&mut self, name: &str, at: Timestamp) {
        self.in_queue = true;
        if self.facts.queue.as_deref() != Some(name) {
            self.facts.queue = Some(name.to_owned());
            self.note(at, Happening::Queued(name.to_owned()));
        }
    }

    pub fn out_of_queue(&mut self) {
        self.in_queue = false;
    }

    pub fn voicemail(&mut self, at: Timestamp) {
        self.in_queue = false;
        if !self.facts.voicemail {
            self.facts.voicemail = true;
            self.note(at, Happening::Voicemail);
        }
    }

    pub fn add_outside(&mut self, leg: &LegId) {
        self.primary.get_or_insert_with(|| leg.clone());
        if !self.outside.contains(leg) {
            self.outside.push(leg.clone());
        }
        if !self.was_outside(leg) {
            self.facts.outside_legs.push(leg.0.clone());
            self.changed = true;
        }
    }

    pub fn remove_outside(&mut self, leg: &LegId, cause: Cause) {
        self.outside.retain(|other| other != leg);
        self.outside_cause = Some(cause);
    }

    /// An internal call turned to the outside.
    pub fn turn_outbound(&mut self, number: PhoneNumber, dialed: String) {
        self.facts.direction = Direction::Outbound;
        self.facts.party = OutsideParty { number, name: None };
        self.facts.dialed = dialed;
        self.facts.answered = None;
        self.changed = true;
    }

    pub fn hangup_asked(&mut self, by: HungUpBy, gave_up: bool) {
        self.hangup = Some(by);
        // Once nobody outside is rung any more, the agent only puts an end to the tone that says why.
        let is_awaited = !self.has_outside_party() || !self.outside.is_empty();
        self.agent_gave_up |= gave_up && is_awaited && self.facts.answered.is_none();
    }

    /// Takes over who of `other` still has to do with the call, and its outside legs. Talk of the consultation does not count.
    pub fn absorb(&mut self, other: &Self, present: &[(Extension, bool)]) {
        for (extension, rang) in present {
            self.agent(extension, |part| part.rang |= rang);
        }
        for leg in &other.outside {
            self.add_outside(leg);
        }
    }

    // ---- end

    /// The finished call. Time goes by the PBX's stamps.
    pub fn finish(&mut self, ended: Timestamp, estimated: Option<(Timestamp, Timestamp)>) -> CallRecord {
        self.set_talking(&BTreeMap::new(), ended);
        let unsaid = (self.outside_cause != Some(Cause::Untold)).then_some(HungUpBy::PhoneSystem);
        let hung_up_by = if estimated.is_some() { None } else { self.hangup.or(unsaid) };
        self.note(ended, Happening::Ended(hung_up_by));
        CallRecord { call: self.view(), ended, end_estimated: estimated, disposition: self.disposition(), hung_up_by }
    }

    fn disposition(&self) -> Disposition {
        if self.facts.answered.is_some() {
            return Disposition::Answered;
        }
        match self.facts.direction {
            Direction::Inbound if self.facts.voicemail => Disposition::Voicemail,
            Direction::Inbound if self.in_queue => Disposition::Abandoned,
            Direction::Inbound => Disposition::Missed,
            Direction::Outbound | Direction::Internal if self.agent_gave_up => Disposition::NoAnswer,
            Direction::Outbound | Direction::Internal => match self.outside_cause {
                Some(Cause::Busy) => Disposition::Busy,
                Some(Cause::Failed) => Disposition::Failed,
                Some(Cause::NoAnswer | Cause::Normal | Cause::Untold) | None => Disposition::NoAnswer,
            },
        }
    }

    /// The next moment at which time alone changes something.
    pub fn deadline(&self) -> Option<Instant> {
        let hold = self.hold.as_ref().map(|(until, _)| *until);
        self.screens.values().filter_map(|screen| screen.deadline()).chain(hold).min()
    }

    /// Time has passed.
    pub fn clock(&mut self, now: Instant, out: &mut Vec<Step>) {
        if self.hold.as_ref().is_some_and(|(until, _)| *until <= now) {
            self.release(out);
        }
        self.turn_all(Turn::Clock(now), None, out);
    }
}
