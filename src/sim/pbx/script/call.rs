//! One call on its way through the dial plan: who began it, who rings, who talks.

use std::time::Duration;

use super::ScriptError;
use super::bridge::{Bridge, tell_peers, untell_peer};
use super::leg::{Leg, Party, State};
use super::stage::Stage;

/// What the dial plan empties before each `Dial`.
const DIAL_RESULTS: [&str; 11] = [
    "DIALSTATUS",
    "DIALEDPEERNUMBER",
    "DIALEDPEERNAME",
    "ANSWEREDTIME",
    "ANSWEREDTIME_MS",
    "DIALEDTIME",
    "DIALEDTIME_MS",
    "RINGTIME",
    "RINGTIME_MS",
    "PROGRESSTIME",
    "PROGRESSTIME_MS",
];

#[derive(Debug)]
pub(super) struct Call {
    /// The channel that runs the dial plan.
    pub(super) caller: Leg,
    pub(super) ringing: Vec<Leg>,
    pub(super) talk: Option<Talk>,
    pub(super) app: App,
    pub(super) began_at: Duration,
    pub(super) dialled_at: Duration,
    pub(super) answered_at: Option<Duration>,
    /// By a blind transfer that nobody has answered yet.
    pub(super) sent_on: bool,
    pub(super) over: bool,
}

/// Two in one bridge: the call's caller and this partner.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) bridge: Bridge,
    pub(super) partner: Leg,
}

/// The app by which others are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum App {
    Dial { seconds: u32 },
    Queue { name: String },
}

impl Call {
    /// Somebody outside calls a number of the firm.
    pub(super) fn from_trunk(stage: &mut Stage<'_>, caller: Party, did: &str) -> Self {
        Self::begin(stage, "trunk", caller, "from-trunk", did, 20)
    }

    /// A phone calls another phone.
    pub(super) fn from_phone(stage: &mut Stage<'_>, agent: &str, to: &str) -> Self {
        Self::begin(stage, agent, Party::agent(agent), "internal", to, 25)
    }

    /// A phone calls a number outside, which does not ring yet.
    pub(super) fn to_trunk(stage: &mut Stage<'_>, agent: &str, number: &str) -> Self {
        let mut call = Self::from_phone(stage, agent, number);
        stage.run(&mut call.caller, "Goto", &format!("outbound,{number},1"));
        call.caller.dialplan.context = "outbound".into();
        call.call_outside(stage, number);
        call
    }

    fn begin(stage: &mut Stage<'_>, endpoint: &str, caller: Party, context: &str, exten: &str, seconds: u32) -> Self {
        let caller = Leg::calling_in(stage, endpoint, caller, context, exten);
        stage.set(&caller, "SIPDOMAIN", "127.0.0.1");
        Self {
            caller,
            ringing: Vec::new(),
            talk: None,
            app: App::Dial { seconds },
            began_at: stage.at(),
            dialled_at: stage.at(),
            answered_at: None,
            sent_on: false,
            over: false,
        }
    }

    /// The line is answered by the PBX, and the caller waits for an agent.
    pub(super) fn enter_queue(&mut self, stage: &mut Stage<'_>, name: &str) {
        stage.run(&mut self.caller, "Answer", "");
        stage.device(self.caller.device(), "INUSE");
        stage.state(&mut self.caller, State::Up);
        stage.tick();
        self.app = App::Queue { name: name.into() };
        self.caller.dialplan.priority = 2;
        stage.run(&mut self.caller, "Queue", &format!("{name},tT,,,60"));
        stage.clear(
            &self.caller,
            &["ANSWEREDTIME", "ANSWEREDTIME_MS", "DIALEDTIME", "DIALEDTIME_MS", "QUEUEWAIT", "QUEUEWAIT_MS"],
        );
        stage.device(&format!("Queue:{name}"), "RINGING");
    }

    pub(super) fn begin_dial(&mut self, stage: &mut Stage<'_>) {
        stage.clear(&self.caller, &DIAL_RESULTS);
        self.dialled_at = stage.at();
        stage.tick();
    }

    /// The phone that answers is joined with the caller; the others are called off.
    pub(super) fn answer(&mut self, stage: &mut Stage<'_>, phone: &str) -> Result<(), ScriptError> {
        let rings = |leg: &Leg| leg.caller.number == phone;
        let Some(place) = self.ringing.iter().position(rings) else {
            return Err(ScriptError::DoesNotRing(phone.into()));
        };
        let winner = self.ringing.remove(place);
        let losers = std::mem::take(&mut self.ringing);
        self.join(stage, winner, &losers);
        Ok(())
    }

    /// The leg outside is the only one that an outbound call lets ring.
    pub(super) fn answer_outside(&mut self, stage: &mut Stage<'_>) -> Result<(), ScriptError> {
        let winner = self.ringing.pop().ok_or_else(|| ScriptError::DoesNotRing("outside".into()))?;
        self.join(stage, winner, &[]);
        Ok(())
    }

    fn join(&mut self, stage: &mut Stage<'_>, mut winner: Leg, losers: &[Leg]) {
        stage.state(&mut winner, State::Up);
        stage.device(winner.device(), "INUSE");
        match self.app.clone() {
            App::Dial { .. } => self.dial_answered(stage, &mut winner, losers),
            App::Queue { name } => self.queue_answered(stage, &winner, &name, losers),
        }
        stage.tick();
        self.answered_at.get_or_insert(stage.at());
        let mut bridge = Bridge::create(stage);
        if matches!(self.app, App::Dial { .. }) {
            stage.shows_app(&winner);
        }
        bridge.enter(stage, &winner);
        bridge.enter(stage, &self.caller);
        if std::mem::take(&mut self.sent_on) {
            stage.clear(&self.caller, &["BLINDTRANSFER"]);
        }
        tell_peers(stage, &winner, &self.caller);
        self.talk = Some(Talk { bridge, partner: winner });
    }

    fn dial_answered(&mut self, stage: &mut Stage<'_>, winner: &mut Leg, losers: &[Leg]) {
        if !losers.is_empty() {
            self.caller.connected = winner.caller.clone();
            stage.about("ChannelConnectedLine", &self.caller);
        }
        for loser in losers {
            stage.dial("CANCEL", "", &self.caller, loser);
        }
        stage.set(&self.caller, "DIALSTATUS", "ANSWER");
        stage.set(&self.caller, "DIALEDPEERNAME", &winner.name);
        stage.set(&self.caller, "DIALEDPEERNUMBER", &winner.dialled());
        winner.dialplan.exten.clear();
        stage.dial("ANSWER", "", &self.caller, winner);
        if self.caller.state != State::Up {
            stage.state(&mut self.caller, State::Up);
        }
        for loser in losers.iter().rev() {
            stage.destroyed(loser, 26, None);
        }
    }

    fn queue_answered(&mut self, stage: &mut Stage<'_>, winner: &Leg, queue: &str, losers: &[Leg]) {
        stage.dial("ANSWER", winner.device(), &self.caller, winner);
        for loser in losers {
            stage.dial("CANCEL", "", &self.caller, loser);
            stage.dial("CANCEL", loser.device(), &self.caller, loser);
            stage.destroyed(loser, 26, None);
        }
        let waited = stage.at().saturating_sub(self.began_at);
        stage.set(&self.caller, "QUEUEPOSITION", "1");
        stage.set(&self.caller, "QUEUEWAIT", &waited.as_secs().to_string());
        stage.set(&self.caller, "QUEUEWAIT_MS", &waited.as_millis().to_string());
        stage.device(&format!("Queue:{queue}"), "NOT_INUSE");
    }

    /// The agent of the two who talk puts the other on hold.
    pub(super) fn hold(&self, stage: &mut Stage<'_>) -> Result<(), ScriptError> {
        let (agent, other) = self.sides().ok_or(ScriptError::NobodyTalks("a hold"))?;
        stage.frame("ChannelHold", serde_json::json!({ "channel": agent, "musicclass": "default" }));
        stage.device(other.device(), "ONHOLD");
        tell_peers(stage, agent, other);
        Ok(())
    }

    pub(super) fn unhold(&self, stage: &mut Stage<'_>) -> Result<(), ScriptError> {
        let (agent, other) = self.sides().ok_or(ScriptError::NobodyTalks("an end of hold"))?;
        stage.about("ChannelUnhold", agent);
        stage.device(other.device(), "INUSE");
        tell_peers(stage, agent, other);
        Ok(())
    }

    /// The agent and the other of the two who talk; between phones the agent is the one who was called.
    pub(super) fn sides(&self) -> Option<(&Leg, &Leg)> {
        let partner = &self.talk.as_ref()?.partner;
        if partner.is_outside() { Some((&self.caller, partner)) } else { Some((partner, &self.caller)) }
    }

    /// How long they talked and since when the call was dialled, in the caller's variables.
    pub(super) fn note_times(&self, stage: &mut Stage<'_>) {
        let since = |moment: Duration| stage.at().saturating_sub(moment);
        let talked = self.answered_at.map_or(Duration::ZERO, since);
        let times = [("ANSWEREDTIME", talked), ("DIALEDTIME", since(self.began_at))];
        for (variable, time) in times {
            stage.set(&self.caller, variable, &time.as_secs().to_string());
            stage.set(&self.caller, &format!("{variable}_MS"), &time.as_millis().to_string());
        }
    }

    /// Both are told that they hear nobody any more, the one who leaves first.
    pub(super) fn untell_peers(stage: &mut Stage<'_>, first: &Leg, second: &Leg) {
        untell_peer(stage, first);
        untell_peer(stage, second);
    }
}
