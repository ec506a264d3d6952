//! A call as it is told to the rest of the program: while it runs ([`OpenCall`]) and when it is over ([`CallRecord`]).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::phone::PhoneNumber;

/// `NAME-FEED-` and what makes the call unique at the PBX, in `[A-Za-z0-9_-]`, at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallKey(String);

/// The number of one of our phones, as its colleagues dial it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Extension(pub String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Inbound,
    Outbound,
    Internal,
}

/// How a finished call came out, in the words that land in Salesforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disposition {
    Answered,
    Missed,
    /// The caller left a queue.
    Abandoned,
    /// A mailbox answered.
    Voicemail,
    Busy,
    NoAnswer,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HungUpBy {
    OutsideParty,
    Agent,
    PhoneSystem,
}

/// The person outside, in either direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideParty {
    pub number: PhoneNumber,
    /// As the PBX presents it; control characters taken out. `None` when withheld.
    pub name: Option<String>,
}

/// What one agent had to do with a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPart {
    pub extension: Extension,
    /// A phone of this agent rang for the call.
    pub rang: bool,
    /// This agent placed the call.
    pub dialed: bool,
    /// Time spoken with the outside party, in milliseconds; hold and consultation not counted.
    pub talk_ms: i64,
    /// When this agent last spoke with the outside party.
    pub last_talk: Option<Timestamp>,
}

/// One thing that happened to a call, for the story in the Task's description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JourneyStep {
    pub at: Timestamp,
    pub what: Happening,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    Started,
    /// The caller came into this queue.
    Queued(String),
    Rang(Extension),
    Answered(Extension),
    /// One of those that it rang at, and it is not known who.
    AnsweredBySomeone,
    /// The outside party of an outbound call answered, or the one that a call was forwarded to.
    OutsideAnswered,
    Held(Extension),
    Resumed(Extension),
    /// By whom, if it is known, and to what (an extension or an outside number, as it was dialled).
    Transferred {
        by: Option<Extension>,
        to: Option<String>,
    },
    Parked(Option<Extension>),
    /// A colleague came in without having been rung: pickup, parking, conference.
    Joined(Extension),
    Left(Extension),
    Voicemail,
    Ended(Option<HungUpBy>),
}

/// Everything that is known of a call that is not over.
///
/// It is what the journal keeps of it from its first ring, so that a restarted daemon takes the call up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCall {
    pub key: CallKey,
    /// Name of the feed that told of it.
    pub feed: String,
    pub direction: Direction,
    pub party: OutsideParty,
    /// As it was dialled: the DID of an inbound call, the digits of an outbound one.
    pub dialed: String,
    pub queue: Option<String>,
    pub started: Timestamp,
    /// First answer by a person.
    pub answered: Option<Timestamp>,
    /// In the order in which they came to the call.
    pub agents: Vec<AgentPart>,
    pub journey: Vec<JourneyStep>,
    /// The PBX's ids of the legs that lead outside; the call is taken up again by them.
    pub outside_legs: Vec<String>,
    /// What another feed of the same phone system calls it; none of these is a call of its own.
    #[serde(default)]
    pub aliases: Vec<CallKey>,
    /// The last time stamp of the PBX that the call was known to be up.
    pub seen: Timestamp,
    /// A mailbox has answered.
    pub voicemail: bool,
}

/// A finished call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    pub call: OpenCall,
    pub ended: Timestamp,
    /// When nobody saw the end: it lies between these two; `ended` is the first.
    pub end_estimated: Option<(Timestamp, Timestamp)>,
    pub disposition: Disposition,
    pub hung_up_by: Option<HungUpBy>,
}

impl CallKey {
    /// From the names of the bridge and the feed and the PBX's own id of the call.
    #[must_use]
    pub fn new(bridge: &str, feed: &str, unique: &str) -> Self {
        Self(super::key::compose(bridge, feed, unique))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of one agent's part of the call.
    #[must_use]
    pub fn of_agent(&self, extension: &Extension) -> String {
        super::key::of_agent(&self.0, &extension.0)
    }
}

impl std::fmt::Display for CallKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for Extension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Disposition {
    /// As the Task's `CallDisposition` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "Answered",
            Self::Missed => "Missed",
            Self::Abandoned => "Abandoned",
            Self::Voicemail => "Voicemail",
            Self::Busy => "Busy",
            Self::NoAnswer => "No answer",
            Self::Failed => "Failed",
        }
    }
}

impl Direction {
    /// `inbound`, `outbound`, `internal`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Internal => "internal",
        }
    }
}

impl OpenCall {
    /// Whether this is its key, or what another feed calls it.
    #[must_use]
    pub fn is_called(&self, key: &str) -> bool {
        self.key.as_str() == key || self.aliases.iter().any(|alias| alias.as_str() == key)
    }
}

impl CallRecord {
    /// Whole seconds from the first answer by a person to the end, rounded; 0 when nobody answered.
    #[must_use]
    pub fn duration_seconds(&self) -> i64 {
        let answered = match self.disposition {
            Disposition::Answered => self.call.answered,
            Disposition::Missed
            | Disposition::Abandoned
            | Disposition::Voicemail
            | Disposition::Busy
            | Disposition::NoAnswer
            | Disposition::Failed => None,
        };
        answered.map_or(0, |at| ((self.ended.as_millisecond() - at.as_millisecond()).max(0) + 500) / 1000)
    }
}
