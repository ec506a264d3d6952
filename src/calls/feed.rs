//! What a feed tells: that it is up and what it sees, each event, and that it is lost. A feed says its gaps.

use jiff::Timestamp;

use super::event::{BridgeId, BridgeKind, CallEvent, Leg, LegId};
use super::record::Extension;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedMessage {
    /// Connected: this is what lives now. Comes before any event of the connection.
    Up(Snapshot),
    Call(CallEvent),
    /// What lives in this scope from here on is unknown until its next `Up`; `reason` is for the operator.
    Lost {
        scope: Scope,
        reason: String,
    },
}

/// What part of a feed a message speaks of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Scope {
    /// All of it.
    #[default]
    Feed,
    /// The phones of one extension, where a feed watches each by itself. A call belongs to the extensions whose phones are in it.
    Extension(Extension),
}

/// What a feed sees when it comes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snapshot {
    /// Every leg that lives in its scope: a call of that scope that is not among them is over.
    Known(Known),
    /// This feed cannot tell; its calls stay uncertain.
    Unknowable,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    pub scope: Scope,
    pub legs: Vec<LiveLeg>,
    /// The latest time stamp of the PBX's own clock in the snapshot, if there is any.
    pub at: Option<Timestamp>,
    /// When it was read, by the clock of this machine: what is not in it had ended by then.
    pub read_at: Option<Timestamp>,
}

/// A leg that lived before the feed came up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveLeg {
    pub leg: Leg,
    /// When the leg began.
    pub since: Timestamp,
    /// Its far end rings.
    pub ringing: bool,
    pub bridge: Option<LiveBridge>,
    /// Who called it, as far as it can be told.
    pub dialed_by: Option<LegId>,
    pub application: super::event::Application,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveBridge {
    pub id: BridgeId,
    pub kind: BridgeKind,
    pub since: Timestamp,
}
