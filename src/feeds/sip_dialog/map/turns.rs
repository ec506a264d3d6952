//! What happens to a line that there is: it is answered, held, rings on, ends, or is not listed any more.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::call::{Kind, TalkId};
use super::line::{Line, LineKey, Phase, phone};
use super::{HANDOVER, Map, Party, TOGETHER, cause};
use crate::calls::event::{BridgeId, BridgeKind, Cause, DialState, LegId, What};
use crate::calls::record::Extension;
use crate::feeds::sip_dialog::info::{Dialog, EndEvent};

impl Map {
    // ---- answered

    pub(super) fn confirmed(&mut self, key: &LineKey) {
        self.decide(key);
        let Some(line) = self.lines.get_mut(key) else { return };
        let is_caller = line.phase == Phase::Dialing;
        line.phase = Phase::Talking;
        let Some(id) = line.call else { return };
        let Some(talk) = self.talks.get(&id) else { return };
        if talk.is_anyones || (is_caller && talk.kind == Kind::Internal) {
            return;
        }
        match self.shares(key, id) {
            Shares::Nobody => self.join(key, self.now),
            Shares::OneWhoTalks => {}
            Shares::Some => {
                if let Some(talk) = self.talks.get_mut(&id) {
                    talk.confirmed.get_or_insert((self.now + TOGETHER, BTreeSet::new())).1.insert(key.clone());
                }
                let rings = |line: &Line| line.call == Some(id) && line.phase == Phase::Ringing;
                if !self.lines.values().any(rings) {
                    self.settle_confirmed(id);
                }
            }
        }
    }

    /// Who else in the call shares this line's dialog.
    fn shares(&self, key: &LineKey, id: TalkId) -> Shares {
        let Some(own) = self.lines.get(key).filter(|line| !line.shared.0.is_empty()) else {
            return Shares::Nobody;
        };
        let others = self.lines.iter().filter(|((of, _), line)| *of != key.0 && line.call == Some(id));
        let sharing: Vec<_> = others.filter(|(_, line)| line.shared == own.shared && line.is_callee).collect();
        if sharing.iter().any(|(_, line)| line.joined.is_some()) {
            Shares::OneWhoTalks
        } else if sharing.is_empty() || !own.is_callee {
            Shares::Nobody
        } else {
            Shares::Some
        }
    }

    fn settle_confirmed(&mut self, id: TalkId) {
        let Some(talk) = self.talks.get_mut(&id) else { return };
        let Some((until, lines)) = talk.confirmed.take() else { return };
        let at = until - TOGETHER;
        if lines.len() < 2 {
            if let Some(key) = lines.first() {
                self.join(key, at);
            }
            return;
        }
        (talk.answered, talk.is_anyones, talk.answered_at) = (true, true, Some(at));
        let far = talk.far_id.clone();
        self.tell_at(at, What::AnsweredBySomeone(far));
    }

    /// The phone is heard by the far side.
    pub(super) fn join(&mut self, key: &LineKey, at: Timestamp) {
        let Some(line) = self.lines.get_mut(key) else { return };
        let Some(talk) = line.call.and_then(|id| self.talks.get_mut(&id)) else { return };
        line.joined = Some(at);
        talk.last_agent = Some(key.0.clone());
        let (leg, far) = (line.leg_id.clone(), talk.far_id.clone());
        let bridge = BridgeId(far.0.clone());
        let first = !std::mem::replace(&mut talk.answered, true);
        talk.answered_at.get_or_insert(at);
        if first {
            self.tell_at(at, What::Joined { leg: far, bridge: bridge.clone(), kind: BridgeKind::Mixing });
        }
        self.tell_at(at, What::Joined { leg, bridge, kind: BridgeKind::Mixing });
    }

    pub(super) fn hold(&mut self, key: &LineKey, held: bool) {
        let Some(line) = self.lines.get_mut(key).filter(|line| line.joined.is_some() && line.held != held) else {
            return;
        };
        line.held = held;
        let leg = line.leg_id.clone();
        self.tell(if held { What::Held(leg) } else { What::Resumed(leg) });
    }

    // ---- ringing

    /// The extension talks and its one dialog shows another call that rings.
    pub(super) fn rings_besides(&mut self, key: &LineKey, dialog: &Dialog, party: &Party) {
        let Party::Outside { number, withheld } = party else { return };
        let Some(line) = self.lines.get(key) else { return };
        let own = line.call.and_then(|id| self.talks.get(&id));
        if line.besides.is_some() || own.is_some_and(|talk| talk.party == *number) {
            return;
        }
        let id = match self.call_to_join(key, dialog, number, *withheld) {
            Some(id) => id,
            None => self.begin_inbound(key, dialog, number),
        };
        let leg = LegId(format!("{}/besides/{}", key.0, self.now.as_millisecond()));
        let Some(line) = self.lines.get_mut(key) else { return };
        line.besides = Some((id, leg.clone()));
        let Some(talk) = self.talks.get_mut(&id) else { return };
        talk.quiet = None;
        let from = Some(talk.far_id.clone());
        self.tell(What::Appeared(phone(&key.0, leg.clone(), false, "")));
        self.tell(What::Dial { from, to: leg, state: DialState::Ringing, number: None });
    }

    /// It stopped; whether the extension took it is not told, so it did not.
    pub(super) fn rings_no_more_besides(&mut self, key: &LineKey) {
        let Some((id, leg)) = self.lines.get_mut(key).and_then(|line| line.besides.take()) else {
            return;
        };
        self.tell(What::Gone { leg, cause: Cause::NoAnswer });
        self.falls_quiet(id);
    }

    /// It still rings, but it may be for another caller, where one dialog stands for all of an extension.
    pub(super) fn rings_on(&mut self, key: &LineKey, dialog: &Dialog, party: &Party) {
        let Some(line) = self.lines.get(key) else { return };
        let of = line.call.and_then(|id| self.talks.get(&id)).map(|talk| talk.party.as_str());
        let is_named_now = line.is_nameless() && *party != Party::Unknown;
        let is_another =
            line.shared.0.is_empty() && of.is_some_and(|of| *party != Party::Unknown && of != party.number());
        if is_named_now || is_another {
            self.take_off(key, Ending::Seen(Cause::NoAnswer));
            self.begins(key, dialog, party);
        }
    }

    // ---- the end

    pub(super) fn ends(&mut self, key: &LineKey, dialog: &Dialog) {
        self.decide(key);
        self.tell_who_hung_up(key, dialog.event);
        self.take_off(key, Ending::Seen(cause(dialog)));
    }

    /// A full document does not list it any more.
    pub(super) fn vanish(&mut self, key: &LineKey) {
        self.decide(key);
        let seen = self.lines.get(key).map_or(self.now, |line| line.seen);
        self.take_off(key, Ending::Unseen(seen));
    }

    /// It has been up for longer than a call can be. It may go on being listed: it is not followed any more.
    fn outlives_all_calls(&mut self, key: &LineKey, line: &Line) {
        self.take_off(key, Ending::Unseen(line.joined.unwrap_or(line.began)));
        let relic = Line { call: None, joined: None, besides: None, began: self.now, ..line.clone() };
        self.lines.insert(key.clone(), relic);
    }

    fn tell_who_hung_up(&mut self, key: &LineKey, event: Option<EndEvent>) {
        let Some(line) = self.lines.get(key) else { return };
        let Some(talk) = line.call.and_then(|id| self.talks.get(&id)) else { return };
        let (phone, far, calls) = (line.leg_id.clone(), talk.far_id.clone(), !line.is_callee);
        let asked = match event {
            Some(EndEvent::LocalBye) => Some((phone, false)),
            Some(EndEvent::RemoteBye) => Some((far, false)),
            Some(EndEvent::Cancelled) if calls => Some((phone, true)),
            Some(
                EndEvent::Cancelled | EndEvent::Rejected | EndEvent::Replaced | EndEvent::Error | EndEvent::Timeout,
            )
            | None => None,
        };
        if let Some((leg, cancelled)) = asked {
            self.tell(What::HangupAsked { leg, cancelled });
        }
    }

    fn take_off(&mut self, key: &LineKey, ending: Ending) {
        let Some(line) = self.lines.remove(key) else { return };
        if let Some(id) = line.call {
            self.pass_on(key, &line, id);
        }
        let parts: Vec<(TalkId, LegId)> = line.parts().map(|(id, leg)| (id, leg.clone())).collect();
        for (id, leg) in parts {
            match ending {
                Ending::Seen(cause) => {
                    self.tell(What::Gone { leg, cause });
                    if let Some(talk) = self.talks.get_mut(&id) {
                        (talk.cause, talk.left_by) = (cause, Some(key.0.clone()));
                    }
                    self.falls_quiet(id);
                }
                Ending::Unseen(last_seen) => {
                    self.tell(What::Lost { leg, seen: last_seen });
                    if self.has_no_lines(id)
                        && let Some(talk) = self.talks.remove(&id)
                    {
                        self.tell(What::Lost { leg: talk.far_id, seen: last_seen });
                    }
                }
            }
        }
    }

    fn has_no_lines(&self, id: TalkId) -> bool {
        !self.lines.values().any(|line| line.parts().any(|(of, _)| of == id))
    }

    fn falls_quiet(&mut self, id: TalkId) {
        if !self.has_no_lines(id) {
            return;
        }
        let now = self.now;
        let Some(talk) = self.talks.get_mut(&id) else { return };
        talk.quiet = Some(now);
        if talk.kind == Kind::Inbound && !talk.answered {
            self.is_picked_up(id);
        }
        self.decide_all();
    }

    /// Rule 4: whoever consulted a colleague is gone, and the colleague is not.
    fn pass_on(&mut self, key: &LineKey, line: &Line, id: TalkId) {
        let agent = &key.0;
        if self.lines.keys().any(|(of, _)| of == agent) {
            return;
        }
        let Some((into, first)) = self.talked_last(agent, line, id) else {
            return;
        };
        let consultation = |talk: &super::Talk| talk.kind == Kind::Internal && talk.party == agent.0;
        let found = self.talks.iter().find(|(other, talk)| consultation(talk) && !self.has_no_lines(**other));
        let Some(from) = found.map(|(other, _)| *other) else {
            return;
        };
        self.take_over(into, from, first);
    }

    /// The outside party that this extension talked with until now, and the leg by which the tracker knows the call.
    fn talked_last(&self, agent: &Extension, line: &Line, id: TalkId) -> Option<(TalkId, LegId)> {
        let own = self.talks.get(&id)?;
        if own.kind != Kind::Internal {
            return line.joined.is_some().then(|| (id, line.leg_id.clone()));
        }
        let now = self.now;
        let let_go = |talk: &super::Talk| talk.quiet.is_some_and(|since| now.duration_since(since) <= HANDOVER);
        let last = |talk: &super::Talk| talk.last_agent.as_ref() == Some(agent);
        let mut outside = self.talks.iter().filter(|(_, talk)| talk.kind != Kind::Internal && talk.answered);
        outside.find(|(_, talk)| let_go(talk) && last(talk)).map(|(id, talk)| (*id, talk.far_id.clone()))
    }

    /// A consultation becomes part of the call that it was about.
    pub(super) fn take_over(&mut self, into: TalkId, from: TalkId, first: LegId) {
        let moved = self.lines.iter_mut().filter(|(_, line)| line.call == Some(from) && line.is_callee);
        let mut legs = Vec::new();
        for (key, line) in moved {
            line.call = Some(into);
            legs.push((key.clone(), line.leg_id.clone(), line.joined.is_some()));
        }
        let (Some(gone), Some((_, second, _))) = (self.talks.remove(&from), legs.first().cloned()) else {
            return;
        };
        if let Some(talk) = self.talks.get_mut(&into) {
            talk.quiet = None;
        }
        self.tell(What::AttendedTransfer { first, second: second.clone(), target: Some(second) });
        if gone.far.is_some() {
            self.tell(What::Gone { leg: gone.far_id, cause: Cause::Normal });
        }
        for (key, ..) in legs.into_iter().filter(|(_, _, joined)| *joined) {
            self.join(&key, self.now);
        }
    }

    // ---- time

    pub(super) fn line_due(&mut self, key: &LineKey, line: &Line) {
        if line.undecided.is_some() {
            self.decide(key);
        } else {
            self.outlives_all_calls(key, line);
        }
    }

    pub(super) fn talk_due(&mut self, id: TalkId) {
        self.settle_confirmed(id);
        let Some(talk) = self.talks.get(&id) else { return };
        if talk.over_at().is_some_and(|at| at <= self.now)
            && let Some(talk) = self.talks.remove(&id)
        {
            self.tell_at(talk.quiet.unwrap_or(self.now), What::Gone { leg: talk.far_id, cause: talk.cause });
        }
    }
}

enum Shares {
    Nobody,
    OneWhoTalks,
    Some,
}

#[derive(Clone, Copy)]
enum Ending {
    Seen(Cause),
    /// And when it was last listed.
    Unseen(Timestamp),
}
