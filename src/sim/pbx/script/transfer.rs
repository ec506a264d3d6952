//! The show as a whole: the acts of a script, and the two ways in which an agent hands a caller on.

use serde_json::json;

use super::bridge::{Bridge, tell_peers, untell_peer};
use super::call::{Call, Talk};
use super::leg::Leg;
use super::stage::Stage;
use super::{Act, ScriptError};

/// The call, and the one that its agent makes to a colleague meanwhile.
#[derive(Debug)]
pub(super) struct Show {
    main: Call,
    consultation: Option<Call>,
}

impl Show {
    pub(super) fn new(main: Call) -> Self {
        Self { main, consultation: None }
    }

    pub(super) fn perform(&mut self, stage: &mut Stage<'_>, act: &Act) -> Result<(), ScriptError> {
        if self.main.over && !matches!(act, Act::After(_)) {
            return Err(ScriptError::Over);
        }
        // What rings or answers during a consultation is the colleague.
        let call = self.consultation.as_mut().unwrap_or(&mut self.main);
        match act {
            Act::After(time) => stage.wait(*time),
            Act::Ring(phones) => call.ring(stage, phones),
            Act::Queue(name) => call.enter_queue(stage, name),
            Act::RingOutside => call.ring_outside(stage),
            Act::Answer(phone) => call.answer(stage, phone)?,
            Act::AnswerOutside => call.answer_outside(stage)?,
            Act::NoAnswer => call.no_answer(stage),
            Act::Refuse(how) => call.refuse(stage, *how)?,
            Act::Hold => call.hold(stage)?,
            Act::Unhold => call.unhold(stage)?,
            Act::BlindTransfer(to) => call.blind_transfer(stage, to)?,
            Act::Consult(to) => self.consult(stage, to)?,
            Act::CompleteTransfer => self.complete_transfer(stage)?,
            Act::GiveUpTransfer => self.give_up_transfer(stage)?,
            Act::HangupByCaller => {
                self.main.hangup_by_caller(stage);
                self.end_consultation(stage);
            }
            Act::HangupByCallee => {
                self.main.hangup_by_callee(stage)?;
                self.end_consultation(stage);
            }
        }
        Ok(())
    }

    /// With nobody left to hand on, the agent ends the call to the colleague as well.
    fn end_consultation(&mut self, stage: &mut Stage<'_>) {
        if let Some(mut consultation) = self.consultation.take().filter(|call| !call.over) {
            consultation.hangup_by_caller(stage);
        }
    }

    fn consult(&mut self, stage: &mut Stage<'_>, to: &str) -> Result<(), ScriptError> {
        self.main.hold(stage)?;
        let (agent, _) = self.main.sides().ok_or(ScriptError::NobodyTalks("a consultation"))?;
        let agent = agent.caller.number.clone();
        stage.wait(std::time::Duration::from_millis(4));
        let mut call = Call::from_phone(stage, &agent, to);
        call.ring(stage, &[to.to_owned()]);
        self.consultation = Some(call);
        Ok(())
    }

    fn give_up_transfer(&mut self, stage: &mut Stage<'_>) -> Result<(), ScriptError> {
        if self.consultation.is_none() {
            return Err(ScriptError::NoConsultation);
        }
        self.end_consultation(stage);
        self.main.unhold(stage)
    }

    fn complete_transfer(&mut self, stage: &mut Stage<'_>) -> Result<(), ScriptError> {
        let mut consultation = self.consultation.take().ok_or(ScriptError::NoConsultation)?;
        let target = consultation.talk.take().ok_or(ScriptError::NobodyTalks("a transfer"))?;
        let sides = self.main.part().ok_or(ScriptError::NobodyTalks("a transfer"))?;
        let (caller, talk) = hand_over(stage, sides, &mut consultation, target);
        self.main.caller = caller;
        self.main.talk = Some(talk);
        Ok(())
    }
}

/// The two who talked, out of their call.
#[derive(Debug)]
pub(super) struct Sides {
    bridge: Bridge,
    agent: Leg,
    other: Leg,
}

impl Call {
    /// Whoever is left of the two becomes the call's caller.
    fn part(&mut self) -> Option<Sides> {
        let Talk { bridge, partner } = self.talk.take()?;
        let caller = self.caller.clone();
        let (agent, other) = if partner.is_outside() { (caller, partner) } else { (partner, caller) };
        Some(Sides { bridge, agent, other })
    }

    /// The agent's phone sends REFER and is out; the other is dialled on by the PBX.
    fn blind_transfer(&mut self, stage: &mut Stage<'_>, to: &str) -> Result<(), ScriptError> {
        let Sides { mut bridge, agent, mut other } = self.part().ok_or(ScriptError::NobodyTalks("a transfer"))?;
        note_refer(stage, &agent, &other, to);
        let before = (other.clone(), bridge.clone());
        untell_peer(stage, &other);
        other.dialplan.context = "internal".into();
        other.dialplan.exten = to.into();
        stage.shows_app(&other);
        untell_peer(stage, &agent);
        bridge.leave(stage, &other);
        stage.set(&other, "DIALSTATUS", "ANSWER");
        self.caller = other;
        self.sent_on = true;
        self.begin_dial(stage);
        bridge.leave(stage, &agent);
        stage.frame("BridgeBlindTransfer", blind_transfer_frame(&agent, to, &before));
        bridge.destroy(stage);
        stage.quality(&agent, None);
        stage.destroyed(&agent, 16, None);
        self.dial_after_transfer(stage, &[to.to_owned()], &agent);
        Ok(())
    }
}

fn blind_transfer_frame(agent: &Leg, to: &str, before: &(Leg, Bridge)) -> serde_json::Value {
    json!({
        "channel": agent,
        "exten": to,
        "context": "internal",
        "result": "Success",
        "is_external": true,
        "transferee": before.0,
        "bridge": before.1,
    })
}

fn note_refer(stage: &mut Stage<'_>, agent: &Leg, other: &Leg, to: &str) {
    stage.about("ChannelUnhold", agent);
    stage.set(other, "BLINDTRANSFER", &agent.name);
    stage.set(agent, "BLINDTRANSFER", &other.name);
    stage.set(other, "SIPTRANSFER", "yes");
    stage.set(other, "SIPREFERRINGCONTEXT", "internal");
    stage.set(other, "__SIPREFERREDBYHDR", &format!("<sip:{}@127.0.0.1>", agent.caller.number));
    stage.set(other, "SIPREFERTOHDR", &format!("sip:{to}@127.0.0.1:5060"));
    tell_peers(stage, agent, other);
}

/// The other takes the agent's place in the bridge of the consultation, and both legs of the agent end.
fn hand_over(stage: &mut Stage<'_>, sides: Sides, consultation: &mut Call, target: Talk) -> (Leg, Talk) {
    let Sides { bridge: mut first, agent, mut other } = sides;
    let Talk { bridge: mut second, partner: mut target } = target;
    stage.about("ChannelUnhold", &agent);
    stage.about("ChannelUnhold", &consultation.caller);
    stage.set(&other, "ATTENDEDTRANSFER", &agent.name);
    stage.set(&agent, "ATTENDEDTRANSFER", &other.name);
    let frame = attended_transfer_frame((&agent, &first, &other), (&consultation.caller, &second, &target));
    first.leave(stage, &other);
    untell_peer(stage, &consultation.caller);
    second.leave(stage, &consultation.caller);
    second.enter(stage, &other);
    stage.clear(&other, &["ATTENDEDTRANSFER"]);
    tell_peers(stage, &target, &other);
    untell_peer(stage, &agent);
    stage.takes_down_for(&consultation.caller, 1, None);
    stage.frame("BridgeAttendedTransfer", frame);
    stage.wait(std::time::Duration::from_millis(4));
    consultation.note_times(stage);
    stage.set(&consultation.caller, "DIALSTATUS", "ANSWER");
    target.connected = other.caller.clone();
    stage.about("ChannelConnectedLine", &target);
    stage.takes_down(&consultation.caller, None);
    stage.device(other.device(), "INUSE");
    other.connected = target.caller.clone();
    stage.about("ChannelConnectedLine", &other);
    stage.quality(&consultation.caller, None);
    stage.dialplan_ends(&mut consultation.caller, 16, None);
    first.leave(stage, &agent);
    first.destroy(stage);
    stage.quality(&agent, None);
    stage.destroyed(&agent, 16, None);
    (other, Talk { bridge: second, partner: target })
}

/// Each side is the transferer's leg, its bridge, and who is on the far side of it.
fn attended_transfer_frame(first: (&Leg, &Bridge, &Leg), second: (&Leg, &Bridge, &Leg)) -> serde_json::Value {
    json!({
        "transferer_first_leg": first.0,
        "transferer_first_leg_bridge": first.1,
        "transferee": first.2,
        "transferer_second_leg": second.0,
        "transferer_second_leg_bridge": second.1,
        "transfer_target": second.2,
        "result": "Success",
        "is_external": false,
        "destination_type": "bridge",
        "destination_bridge": second.1.id,
    })
}
