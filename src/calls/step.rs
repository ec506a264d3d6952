//! What the tracker tells the rest of the program.

use super::record::{CallKey, CallRecord, Extension, OpenCall};

/// One thing for the rest of the program to do. Steps of one call come in order, and what is to be kept of it before it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The call is new or has changed: keep what is known of it on disk.
    Keep(OpenCall),
    /// Put the call on this agent's screen; at most once for a call and an agent.
    Pop { call: OpenCall, extension: Extension, state: PopState },
    /// What this agent's screen shows has changed.
    Update { call: OpenCall, extension: Extension, state: PopState },
    /// Take the call off this agent's screen.
    Withdraw { call: CallKey, extension: Extension, reason: WithdrawReason },
    /// The call is over; exactly once for a call.
    Ended(CallRecord),
    /// What was kept under this key is no call of its own: it became part of `into`, or never was one.
    Forget { call: CallKey, into: Option<CallKey> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PopState {
    Ringing,
    Answered,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithdrawReason {
    AnsweredElsewhere,
    CallerGone,
    /// The call went on to somewhere else.
    Moved,
}
