//! A channel as frames show it, field for field.

use serde::Serialize;

use super::stage::Stage;

/// The app of a leg that `Dial` or `Queue` has placed.
pub(super) const OUTGOING_LINE: &str = "(Outgoing Line)";

/// A name and a number as a channel has them; empty means unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub(super) struct Party {
    name: String,
    pub(super) number: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum State {
    Down,
    Ring,
    Ringing,
    Up,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Dialplan {
    pub(super) context: String,
    pub(super) exten: String,
    pub(super) priority: u32,
    pub(super) app_name: String,
    pub(super) app_data: String,
}

/// One channel.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Leg {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: State,
    pub(super) protocol_id: String,
    pub(super) caller: Party,
    pub(super) connected: Party,
    accountcode: &'static str,
    pub(super) dialplan: Dialplan,
    creationtime: String,
    language: &'static str,
}

impl Party {
    pub(super) fn new(name: &str, number: &str) -> Self {
        Self { name: name.into(), number: number.into() }
    }

    /// The person behind an extension.
    pub(super) fn agent(extension: &str) -> Self {
        let name = match extension {
            "101" => "Anna Agent".to_owned(),
            "102" => "Ben Agent".to_owned(),
            "103" => "Cleo Agent".to_owned(),
            other => format!("Agent {other}"),
        };
        Self { name, number: extension.into() }
    }
}

impl Leg {
    /// A channel by which somebody calls into the PBX.
    pub(super) fn calling_in(stage: &mut Stage<'_>, endpoint: &str, caller: Party, context: &str, exten: &str) -> Self {
        let call_id = stage.ids.call_id();
        Self::create(stage, endpoint, State::Ring, caller, Dialplan::at(context, exten), call_id)
    }

    /// A channel by which the PBX calls somebody.
    pub(super) fn called(stage: &mut Stage<'_>, endpoint: &str, callee: Party, context: &str) -> Self {
        let call_id = stage.ids.uuid();
        Self::create(stage, endpoint, State::Down, callee, Dialplan::at(context, "s"), call_id)
    }

    /// `PJSIP/101`, by which the state of a device is named.
    pub(super) fn device(&self) -> &str {
        self.name.rsplit_once('-').map_or(self.name.as_str(), |(device, _)| device)
    }

    pub(super) fn is_outside(&self) -> bool {
        self.device() == "PJSIP/trunk"
    }

    /// Becomes the leg that an app has placed on behalf of `other`.
    pub(super) fn belongs_to(&mut self, app: &str, other: &Leg) {
        self.dialplan.app_name = app.into();
        self.dialplan.app_data = OUTGOING_LINE.into();
        self.dialplan.exten.clone_from(&other.dialplan.exten);
        self.connected = other.caller.clone();
    }

    /// The Call-ID is empty in the first frame and known in the next, as Asterisk has it.
    fn create(
        stage: &mut Stage<'_>,
        endpoint: &str,
        born: State,
        caller: Party,
        dialplan: Dialplan,
        call_id: String,
    ) -> Self {
        let number = stage.ids.channel();
        let mut leg = Self {
            id: format!("{}.{number}", stage.now().as_second()),
            name: format!("PJSIP/{endpoint}-{number:08x}"),
            state: born,
            protocol_id: String::new(),
            caller,
            connected: Party::default(),
            accountcode: "",
            dialplan,
            creationtime: stage.now_as_text(),
            language: "en",
        };
        stage.about("ChannelCreated", &leg);
        leg.protocol_id = call_id;
        leg
    }
}

impl Dialplan {
    fn at(context: &str, exten: &str) -> Self {
        Self {
            context: context.into(),
            exten: exten.into(),
            priority: 1,
            app_name: String::new(),
            app_data: String::new(),
        }
    }
}
