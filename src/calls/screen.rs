//! What one agent's screen shows of one call, and the one place that changes it.

use std::time::{Duration, Instant};

use super::step::{PopState, WithdrawReason};

/// A phone that stopped ringing while the call goes on may ring again (a queue's next round); after this long it is not shown any more.
const STILL_SHOWN: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Screen {
    /// Nothing was ever shown.
    Blank,
    /// The agent has placed the call, which is not answered.
    Dialing,
    /// It rings, or rang until `silent_since` and may again.
    Ringing {
        silent_since: Option<Instant>,
    },
    Talking,
    /// The agent's part is over; a card with the notes stays.
    Done,
    Withdrawn,
}

/// What may happen to a screen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Turn {
    /// The agent places the call.
    Dials,
    Rings,
    StopsRinging(Instant),
    Talks,
    /// The agent talks without having been rung: shown without the noise of a pop.
    TalksUnrung,
    /// No phone of the agent is in the call any more.
    Leaves,
    SomebodyElseAnswered,
    GoesOnElsewhere,
    CallOver,
    /// Time has passed.
    Clock(Instant),
}

/// What to tell the agent's screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    Pop(PopState),
    Update(PopState),
    Withdraw(WithdrawReason),
}

impl Screen {
    /// Moves the screen on and says what to tell it.
    pub fn turn(&mut self, turn: Turn) -> Option<Tell> {
        let (next, tell) = match (*self, turn) {
            (Self::Blank, Turn::Dials) => (Self::Dialing, Some(Tell::Pop(PopState::Ringing))),
            (Self::Blank, Turn::Rings) => (Self::Ringing { silent_since: None }, Some(Tell::Pop(PopState::Ringing))),
            (Self::Blank, Turn::Talks) => (Self::Talking, Some(Tell::Pop(PopState::Answered))),
            (Self::Blank, Turn::TalksUnrung) => (Self::Talking, Some(Tell::Update(PopState::Answered))),
            (Self::Ringing { silent_since: None } | Self::Talking, Turn::Rings) => (*self, None),
            (Self::Ringing { .. }, Turn::Rings) => (Self::Ringing { silent_since: None }, None),
            (Self::Done | Self::Withdrawn, Turn::Rings) => {
                (Self::Ringing { silent_since: None }, Some(Tell::Update(PopState::Ringing)))
            }
            (Self::Dialing | Self::Ringing { .. } | Self::Done | Self::Withdrawn, Turn::Talks | Turn::TalksUnrung) => {
                (Self::Talking, Some(Tell::Update(PopState::Answered)))
            }
            (Self::Ringing { silent_since: None }, Turn::StopsRinging(now)) => {
                (Self::Ringing { silent_since: Some(now) }, None)
            }
            (Self::Ringing { silent_since: Some(since) }, Turn::Clock(now)) if now >= since + STILL_SHOWN => {
                (Self::Withdrawn, Some(Tell::Withdraw(WithdrawReason::Moved)))
            }
            (Self::Ringing { .. }, Turn::SomebodyElseAnswered) => {
                (Self::Withdrawn, Some(Tell::Withdraw(WithdrawReason::AnsweredElsewhere)))
            }
            (Self::Dialing | Self::Ringing { .. }, Turn::GoesOnElsewhere) => {
                (Self::Withdrawn, Some(Tell::Withdraw(WithdrawReason::Moved)))
            }
            (Self::Ringing { .. }, Turn::CallOver) => {
                (Self::Withdrawn, Some(Tell::Withdraw(WithdrawReason::CallerGone)))
            }
            (Self::Talking | Self::Dialing, Turn::Leaves | Turn::CallOver) => {
                (Self::Done, Some(Tell::Update(PopState::Ended)))
            }
            (
                Self::Blank | Self::Dialing | Self::Ringing { .. } | Self::Talking | Self::Done | Self::Withdrawn,
                Turn::Dials
                | Turn::Rings
                | Turn::StopsRinging(_)
                | Turn::Talks
                | Turn::TalksUnrung
                | Turn::Leaves
                | Turn::SomebodyElseAnswered
                | Turn::GoesOnElsewhere
                | Turn::CallOver
                | Turn::Clock(_),
            ) => (*self, None),
        };
        *self = next;
        tell
    }

    /// The state that the screen shows now; `None` when it shows nothing.
    pub fn shown(self) -> Option<PopState> {
        match self {
            Self::Dialing | Self::Ringing { .. } => Some(PopState::Ringing),
            Self::Talking => Some(PopState::Answered),
            Self::Done => Some(PopState::Ended),
            Self::Blank | Self::Withdrawn => None,
        }
    }

    /// When [`Turn::Clock`] will change something.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::Ringing { silent_since: Some(since) } => Some(since + STILL_SHOWN),
            Self::Ringing { silent_since: None }
            | Self::Blank
            | Self::Dialing
            | Self::Talking
            | Self::Done
            | Self::Withdrawn => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_pops_once_however_often_it_rings() {
        let (mut screen, now) = (Screen::Blank, Instant::now());
        assert_eq!(screen.turn(Turn::Rings), Some(Tell::Pop(PopState::Ringing)));
        assert_eq!(screen.turn(Turn::StopsRinging(now)), None);
        assert_eq!(screen.turn(Turn::Rings), None);
        assert_eq!(screen.turn(Turn::SomebodyElseAnswered), Some(Tell::Withdraw(WithdrawReason::AnsweredElsewhere)));
        assert_eq!(screen.turn(Turn::Rings), Some(Tell::Update(PopState::Ringing)));
    }

    #[test]
    fn a_silent_phone_is_shown_for_a_while_only() {
        let (mut screen, now) = (Screen::Blank, Instant::now());
        screen.turn(Turn::Rings);
        screen.turn(Turn::StopsRinging(now));
        assert_eq!(screen.turn(Turn::Clock(now + Duration::from_secs(14))), None);
        let late = screen.turn(Turn::Clock(now + STILL_SHOWN));
        assert_eq!(late, Some(Tell::Withdraw(WithdrawReason::Moved)));
    }

    #[test]
    fn who_placed_a_call_keeps_the_card_even_when_nobody_answered() {
        let mut screen = Screen::Blank;
        assert_eq!(screen.turn(Turn::Dials), Some(Tell::Pop(PopState::Ringing)));
        assert_eq!(screen.turn(Turn::CallOver), Some(Tell::Update(PopState::Ended)));
    }

    #[test]
    fn who_talked_keeps_the_card() {
        let mut screen = Screen::Blank;
        screen.turn(Turn::Rings);
        assert_eq!(screen.turn(Turn::Talks), Some(Tell::Update(PopState::Answered)));
        assert_eq!(screen.turn(Turn::Leaves), Some(Tell::Update(PopState::Ended)));
        assert_eq!(screen.turn(Turn::CallOver), None);
    }
}
