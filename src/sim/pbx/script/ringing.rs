//! How phones and lines outside are made to ring, by `Dial` and by a queue.

use super::call::{App, Call};
use super::leg::{Leg, Party, State};
use super::stage::Stage;

impl Call {
    /// Phones ring by the app that the call is in.
    pub(super) fn ring(&mut self, stage: &mut Stage<'_>, phones: &[String]) {
        match self.app {
            App::Dial { seconds } => self.dial_phones(stage, phones, seconds),
            App::Queue { .. } => phones.iter().for_each(|phone| self.queue_rings(stage, phone)),
        }
    }

    fn dial_phones(&mut self, stage: &mut Stage<'_>, phones: &[String], seconds: u32) {
        let data = dial_data(phones, seconds);
        stage.run(&mut self.caller, "Dial", &data);
        self.begin_dial(stage);
        self.call_phones(stage, phones, None);
    }

    /// As `dial_phones`, by a channel that was sent here by somebody: the app shows in no frame of its own.
    pub(super) fn dial_after_transfer(&mut self, stage: &mut Stage<'_>, phones: &[String], sent_by: &Leg) {
        self.app = App::Dial { seconds: 25 };
        self.caller.dialplan.app_name = "Dial".into();
        self.caller.dialplan.app_data = dial_data(phones, 25);
        self.call_phones(stage, phones, Some(sent_by));
    }

    fn call_phones(&mut self, stage: &mut Stage<'_>, phones: &[String], sent_by: Option<&Leg>) {
        let mut legs = phones.iter().map(|phone| self.call_phone(stage, phone, sent_by)).collect::<Vec<_>>();
        stage.tick();
        for leg in &legs {
            stage.dial("", &leg.dialled(), &self.caller, leg);
        }
        if let [only] = legs.as_slice() {
            self.shows_callee(stage, only);
        }
        stage.wait(std::time::Duration::from_millis(2));
        for (nth, leg) in legs.iter_mut().enumerate() {
            self.rings(stage, leg, nth == 0);
        }
        self.ringing = legs;
    }

    fn call_phone(&self, stage: &mut Stage<'_>, phone: &str, sent_by: Option<&Leg>) -> Leg {
        let mut leg = Leg::called(stage, phone, Party::agent(phone), "internal");
        stage.set(&leg, "DIALEDPEERNUMBER", phone);
        if let Some(sent_by) = sent_by {
            stage.set(&leg, "__SIPREFERREDBYHDR", &format!("<sip:{}@127.0.0.1>", sent_by.caller.number));
        }
        leg.belongs_to("AppDial", &self.caller);
        stage.shows_app(&leg);
        stage.about("ChannelConnectedLine", &leg);
        leg
    }

    fn shows_callee(&mut self, stage: &mut Stage<'_>, callee: &Leg) {
        self.caller.connected = callee.caller.clone();
        stage.about("ChannelConnectedLine", &self.caller);
    }

    fn rings(&self, stage: &mut Stage<'_>, leg: &mut Leg, first: bool) {
        stage.state(leg, State::Ringing);
        stage.device(leg.device(), "RINGING");
        if first {
            let since = stage.at().saturating_sub(self.dialled_at);
            stage.set(&self.caller, "RINGTIME", &since.as_secs().to_string());
            stage.set(&self.caller, "RINGTIME_MS", &since.as_millis().to_string());
            stage.device(self.caller.device(), "INUSE");
        }
        stage.dial("RINGING", "", &self.caller, leg);
    }

    /// The line outside is dialled; it rings when the far end says so.
    pub(super) fn call_outside(&mut self, stage: &mut Stage<'_>, number: &str) {
        stage.run(&mut self.caller, "Dial", &format!("PJSIP/{number}@trunk,25,tT"));
        self.begin_dial(stage);
        let mut leg = Leg::called(stage, "trunk", Party::default(), "from-trunk");
        stage.set(&leg, "DIALEDPEERNUMBER", &format!("{number}@trunk"));
        leg.belongs_to("AppDial", &self.caller);
        leg.caller = Party::new("", number);
        stage.shows_app(&leg);
        let presentation = "Presentation Allowed, Not Screened";
        let fields =
            serde_json::json!({ "channel": leg, "caller_presentation": 0, "caller_presentation_txt": presentation });
        stage.frame("ChannelCallerId", fields);
        stage.about("ChannelConnectedLine", &leg);
        stage.tick();
        stage.dial("", &leg.dialled(), &self.caller, &leg);
        self.shows_callee(stage, &leg);
        self.ringing = vec![leg];
    }

    pub(super) fn ring_outside(&mut self, stage: &mut Stage<'_>) {
        let mut legs = std::mem::take(&mut self.ringing);
        for leg in &mut legs {
            self.rings(stage, leg, true);
        }
        self.ringing = legs;
    }

    /// A queue shows its leg as nobody's until the phone rings.
    fn queue_rings(&mut self, stage: &mut Stage<'_>, phone: &str) {
        let mut leg = Leg::called(stage, phone, Party::agent(phone), "internal");
        stage.set(&leg, "DIALEDPEERNUMBER", phone);
        stage.tick();
        stage.dial("", leg.device(), &self.caller, &leg);
        self.shows_callee(stage, &leg);
        stage.wait(std::time::Duration::from_millis(2));
        leg.belongs_to("AppQueue", &self.caller);
        stage.state(&mut leg, State::Ringing);
        stage.shows_app(&leg);
        stage.about("ChannelConnectedLine", &leg);
        stage.dial("RINGING", leg.device(), &self.caller, &leg);
        stage.device(leg.device(), "RINGING");
        self.ringing.push(leg);
    }
}

impl Leg {
    /// What `Dial` calls the leg in its first frame: `101`, or `+49…@trunk`.
    pub(super) fn dialled(&self) -> String {
        let number = &self.caller.number;
        if self.is_outside() { format!("{number}@trunk") } else { number.clone() }
    }
}

fn dial_data(phones: &[String], seconds: u32) -> String {
    let targets = phones.iter().map(|phone| format!("PJSIP/{phone}")).collect::<Vec<_>>();
    format!("{},{seconds},tT", targets.join("&"))
}
