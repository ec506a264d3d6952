//! The ways in which a call ends.

use super::call::{App, Call, Talk};
use super::leg::Leg;
use super::stage::Stage;
use super::{Refusal, ScriptError};

impl Call {
    /// Before an answer the call is given up; a caller who waits in a queue abandons it.
    pub(super) fn hangup_by_caller(&mut self, stage: &mut Stage<'_>) {
        self.over = true;
        match (self.talk.take(), &self.app) {
            (Some(talk), _) => self.caller_ends_talk(stage, talk),
            (None, App::Queue { name }) => {
                let name = name.clone();
                self.abandon_queue(stage, &name);
            }
            (None, App::Dial { .. }) => self.cancel(stage),
        }
    }

    pub(super) fn hangup_by_callee(&mut self, stage: &mut Stage<'_>) -> Result<(), ScriptError> {
        let talk = self.talk.take().ok_or(ScriptError::NobodyTalks("a hang-up by the one who was called"))?;
        self.over = true;
        let Talk { mut bridge, partner } = talk;
        stage.quality(&partner, Some(&self.caller));
        stage.hangs_up(&partner, Some(16), None);
        Self::untell_peers(stage, &partner, &self.caller);
        bridge.leave(stage, &partner);
        bridge.leave(stage, &self.caller);
        bridge.destroy(stage);
        self.note_times(stage);
        stage.destroyed(&partner, 16, None);
        self.end_dialplan(stage);
        stage.quality(&self.caller, None);
        stage.dialplan_ends(&mut self.caller, 16, None);
        Ok(())
    }

    fn caller_ends_talk(&mut self, stage: &mut Stage<'_>, talk: Talk) {
        let Talk { mut bridge, partner } = talk;
        stage.quality(&self.caller, Some(&partner));
        let cause = matches!(self.app, App::Dial { .. }).then_some(16);
        stage.hangs_up(&self.caller, cause, None);
        Self::untell_peers(stage, &self.caller, &partner);
        bridge.leave(stage, &self.caller);
        self.note_times(stage);
        bridge.leave(stage, &partner);
        bridge.destroy(stage);
        self.end_dialplan(stage);
        stage.quality(&partner, None);
        stage.tick();
        stage.dialplan_ends(&mut self.caller, 16, None);
        stage.destroyed(&partner, 16, None);
    }

    /// `Dial` reports how it went; a queue does not.
    fn end_dialplan(&self, stage: &mut Stage<'_>) {
        if matches!(self.app, App::Dial { .. }) {
            stage.set(&self.caller, "DIALSTATUS", "ANSWER");
        }
        stage.takes_down(&self.caller, None);
    }

    /// The SIP CANCEL of a caller who was not answered.
    fn cancel(&mut self, stage: &mut Stage<'_>) {
        stage.hangs_up(&self.caller, Some(127), Some(487));
        let ringing = std::mem::take(&mut self.ringing);
        for leg in &ringing {
            stage.dial("CANCEL", "", &self.caller, leg);
        }
        stage.set(&self.caller, "DIALSTATUS", "CANCEL");
        stage.tick();
        stage.takes_down(&self.caller, Some(487));
        for leg in &ringing {
            stage.destroyed(leg, 127, Some(500));
        }
        stage.dialplan_ends(&mut self.caller, 127, Some(487));
    }

    fn abandon_queue(&mut self, stage: &mut Stage<'_>, queue: &str) {
        stage.quality(&self.caller, None);
        stage.hangs_up(&self.caller, None, None);
        let ringing = std::mem::take(&mut self.ringing);
        for leg in &ringing {
            stage.dial("CANCEL", "", &self.caller, leg);
            stage.dial("CANCEL", leg.device(), &self.caller, leg);
        }
        self.note_abandoned(stage);
        stage.takes_down(&self.caller, None);
        stage.dialplan_ends(&mut self.caller, 0, None);
        stage.device(&format!("Queue:{queue}"), "NOT_INUSE");
        for leg in &ringing {
            stage.destroyed(leg, 0, None);
        }
    }

    fn note_abandoned(&self, stage: &mut Stage<'_>) {
        let waited = stage.at().saturating_sub(self.began_at);
        let (seconds, milliseconds) = (waited.as_secs().to_string(), waited.as_millis().to_string());
        for variable in ["QUEUEWAIT", "DIALEDTIME"] {
            stage.set(&self.caller, variable, &seconds);
            stage.set(&self.caller, &format!("{variable}_MS"), &milliseconds);
        }
        stage.set(&self.caller, "ANSWEREDTIME", "0");
        stage.set(&self.caller, "ANSWEREDTIME_MS", "0");
        stage.set(&self.caller, "ABANDONED", "TRUE");
        stage.set(&self.caller, "QUEUEPOSITION", "1");
    }

    /// The PBX gives up on those who ring: a queue keeps its caller, `Dial` is at its end.
    pub(super) fn no_answer(&mut self, stage: &mut Stage<'_>) {
        let ringing = std::mem::take(&mut self.ringing);
        match self.app {
            App::Queue { .. } => self.queue_gives_up(stage, &ringing),
            App::Dial { .. } => self.dial_gives_up(stage, &ringing),
        }
    }

    fn queue_gives_up(&self, stage: &mut Stage<'_>, ringing: &[Leg]) {
        for leg in ringing {
            stage.dial("NOANSWER", "", &self.caller, leg);
            stage.dial("CANCEL", leg.device(), &self.caller, leg);
            stage.tick();
            stage.destroyed(leg, 0, None);
        }
    }

    fn dial_gives_up(&mut self, stage: &mut Stage<'_>, ringing: &[Leg]) {
        for leg in ringing {
            stage.dial("NOANSWER", "", &self.caller, leg);
        }
        self.run_hangup(stage, "NOANSWER");
        for leg in ringing {
            stage.destroyed(leg, 0, None);
        }
        stage.dialplan_ends(&mut self.caller, 16, None);
    }

    /// The one who is called says no, and the dial plan has nothing else to try.
    pub(super) fn refuse(&mut self, stage: &mut Stage<'_>, how: Refusal) -> Result<(), ScriptError> {
        let leg = self.ringing.pop().ok_or_else(|| ScriptError::DoesNotRing("the one who refuses".into()))?;
        let (status, cause, sip) = answer_to(how);
        stage.hangs_up(&leg, Some(cause), Some(sip));
        stage.dial(status, "", &self.caller, &leg);
        self.run_hangup(stage, status);
        stage.destroyed(&leg, cause, Some(sip));
        stage.dialplan_ends(&mut self.caller, cause, Some(sip));
        Ok(())
    }

    fn run_hangup(&mut self, stage: &mut Stage<'_>, status: &str) {
        self.over = true;
        stage.set(&self.caller, "DIALSTATUS", status);
        self.caller.dialplan.priority = 2;
        stage.run(&mut self.caller, "Hangup", "");
        stage.takes_down(&self.caller, None);
        stage.tick();
    }
}

/// What Asterisk makes of it: status of the Dial, cause, SIP code.
fn answer_to(how: Refusal) -> (&'static str, u32, u32) {
    match how {
        Refusal::Busy => ("BUSY", 17, 486),
        Refusal::WrongNumber => ("NOANSWER", 1, 404),
        Refusal::Declined => ("NOANSWER", 21, 603),
        Refusal::Unavailable => ("NOANSWER", 19, 480),
    }
}
