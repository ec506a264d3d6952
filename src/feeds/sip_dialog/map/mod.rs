//! What extensions show, put together into calls. Pure: documents and the time come in, events go out.
//!
//! Each extension tells of its own dialogs only. Which of them are one call, in this order:
//!
//! 1. Dialogs with one Call-ID, where it is a real one.
//! 2. A dialog whose local identity is a number of its own, not the extension: a proxy that lets Call-IDs through, so a call of its
//!    own (a second call from the same number is one, too).
//! 3. Else (a B2BUA, or a transfer) a dialog with an outside party joins the call of that party which
//!    rings elsewhere (ring group) or stopped ringing unanswered less than [`PAUSE`] ago (queue, forwarding), or
//!    is talked at another extension that lets go of it within [`HANDOVER`] of this one ringing (transfer). A proxy's talk moves on
//!    as soon as the extension itself, not a number, is rung by the party. Of two withheld parties that ring, only those are one that began within [`AT_ONCE`].
//! 4. An extension that is rung by a colleague who then leaves has taken over the outside party that the colleague talked with.
//! 5. An extension that talks, out of the blue and with nobody named, within [`AT_ONCE`] of an unanswered call's last ring picked it up.
//!
//! All extensions that share a dialog (id and Call-ID) and are `confirmed` together were rung together, and one of them answered:
//! it is not told who, nor guessed.

mod call;
mod joins;
mod line;
mod party;
mod turns;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::info::{Dialog, Direction, EndEvent, State};
use crate::calls::event::{CallEvent, Cause, DialState, Leg, LegId, Origin, Presentation, Side, What};
use crate::calls::feed::{Known, LiveLeg, Scope};
use crate::calls::record::Extension;
use crate::phone::NumberPlan;
use call::{Kind, Talk, TalkId};
use line::{Line, LineKey, Phase};
use party::Party;

/// An unanswered call that rings nowhere is over after this long: queues ring the next phone within it.
pub const PAUSE: SignedDuration = SignedDuration::from_secs(6);
/// An answered call at no extension is over after this long.
pub const HANDOVER: SignedDuration = SignedDuration::from_secs(1);
/// Things that a phone system does in one go are told within this time.
pub const AT_ONCE: SignedDuration = SignedDuration::from_millis(300);
/// How long the first of several extensions that share a dialog waits for the others' `confirmed`.
const TOGETHER: SignedDuration = SignedDuration::from_millis(150);
/// A call that is confirmed for longer than this and was never said to have ended is taken to be over.
const MAX_TALK: SignedDuration = SignedDuration::from_hours(8);

/// Nothing rings for longer: proxies give up after three minutes (RFC 3261 16.6, timer C).
const MAX_RING: SignedDuration = SignedDuration::from_mins(10);

/// What a document comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    pub events: Vec<CallEvent>,
    /// An extension talks or rings and the PBX does not say with whom.
    pub nameless: bool,
}

/// The calls of all watched extensions.
#[derive(Debug)]
pub struct Map {
    plan: NumberPlan,
    watched: BTreeSet<Extension>,
    talks: BTreeMap<TalkId, Talk>,
    lines: BTreeMap<LineKey, Line>,
    /// Dialogs that have ended and are still listed. Kamailio keeps listing one as `early`, where two of its processes
    /// published it at once: a dialog that was terminated stays so (RFC 4235 3.7.1).
    over: BTreeSet<LineKey>,
    next: TalkId,
    now: Timestamp,
    out: Mapped,
}

impl Map {
    #[must_use]
    pub fn new(plan: NumberPlan, watched: impl IntoIterator<Item = Extension>) -> Self {
        Self {
            plan,
            watched: watched.into_iter().collect(),
            talks: BTreeMap::new(),
            lines: BTreeMap::new(),
            over: BTreeSet::new(),
            next: 0,
            now: Timestamp::UNIX_EPOCH,
            out: Mapped::default(),
        }
    }

    /// All dialogs that an extension shows now.
    pub fn shows<'a>(
        &mut self,
        extension: &Extension,
        dialogs: impl IntoIterator<Item = &'a Dialog>,
        now: Timestamp,
    ) -> Mapped {
        self.now = now;
        let mut listed = BTreeSet::new();
        for dialog in dialogs {
            let key = (extension.clone(), dialog.key().to_owned());
            self.dialog(&key, dialog);
            listed.insert(key.1);
        }
        self.over.retain(|(of, id)| of != extension || listed.contains(id));
        let unlisted = self.lines.keys().filter(|(of, id)| of == extension && !listed.contains(id)).cloned();
        for key in unlisted.collect::<Vec<_>>() {
            self.vanish(&key);
        }
        std::mem::take(&mut self.out)
    }

    /// What lives at an extension, for [`Known`]; to be asked after [`shows`](Self::shows).
    #[must_use]
    pub fn known(&self, extension: &Extension) -> Known {
        let mut legs: BTreeMap<LegId, LiveLeg> = BTreeMap::new();
        for ((of, _), line) in &self.lines {
            if of != extension {
                continue;
            }
            for (talk, leg) in line.parts() {
                let Some(talk) = self.talks.get(&talk) else { continue };
                if let Some(live) = talk.far_leg() {
                    legs.entry(live.leg.id.clone()).or_insert(live);
                }
                legs.entry(leg.clone()).or_insert_with(|| line.live_leg(of, leg, talk));
            }
        }
        // The far side of a call comes before the phone that it had called.
        let mut legs: Vec<LiveLeg> = legs.into_values().collect();
        legs.sort_by_key(|live| live.dialed_by.is_some());
        Known { scope: Scope::Extension(extension.clone()), legs, at: Some(self.now), read_at: Some(self.now) }
    }

    /// When [`clock`](Self::clock) is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let talks = self.talks.values().filter_map(Talk::deadline);
        let lines = self.lines.values().filter_map(Line::deadline);
        talks.chain(lines).min()
    }

    /// Time has passed.
    pub fn clock(&mut self, now: Timestamp) -> Mapped {
        self.now = now;
        for (key, line) in self.lines.clone() {
            if line.deadline().is_some_and(|at| at <= now) {
                self.line_due(&key, &line);
            }
        }
        for id in self.talks.keys().copied().collect::<Vec<_>>() {
            if self.talks.get(&id).and_then(Talk::deadline).is_some_and(|at| at <= now) {
                self.talk_due(id);
            }
        }
        std::mem::take(&mut self.out)
    }

    // ---- one dialog

    fn dialog(&mut self, key: &LineKey, dialog: &Dialog) {
        if dialog.state == Some(State::Terminated) && party::call_id(dialog, &key.0).is_some() {
            self.over.insert(key.clone());
        }
        let party = Party::read(dialog, &key.0, &self.plan, &self.watched);
        let known = self.lines.get(key).map(|line| line.phase);
        match (known, dialog.state) {
            (_, None)
            | (None, Some(State::Terminated))
            | (Some(Phase::Dialing), Some(State::Trying | State::Early)) => {}
            (Some(_), Some(State::Terminated)) => self.ends(key, dialog),
            (None, Some(_)) if self.over.contains(key) => {}
            (None, Some(State::Trying | State::Early)) => self.begins(key, dialog, &party),
            (None, Some(State::Confirmed)) => {
                self.begins(key, dialog, &party);
                self.confirmed(key);
            }
            (Some(Phase::Ringing | Phase::Dialing), Some(State::Confirmed)) => self.confirmed(key),
            (Some(Phase::Talking), Some(State::Trying | State::Early)) => self.rings_besides(key, dialog, &party),
            (Some(Phase::Talking), Some(State::Confirmed)) => self.rings_no_more_besides(key),
            (Some(Phase::Ringing), Some(State::Trying | State::Early)) => self.rings_on(key, dialog, &party),
        }
        if let Some(line) = self.lines.get_mut(key) {
            line.seen = self.now;
        }
        self.hold(key, dialog.held);
    }

    /// The extension had nothing of this dialog yet.
    fn begins(&mut self, key: &LineKey, dialog: &Dialog, party: &Party) {
        let began = dialog.duration.map_or(self.now, |seconds| self.now - SignedDuration::from_secs(seconds.into()));
        let line = Line::new(key, dialog, began, self.now);
        let initiates = dialog.direction == Some(Direction::Initiator);
        self.lines.insert(key.clone(), line);
        match party {
            Party::Unknown => self.begins_nameless(key),
            Party::Colleague(other) if initiates => self.calls_colleague(key, dialog, other),
            Party::Colleague(other) => self.called_by_colleague(key, dialog, other),
            Party::Outside { .. } if initiates => self.calls_outside(key, dialog, party),
            Party::Outside { .. } => self.called_from_outside(key, dialog, party),
        }
    }

    fn begins_nameless(&mut self, key: &LineKey) {
        let at_once = self.lines.get(key).is_some_and(|line| line.is_confirmed_at_once);
        if at_once && (self.takes_call_of_colleague(key) || self.picks_up(key)) {
            return;
        }
        self.out.nameless = true;
    }

    fn called_from_outside(&mut self, key: &LineKey, dialog: &Dialog, party: &Party) {
        let (number, withheld) = (party.number().to_owned(), party.is_withheld());
        let id = match self.call_to_join(key, dialog, &number, withheld) {
            Some(id) => id,
            None if self.is_talked_elsewhere(key, dialog, &number) => return self.undecided(key, dialog),
            None => self.begin_inbound(key, dialog, &number),
        };
        self.ring(key, id);
    }

    fn begin_inbound(&mut self, key: &LineKey, dialog: &Dialog, number: &str) -> TalkId {
        let mut talk = Talk::new(Kind::Inbound, self.leg_id(key, dialog), number, dialog, &key.0, self.now);
        let far = Leg {
            id: talk.far_id.clone(),
            side: Side::Outside,
            origin: Origin::CallsIn,
            number: number.to_owned(),
            name: dialog.name.clone(),
            dialed: party::dialed(dialog, &key.0),
            presentation: Presentation::Unknown,
        };
        talk.far = Some(far.clone());
        self.tell(What::Appeared(far));
        self.add(talk)
    }

    /// A phone rings in a call that there is.
    fn ring(&mut self, key: &LineKey, id: TalkId) {
        let Some(talk) = self.talks.get_mut(&id) else { return };
        let (far, moves) = (talk.far_id.clone(), talk.answered && talk.kind != Kind::Internal);
        talk.quiet = None;
        let Some(line) = self.lines.get_mut(key) else { return };
        line.enter(id);
        let leg = line.leg(key);
        let (id, talk) = (leg.id.clone(), id);
        self.tell(What::Appeared(leg));
        if moves && !self.is_consulted(&key.0, talk) {
            self.tell_transfer(&key.0, &far);
        }
        self.tell(What::Dial { from: Some(far), to: id, state: DialState::Ringing, number: None });
    }

    /// A call that is talked goes on with the colleague who was consulted about it.
    fn is_consulted(&mut self, colleague: &Extension, id: TalkId) -> bool {
        let talks = self.lines.iter().filter(|((of, _), line)| of != colleague && line.call == Some(id));
        let agents: Vec<(Extension, LegId)> = talks
            .filter(|(_, line)| line.joined.is_some())
            .map(|((of, _), line)| (of.clone(), line.leg_id.clone()))
            .collect();
        for (agent, first) in agents {
            let by_agent = |talk: &Talk| talk.kind == Kind::Internal && talk.party == agent.0;
            let with_colleague =
                |id: TalkId| self.lines.iter().any(|((of, _), line)| of == colleague && line.call == Some(id));
            let found = self.talks.iter().find(|(other, talk)| by_agent(talk) && with_colleague(**other));
            if let Some(from) = found.map(|(other, _)| *other) {
                self.take_over(id, from, first);
                return true;
            }
        }
        false
    }

    /// A call that is talked is passed on without talking to the next.
    fn tell_transfer(&mut self, to: &Extension, far: &LegId) {
        let talking = self.lines.values().find(|line| {
            line.phase == Phase::Talking
                && line.call.and_then(|id| self.talks.get(&id)).is_some_and(|talk| talk.far_id == *far)
        });
        let by = talking.map_or_else(|| far.clone(), |line| line.leg_id.clone());
        self.tell(What::BlindTransfer { by, transferee: Some(far.clone()), target: to.0.clone() });
    }

    fn calls_outside(&mut self, key: &LineKey, dialog: &Dialog, party: &Party) {
        let mut talk = Talk::new(Kind::Outbound, self.leg_id(key, dialog), party.number(), dialog, &key.0, self.now);
        let far = Leg {
            id: talk.far_id.clone(),
            side: Side::Outside,
            origin: Origin::IsCalled,
            number: String::new(),
            name: String::new(),
            dialed: String::new(),
            presentation: Presentation::Allowed,
        };
        talk.far = Some(far.clone());
        let id = self.next + 1;
        let Some(line) = self.lines.get_mut(key) else { return };
        line.enter(id);
        party.number().clone_into(&mut line.dialed);
        let (phone, to) = (line.leg(key), far.id.clone());
        talk.root = Some(phone.id.clone());
        self.add(talk);
        let from = Some(phone.id.clone());
        self.tell(What::Appeared(phone));
        self.tell(What::Appeared(far));
        self.tell(What::Dial { from, to, state: DialState::Ringing, number: Some(party.number().to_owned()) });
    }

    fn add(&mut self, talk: Talk) -> TalkId {
        self.next += 1;
        self.talks.insert(self.next, talk);
        self.next
    }

    /// The leg that a call is told apart by: its Call-ID, the same after a restart; else where and when it began.
    fn leg_id(&self, key: &LineKey, dialog: &Dialog) -> LegId {
        let plain = party::call_id(dialog, &key.0).map(str::to_owned);
        let free = |id: &String| self.talks.values().all(|talk| talk.far_id.0 != *id);
        LegId(plain.filter(free).unwrap_or_else(|| format!("{}.{}.{}", key.0, self.now.as_millisecond(), self.next)))
    }

    fn tell(&mut self, what: What) {
        self.tell_at(self.now, what);
    }

    fn tell_at(&mut self, at: Timestamp, what: What) {
        self.out.events.push(CallEvent { at, what });
    }
}

/// Why a leg ended, as far as the dialog says.
fn cause(dialog: &Dialog) -> Cause {
    match (dialog.code, dialog.event) {
        (Some(486 | 600), _) => Cause::Busy,
        (Some(408 | 480 | 487 | 603), _) => Cause::NoAnswer,
        (Some(400..=699), _) | (None, Some(EndEvent::Error)) => Cause::Failed,
        (_, Some(EndEvent::Cancelled | EndEvent::Rejected | EndEvent::Timeout)) => Cause::NoAnswer,
        (_, Some(EndEvent::LocalBye | EndEvent::RemoteBye)) => Cause::Normal,
        (_, Some(EndEvent::Replaced | EndEvent::Error) | None) => Cause::Untold,
    }
}
