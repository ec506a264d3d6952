//! Which call a new line belongs to: the rules at the head of [`super`].

use super::call::{Kind, Talk, TalkId};
use super::line::{LineKey, Phase, phone};
use super::{AT_ONCE, HANDOVER, Map, TOGETHER, party};
use crate::calls::event::What;
use crate::calls::record::Extension;
use crate::feeds::sip_dialog::info::Dialog;

impl Map {
    /// Rules 1 to 3.
    pub(super) fn call_to_join(&self, key: &LineKey, dialog: &Dialog, number: &str, withheld: bool) -> Option<TalkId> {
        if let Some(id) = self.with_call_id(dialog, &key.0) {
            return Some(id);
        }
        if !party::dialed(dialog, &key.0).is_empty() {
            return None;
        }
        let mut of_party = self.talks.iter().filter(|(_, talk)| talk.kind != Kind::Internal && talk.party == number);
        of_party.find(|(id, talk)| self.is_passed_on(**id, talk, key, withheld)).map(|(id, _)| *id)
    }

    fn is_passed_on(&self, id: TalkId, talk: &Talk, key: &LineKey, withheld: bool) -> bool {
        if talk.answered {
            let within = if withheld { AT_ONCE } else { HANDOVER };
            let by_other = talk.left_by.as_ref() != Some(&key.0);
            let let_go = by_other && talk.quiet.is_some_and(|since| self.now.duration_since(since) <= within);
            let by_proxy = talk.is_end_to_end && self.talks_elsewhere(id, &key.0) && !withheld;
            return let_go || by_proxy;
        }
        let rings = talk.quiet.is_none() && (!withheld || self.now.duration_since(talk.began) <= AT_ONCE);
        talk.kind == Kind::Inbound && (rings || talk.quiet.is_some())
    }

    fn with_call_id(&self, dialog: &Dialog, own: &Extension) -> Option<TalkId> {
        let call_id = party::call_id(dialog, own)?;
        self.talks.iter().find(|(_, talk)| talk.call_id.as_deref() == Some(call_id)).map(|(id, _)| *id)
    }

    /// Somebody else talks with this party now, and may be about to pass it on.
    pub(super) fn is_talked_elsewhere(&self, key: &LineKey, dialog: &Dialog, number: &str) -> bool {
        party::dialed(dialog, &key.0).is_empty()
            && self.talks.iter().any(|(id, talk)| {
                talk.kind != Kind::Internal
                    && talk.answered
                    && talk.party == number
                    && self.talks_elsewhere(*id, &key.0)
            })
    }

    fn talks_elsewhere(&self, id: TalkId, own: &Extension) -> bool {
        self.lines.iter().any(|((of, _), line)| of != own && line.call == Some(id) && line.phase == Phase::Talking)
    }

    /// It has shown by now whether the call is another's that was passed on, or one of its own.
    pub(super) fn decide(&mut self, key: &LineKey) {
        let Some((_, dialog)) = self.lines.get_mut(key).and_then(|line| line.undecided.take()) else {
            return;
        };
        let party = super::Party::read(&dialog, &key.0, &self.plan, &self.watched);
        let number = party.number();
        let id = match self.call_to_join(key, &dialog, number, party.is_withheld()) {
            Some(id) => id,
            None => self.begin_inbound(key, &dialog, number),
        };
        self.ring(key, id);
    }

    pub(super) fn decide_all(&mut self) {
        let undecided = self.lines.iter().filter(|(_, line)| line.undecided.is_some()).map(|(key, _)| key.clone());
        for key in undecided.collect::<Vec<_>>() {
            self.decide(&key);
        }
    }

    // ---- colleagues

    pub(super) fn calls_colleague(&mut self, key: &LineKey, dialog: &Dialog, other: &Extension) {
        let known = self.with_call_id(dialog, &key.0).or_else(|| self.internal_call_of(&key.0));
        if let Some(id) = known.filter(|id| self.takes_place_of_caller(key, *id)) {
            return self.set_dialed(key, id, other);
        }
        let Some(line) = self.lines.get_mut(key) else { return };
        other.0.clone_into(&mut line.dialed);
        let leg = line.leg(key);
        let mut talk = Talk::new(Kind::Internal, leg.id.clone(), &key.0.0, dialog, &key.0, self.now);
        talk.root = Some(leg.id.clone());
        let id = self.add(talk);
        if let Some(line) = self.lines.get_mut(key) {
            line.enter(id);
        }
        self.tell(What::Appeared(leg));
    }

    fn set_dialed(&mut self, key: &LineKey, id: TalkId, other: &Extension) {
        if let Some(line) = self.lines.get_mut(key) {
            line.enter(id);
            other.0.clone_into(&mut line.dialed);
        }
    }

    pub(super) fn called_by_colleague(&mut self, key: &LineKey, dialog: &Dialog, other: &Extension) {
        let known = self.with_call_id(dialog, &key.0).or_else(|| self.internal_call_of(other));
        let id = match known {
            Some(id) => id,
            None => self.begin_internal(key, dialog, other),
        };
        self.ring(key, id);
    }

    /// The call that this extension placed to a colleague and that is not answered.
    fn internal_call_of(&self, caller: &Extension) -> Option<TalkId> {
        let is_it = |talk: &Talk| talk.kind == Kind::Internal && talk.party == caller.0 && !talk.answered;
        self.talks.iter().find(|(_, talk)| is_it(talk)).map(|(id, _)| *id)
    }

    /// The caller's own line is the one that came up with nobody named a moment ago; else a leg stands for it.
    fn begin_internal(&mut self, key: &LineKey, dialog: &Dialog, caller: &Extension) -> TalkId {
        let nameless = self.lines.iter_mut().find(|((of, _), line)| {
            of == caller && line.is_nameless() && self.now.duration_since(line.began) <= HANDOVER
        });
        let (leg, is_line) = match nameless {
            Some((of, line)) => {
                (line.phase, line.is_callee) = (Phase::Dialing, false);
                key.0.0.clone_into(&mut line.dialed);
                line.call = Some(self.next + 1);
                (line.leg(of), true)
            }
            None => {
                let id = format!("{}/{}/{}", caller.0, key.0.0, self.now.as_millisecond());
                (phone(caller, crate::calls::event::LegId(id), true, &key.0.0), false)
            }
        };
        let mut talk = Talk::new(Kind::Internal, leg.id.clone(), &caller.0, dialog, &key.0, self.now);
        talk.root = Some(leg.id.clone());
        talk.far = (!is_line).then(|| leg.clone());
        let id = self.add(talk);
        self.tell(What::Appeared(leg));
        id
    }

    /// An extension came up with nobody named, and a colleague's phone has just begun to ring on its behalf.
    pub(super) fn takes_call_of_colleague(&mut self, key: &LineKey) -> bool {
        let fresh = |talk: &&Talk| self.now.duration_since(talk.began) <= HANDOVER;
        let id = self.internal_call_of(&key.0).filter(|id| self.talks.get(id).as_ref().is_some_and(|it| fresh(it)));
        let Some(id) = id.filter(|id| self.takes_place_of_caller(key, *id)) else {
            return false;
        };
        if let Some(line) = self.lines.get_mut(key) {
            line.enter(id);
            (line.phase, line.is_callee) = (Phase::Dialing, false);
        }
        true
    }

    /// The leg that stood for the caller is this line from now on. False when another is already.
    fn takes_place_of_caller(&mut self, key: &LineKey, id: TalkId) -> bool {
        let Some(far) = self.talks.get_mut(&id).and_then(|talk| talk.far.take_if(|_| talk.kind == Kind::Internal))
        else {
            return false;
        };
        if let Some(line) = self.lines.get_mut(key) {
            line.leg_id = far.id;
        }
        true
    }

    // ---- pickup

    /// Rule 5, when the one that picked up is told first or last.
    pub(super) fn picks_up(&mut self, key: &LineKey) -> bool {
        let now = self.now;
        let stopped = |talk: &Talk| talk.quiet.is_some_and(|since| now.duration_since(since) <= AT_ONCE);
        let open = |talk: &Talk| talk.kind == Kind::Inbound && !talk.answered && stopped(talk);
        let Some(id) = self.talks.iter().find(|(_, talk)| open(talk)).map(|(id, _)| *id) else {
            return false;
        };
        self.adopt(key, id);
        true
    }

    pub(super) fn is_picked_up(&mut self, id: TalkId) {
        let now = self.now;
        let fresh = self.lines.iter().find(|(_, line)| {
            line.is_nameless() && line.phase == Phase::Talking && now.duration_since(line.began) <= AT_ONCE
        });
        if let Some(key) = fresh.map(|(key, _)| key.clone()) {
            self.adopt(&key, id);
        }
    }

    fn adopt(&mut self, key: &LineKey, id: TalkId) {
        if let Some(talk) = self.talks.get_mut(&id) {
            talk.quiet = None;
        }
        let Some(line) = self.lines.get_mut(key) else { return };
        line.enter(id);
        line.phase = Phase::Talking;
        let (leg, at) = (phone(&key.0, line.leg_id.clone(), true, ""), line.began);
        self.tell_at(at, What::Appeared(leg));
        self.join(key, at);
    }

    /// How long undecided lines wait.
    pub(super) fn undecided(&mut self, key: &LineKey, dialog: &Dialog) {
        if let Some(line) = self.lines.get_mut(key) {
            line.undecided = Some((self.now + TOGETHER, dialog.clone()));
        }
    }
}
