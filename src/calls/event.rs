//! What any phone system can say about its calls.
//!
//! A *leg* is one line between the PBX and a phone or a carrier (Asterisk: channel, SIP: dialog). A *bridge* is where legs hear
//! each other. Adapters translate their words into these and add nothing: what it means is the tracker's business.

use jiff::Timestamp;

use super::record::Extension;

/// The PBX's id of a leg, unique for as long as the PBX runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub String);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BridgeId(pub String);

/// Something that happened, with the PBX's own time stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallEvent {
    pub at: Timestamp,
    pub what: What,
}

/// Where a leg leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// Over a trunk, to somebody outside.
    Outside,
    /// To a phone of this agent.
    Phone(Extension),
    /// Nowhere: one of the two halves of a link inside the PBX (Asterisk: Local channel). Halves with one name hear each other.
    Link(String),
}

/// Who began the leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The far end called the PBX.
    CallsIn,
    /// The PBX called the far end.
    IsCalled,
}

/// A leg as it is when it appears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    pub id: LegId,
    pub side: Side,
    pub origin: Origin,
    /// The number that the far end presents, raw. Of a leg that the PBX called: not reliable.
    pub number: String,
    /// The name that the far end presents, raw.
    pub name: String,
    /// What the far end dialled, raw: the DID on a leg from outside, the digits on a leg from a phone.
    pub dialed: String,
    /// Whether the number may be shown.
    pub presentation: Presentation,
}

/// Whether a caller's number may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presentation {
    /// The adapter is finding out and will say [`What::Presentation`].
    Awaited,
    Allowed,
    Withheld,
    /// It cannot be found out: go by the number alone.
    Unknown,
}

/// How the PBX's attempt to reach a leg stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialState {
    Started,
    /// It rings, or plays early media.
    Ringing,
    Answered,
    /// It came to nothing; the leg's own end says why.
    Over,
}

/// Why a leg ended, as its far end or the network said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Normal,
    Busy,
    /// Nobody answered, or the far end declined.
    NoAnswer,
    /// Not to be reached: no such number, no line, refused by the carrier.
    Failed,
    /// The PBX does not say; nor is it known who hung up.
    Untold,
}

/// What runs on a leg instead of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Application {
    Queue(String),
    Voicemail,
    /// Anything else: dialling, an announcement, a menu.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Appeared(Leg),
    /// The answer to [`Presentation::Awaited`].
    Presentation {
        leg: LegId,
        presentation: Presentation,
    },
    /// The PBX tries to reach `to` on behalf of `from`.
    Dial {
        /// `None`: on nobody's behalf that is known (click to call, callback).
        from: Option<LegId>,
        to: LegId,
        state: DialState,
        /// The number on the wire, when `to` leads outside.
        number: Option<String>,
    },
    /// The far end rings, told of the leg alone.
    Ringing(LegId),
    /// `leg` runs this application; `dialed`: the extension that it is at now.
    Runs {
        leg: LegId,
        application: Application,
        dialed: String,
    },
    Joined {
        leg: LegId,
        bridge: BridgeId,
        kind: BridgeKind,
    },
    Left {
        leg: LegId,
        bridge: BridgeId,
    },
    /// Somebody answered the call of this leg from outside; the PBX does not say who of those that it rang.
    AnsweredBySomeone(LegId),
    Held(LegId),
    Resumed(LegId),
    /// `by` sent `transferee` on to `target` without talking to anybody there.
    BlindTransfer {
        by: LegId,
        transferee: Option<LegId>,
        target: String,
    },
    /// The two calls of one phone become one: of `first` (held) and `second` (the consultation; the same leg with feature codes).
    /// `target` is the leg that was consulted, where the PBX says it.
    AttendedTransfer {
        first: LegId,
        second: LegId,
        target: Option<LegId>,
    },
    /// The far end asked for the end; `cancelled`: before the PBX's answer had reached it.
    HangupAsked {
        leg: LegId,
        cancelled: bool,
    },
    Gone {
        leg: LegId,
        cause: Cause,
    },
    /// The leg is over, and nobody saw when: it was there at `seen`.
    Lost {
        leg: LegId,
        seen: Timestamp,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgeKind {
    /// All hear each other.
    Mixing,
    /// Nobody does: parking, music.
    Holding,
}
