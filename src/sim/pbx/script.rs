//! Calls that never took place: a [`Script`] says who does what and when, a [`Reel`] is the frames that Asterisk would send for it.
//!
//! ```
//! use ctibridge::sim::pbx::script::{Caller, Ids, Script};
//!
//! let erika = Caller::new("+493023125444", "Erika Muster");
//! let script = Script::inbound(&erika, "+493023125101").ring(&["101"]).after(2_000).answer("101").talk(5_000).hangup_by_caller();
//! let reel = script.reel("2026-11-21T17:42:47.890Z".parse()?, &Ids::new(0))?;
//! assert!(reel.cues.len() > 50);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bridge;
mod call;
mod ending;
mod ids;
mod leg;
mod ringing;
mod stage;
mod transfer;

use std::time::Duration;

use jiff::Timestamp;

pub use ids::Ids;

use call::Call;
use leg::Party;
use stage::Stage;
use transfer::Show;

/// Somebody outside, as the carrier presents them: the number as sent, the name often empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub number: String,
    pub name: String,
}

impl Caller {
    #[must_use]
    pub fn new(number: &str, name: &str) -> Self {
        Self { number: number.into(), name: name.into() }
    }

    /// Somebody who sends no number at all.
    #[must_use]
    pub fn withheld() -> Self {
        Self::new("anonymous", "Anonymous")
    }

    /// The same caller as most carriers send them: with a number only.
    #[must_use]
    pub fn nameless(&self) -> Self {
        Self::new(&self.number, "")
    }
}

/// One frame and when it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// From the start of the call.
    pub at: Duration,
    pub frame: String,
}

/// A channel variable that no frame tells, and the answer to whoever asks REST for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub channel: String,
    pub name: String,
    pub value: String,
}

/// The frames of one call in their order, and what REST would say besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reel {
    pub cues: Vec<Cue>,
    pub variables: Vec<Variable>,
}

/// An act that cannot happen where the script has it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    #[error("phone {0} is to answer, but does not ring")]
    DoesNotRing(String),
    #[error("{0} takes two who talk, and nobody does")]
    NobodyTalks(&'static str),
    #[error("a transfer is to be completed or given up, but no consultation was begun")]
    NoConsultation,
    #[error("something is to happen after the end of the call")]
    Over,
}

/// How the called side refuses a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 486
    Busy,
    /// 404
    WrongNumber,
    /// 603
    Declined,
    /// 480
    Unavailable,
}

/// Who does what and when. Acts happen in the order in which they are named; only [`Script::after`], [`Script::talk`] and
/// [`Script::hold`] take time.
#[derive(Debug, Clone)]
pub struct Script {
    opening: Opening,
    acts: Vec<Act>,
}

#[derive(Debug, Clone)]
enum Opening {
    Inbound { from: Caller, did: String, presentation: Option<&'static str> },
    Outbound { agent: String, number: String },
    Internal { from: String, to: String },
}

#[derive(Debug, Clone)]
enum Act {
    Ring(Vec<String>),
    Queue(String),
    RingOutside,
    After(Duration),
    Answer(String),
    AnswerOutside,
    NoAnswer,
    Refuse(Refusal),
    Hold,
    Unhold,
    BlindTransfer(String),
    Consult(String),
    CompleteTransfer,
    GiveUpTransfer,
    HangupByCaller,
    HangupByCallee,
}

impl Script {
    /// Somebody outside dials a number of the firm.
    #[must_use]
    pub fn inbound(from: &Caller, did: &str) -> Self {
        Self::open(Opening::Inbound { from: from.clone(), did: did.into(), presentation: None })
    }

    /// As [`Script::inbound`], with a number that the carrier passes on in trust but marks as private:
    /// the frames show it, and only the variable `CALLERID(pres)` says that nobody may see it.
    #[must_use]
    pub fn inbound_private(from: &Caller, did: &str) -> Self {
        let presentation = Some("prohib_not_screened");
        Self::open(Opening::Inbound { from: from.clone(), did: did.into(), presentation })
    }

    /// An agent's phone dials a number outside.
    #[must_use]
    pub fn outbound(agent: &str, number: &str) -> Self {
        Self::open(Opening::Outbound { agent: agent.into(), number: number.into() })
    }

    /// One phone dials another; [`Script::ring`] it next.
    #[must_use]
    pub fn internal(from: &str, to: &str) -> Self {
        Self::open(Opening::Internal { from: from.into(), to: to.into() })
    }

    /// These phones ring, all at once; in a queue the next ones after [`Script::no_answer`].
    #[must_use]
    pub fn ring(self, phones: &[&str]) -> Self {
        self.then(Act::Ring(phones.iter().map(|phone| (*phone).to_owned()).collect()))
    }

    /// The line is answered and the caller waits in a queue; [`Script::ring`] its members next.
    #[must_use]
    pub fn queue(self, name: &str) -> Self {
        self.then(Act::Queue(name.into()))
    }

    /// The number dialled outside begins to ring.
    #[must_use]
    pub fn ring_outside(self) -> Self {
        self.then(Act::RingOutside)
    }

    /// Time passes.
    #[must_use]
    pub fn after(self, milliseconds: u64) -> Self {
        self.then(Act::After(Duration::from_millis(milliseconds)))
    }

    /// A phone that rings is picked up.
    #[must_use]
    pub fn answer(self, phone: &str) -> Self {
        self.then(Act::Answer(phone.into()))
    }

    /// The number dialled outside answers.
    #[must_use]
    pub fn answer_outside(self) -> Self {
        self.then(Act::AnswerOutside)
    }

    /// They talk.
    #[must_use]
    pub fn talk(self, milliseconds: u64) -> Self {
        self.after(milliseconds)
    }

    /// The PBX gives up on the phones that ring: a queue goes on to the next, any other call ends.
    #[must_use]
    pub fn no_answer(self) -> Self {
        self.then(Act::NoAnswer)
    }

    /// The one who is called refuses, and the call ends.
    #[must_use]
    pub fn refuse(self, how: Refusal) -> Self {
        self.then(Act::Refuse(how))
    }

    /// The agent puts the other on hold for a while.
    #[must_use]
    pub fn hold(self, milliseconds: u64) -> Self {
        self.then(Act::Hold).after(milliseconds).then(Act::Unhold)
    }

    /// The agent sends the other on by REFER; the target rings next.
    #[must_use]
    pub fn blind_transfer(self, to: &str) -> Self {
        self.then(Act::BlindTransfer(to.into()))
    }

    /// The agent puts the other on hold and calls a colleague, who rings next.
    #[must_use]
    pub fn consult(self, to: &str) -> Self {
        self.then(Act::Consult(to.into()))
    }

    /// The agent joins the two whom they talk with, and is out.
    #[must_use]
    pub fn complete_transfer(self) -> Self {
        self.then(Act::CompleteTransfer)
    }

    /// The agent ends the consultation and returns to the other.
    #[must_use]
    pub fn give_up_transfer(self) -> Self {
        self.then(Act::GiveUpTransfer)
    }

    /// Whoever began the call hangs up: before an answer, or after.
    #[must_use]
    pub fn hangup_by_caller(self) -> Self {
        self.then(Act::HangupByCaller)
    }

    /// The other side hangs up.
    #[must_use]
    pub fn hangup_by_callee(self) -> Self {
        self.then(Act::HangupByCallee)
    }

    /// How long the call takes from its first frame to about its last.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.acts.iter().map(|act| if let Act::After(time) = act { *time } else { Duration::ZERO }).sum()
    }

    /// The frames of one performance that begins at `start`. Each performance with the same [`Ids`] has channels of its own.
    ///
    /// # Errors
    /// An act cannot happen where the script has it.
    pub fn reel(&self, start: Timestamp, ids: &Ids) -> Result<Reel, ScriptError> {
        let mut stage = Stage::new(start, ids);
        let mut show = Show::new(self.begin(&mut stage));
        for act in &self.acts {
            show.perform(&mut stage, act)?;
        }
        Ok(stage.into_reel())
    }

    fn begin(&self, stage: &mut Stage<'_>) -> Call {
        match &self.opening {
            Opening::Inbound { from, did, presentation } => {
                let call = Call::from_trunk(stage, Party::new(&from.name, &from.number), did);
                if let Some(presentation) = presentation {
                    stage.set_variable(&call.caller, "CALLERID(pres)", presentation);
                    stage.set_variable(&call.caller, "CALLERID(num-pres)", presentation);
                }
                call
            }
            Opening::Outbound { agent, number } => Call::to_trunk(stage, agent, number),
            Opening::Internal { from, to } => Call::from_phone(stage, from, to),
        }
    }

    fn open(opening: Opening) -> Self {
        Self { opening, acts: Vec::new() }
    }

    fn then(mut self, act: Act) -> Self {
        self.acts.push(act);
        self
    }
}

#[cfg(test)]
mod tests;
