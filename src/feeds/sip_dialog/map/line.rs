//! One dialog of one extension.

use jiff::Timestamp;

use super::call::{Kind, Talk, TalkId};
use super::{MAX_RING, MAX_TALK, party};
use crate::calls::event::{Application, BridgeId, BridgeKind, Leg, LegId, Origin, Presentation, Side};
use crate::calls::feed::{LiveBridge, LiveLeg};
use crate::calls::record::Extension;
use crate::feeds::sip_dialog::info::{Dialog, Direction, State};

/// The extension, and the dialog's id there.
pub(super) type LineKey = (Extension, String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Ringing,
    Dialing,
    Talking,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub phase: Phase,
    pub leg_id: LegId,
    pub call: Option<TalkId>,
    /// The phone was called; else it called.
    pub is_callee: bool,
    /// What the phone dialled.
    pub dialed: String,
    /// It is heard in its call's bridge since.
    pub joined: Option<Timestamp>,
    pub held: bool,
    pub began: Timestamp,
    /// When a document last listed it.
    pub seen: Timestamp,
    /// It was confirmed when it first showed.
    pub is_confirmed_at_once: bool,
    /// Its Call-ID and id, which other extensions may share.
    pub shared: (String, String),
    /// Another call that rings here while this one is talked, where one dialog stands for all of an extension.
    pub besides: Option<(TalkId, LegId)>,
    /// Whether it is a call of its own or another's transfer shows until then.
    pub undecided: Option<(Timestamp, Dialog)>,
}

impl Line {
    pub fn new(key: &LineKey, dialog: &Dialog, began: Timestamp, now: Timestamp) -> Self {
        let initiates = dialog.direction == Some(Direction::Initiator);
        let is_confirmed_at_once = dialog.state == Some(State::Confirmed);
        Self {
            phase: if initiates { Phase::Dialing } else { Phase::Ringing },
            leg_id: LegId(format!("{}/{}/{}", key.0, key.1, now.as_millisecond())),
            call: None,
            is_callee: !initiates,
            dialed: String::new(),
            joined: None,
            held: false,
            began,
            seen: now,
            is_confirmed_at_once,
            shared: (party::call_id(dialog, &key.0).unwrap_or_default().to_owned(), dialog.id.clone()),
            besides: None,
            undecided: None,
        }
    }

    pub fn enter(&mut self, id: TalkId) {
        self.call = Some(id);
        self.undecided = None;
    }

    /// It is up, and it is not told with whom.
    pub fn is_nameless(&self) -> bool {
        self.call.is_none() && self.undecided.is_none()
    }

    /// The phone's leg, as it appears.
    pub fn leg(&self, key: &LineKey) -> Leg {
        phone(&key.0, self.leg_id.clone(), self.phase == Phase::Dialing, &self.dialed)
    }

    /// Its legs and the calls that they are in.
    pub fn parts(&self) -> impl Iterator<Item = (TalkId, &LegId)> {
        let own = self.call.map(|id| (id, &self.leg_id));
        let besides = self.besides.as_ref().map(|(id, leg)| (*id, leg));
        own.into_iter().chain(besides)
    }

    pub fn live_leg(&self, extension: &Extension, id: &LegId, talk: &Talk) -> LiveLeg {
        let own = *id == self.leg_id;
        let dialing = own && (self.phase == Phase::Dialing || talk.root.as_ref() == Some(id));
        let bridge = self.joined.filter(|_| own).map(|since| talk.bridge(since));
        LiveLeg {
            leg: phone(extension, id.clone(), dialing, &self.dialed),
            since: self.began,
            ringing: bridge.is_none() && !dialing,
            bridge,
            dialed_by: (!dialing).then(|| talk.far_id.clone()),
            application: Application::Other,
        }
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        let longest = if self.phase == Phase::Talking { MAX_TALK } else { MAX_RING };
        let undecided = self.undecided.as_ref().map(|(until, _)| *until);
        undecided.into_iter().chain([self.began + longest]).min()
    }
}

pub(super) fn phone(extension: &Extension, id: LegId, calls: bool, dialed: &str) -> Leg {
    Leg {
        id,
        side: Side::Phone(extension.clone()),
        origin: if calls { Origin::CallsIn } else { Origin::IsCalled },
        number: extension.0.clone(),
        name: String::new(),
        dialed: dialed.to_owned(),
        presentation: Presentation::Allowed,
    }
}

impl Talk {
    pub fn bridge(&self, since: Timestamp) -> LiveBridge {
        LiveBridge { id: BridgeId(self.far_id.0.clone()), kind: BridgeKind::Mixing, since }
    }

    /// The far side's leg, for a snapshot; of an internal call the leg of the colleague who called, where it stands for itself.
    pub fn far_leg(&self) -> Option<LiveLeg> {
        let leg = self.far.clone()?;
        let dialed_by = if self.kind == Kind::Outbound { self.root.clone() } else { None };
        Some(LiveLeg {
            leg,
            since: self.began,
            ringing: false,
            bridge: self.answered_at.map(|since| self.bridge(since)),
            dialed_by,
            application: Application::Other,
        })
    }
}
