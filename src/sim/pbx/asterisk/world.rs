//! What the PBX knows at the moment: its channels, bridges and variables, derived from the frames it has sent.

use std::collections::BTreeMap;

use serde_json::Value;

use super::variables::{Variable, standard};

/// Channels between their `ChannelCreated` and `ChannelDestroyed`, bridges likewise, each as last shown in a frame.
#[derive(Debug, Default)]
pub struct World {
    channels: BTreeMap<String, Value>,
    bridges: BTreeMap<String, Value>,
    variables: BTreeMap<String, BTreeMap<String, String>>,
    afterglow: Option<BTreeMap<String, Value>>,
}

impl World {
    /// Takes in what a frame tells; a text that is no frame tells nothing.
    pub fn apply(&mut self, frame: &str) {
        let Ok(mut frame) = serde_json::from_str::<Value>(frame) else {
            return;
        };
        let kind = frame.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        match kind.as_str() {
            "ChannelCreated" => enter(&mut self.channels, part(&mut frame, "channel")),
            "ChannelDestroyed" => self.end_channel(frame.get("channel")),
            "BridgeCreated" => enter(&mut self.bridges, part(&mut frame, "bridge")),
            "BridgeDestroyed" => leave(&mut self.bridges, frame.get("bridge")),
            "Dial" => {
                renew(&mut self.channels, part(&mut frame, "caller"));
                renew(&mut self.channels, part(&mut frame, "peer"));
            }
            // They show channels and bridges as they were before the change.
            "BridgeBlindTransfer" | "BridgeAttendedTransfer" | "BridgeMerged" => {}
            _ => {
                renew(&mut self.channels, part(&mut frame, "channel"));
                renew(&mut self.bridges, part(&mut frame, "bridge"));
            }
        }
    }

    #[must_use]
    pub fn channels(&self) -> Vec<Value> {
        self.channels.values().cloned().collect()
    }

    #[must_use]
    pub fn bridges(&self) -> Vec<Value> {
        self.bridges.values().cloned().collect()
    }

    #[must_use]
    pub fn channel(&self, id: &str) -> Option<&Value> {
        self.channels.get(id)
    }

    pub fn set_channels(&mut self, channels: Vec<Value>) {
        self.channels.clear();
        for channel in channels {
            enter(&mut self.channels, Some(channel));
        }
    }

    pub fn set_bridges(&mut self, bridges: Vec<Value>) {
        self.bridges.clear();
        for bridge in bridges {
            enter(&mut self.bridges, Some(bridge));
        }
    }

    pub fn set_variable(&mut self, channel: &str, name: &str, value: &str) {
        let variables = self.variables.entry(channel.into()).or_default();
        variables.insert(name.into(), value.into());
    }

    /// Lets variables of channels that end from now on still be asked for; `false` ends that and forgets those channels.
    /// For a play without waits: the question that a real PBX gets while the phone rings would come after the hang-up.
    pub fn keep_variables_of_ended(&mut self, keep: bool) {
        self.afterglow = keep.then(BTreeMap::new);
    }

    /// What `GET /channels/{id}/variable` answers.
    #[must_use]
    pub fn variable(&self, id: &str, name: &str) -> Variable {
        let Some(channel) = self.channels.get(id).or_else(|| self.afterglow.as_ref()?.get(id)) else {
            return Variable::NoChannel;
        };
        let set = self.variables.get(id).and_then(|variables| variables.get(name).cloned());
        set.or_else(|| standard(channel, name)).map_or(Variable::NotSet, Variable::Value)
    }

    fn end_channel(&mut self, channel: Option<&Value>) {
        let Some(id) = id_of(channel) else { return };
        let channel = self.channels.remove(&id);
        match (&mut self.afterglow, channel) {
            (Some(afterglow), Some(channel)) => drop(afterglow.insert(id, channel)),
            _ => drop(self.variables.remove(&id)),
        }
    }
}

fn part(frame: &mut Value, name: &str) -> Option<Value> {
    frame.get_mut(name).map(Value::take)
}

fn id_of(object: Option<&Value>) -> Option<String> {
    object?.get("id")?.as_str().map(str::to_owned)
}

fn enter(known: &mut BTreeMap<String, Value>, object: Option<Value>) {
    if let (Some(id), Some(object)) = (id_of(object.as_ref()), object) {
        known.insert(id, object);
    }
}

fn leave(known: &mut BTreeMap<String, Value>, object: Option<&Value>) {
    if let Some(id) = id_of(object) {
        known.remove(&id);
    }
}

/// An object that is not known has ended already: a frame behind its end must not bring it back.
fn renew(known: &mut BTreeMap<String, Value>, object: Option<Value>) {
    if let (Some(id), Some(object)) = (id_of(object.as_ref()), object)
        && let Some(last) = known.get_mut(&id)
    {
        *last = object;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn frame(kind: &str, state: &str) -> String {
        json!({ "type": kind, "channel": { "id": "1.0", "name": "PJSIP/trunk-00000000", "state": state } }).to_string()
    }

    #[test]
    fn a_channel_is_known_from_its_creation_to_its_end_as_last_shown() {
        let mut world = World::default();
        world.apply(&frame("ChannelStateChange", "Ring"));
        assert!(world.channels().is_empty());
        world.apply(&frame("ChannelCreated", "Ring"));
        world.apply(&frame("ChannelStateChange", "Up"));
        assert_eq!(world.channels().len(), 1);
        assert_eq!(world.channel("1.0").unwrap()["state"], "Up");
        world.apply(&frame("ChannelDestroyed", "Up"));
        world.apply(&frame("ChannelVarset", "Up"));
        assert!(world.channels().is_empty());
    }

    #[test]
    fn a_set_snapshot_goes_on_changing_by_frames() {
        let mut world = World::default();
        world.set_channels(vec![json!({ "id": "1.0", "state": "Ring" }), json!({ "id": "1.1", "state": "Ringing" })]);
        world.apply(&frame("ChannelDestroyed", "Ring"));
        assert_eq!(world.channels(), [json!({ "id": "1.1", "state": "Ringing" })]);
    }

    #[test]
    fn a_variable_ends_with_its_channel_unless_kept() {
        let mut world = World::default();
        world.set_variable("1.0", "CALLERID(pres)", "prohib");
        assert_eq!(world.variable("1.0", "CALLERID(pres)"), Variable::NoChannel);
        world.apply(&frame("ChannelCreated", "Ring"));
        assert_eq!(world.variable("1.0", "CALLERID(pres)"), Variable::Value("prohib".into()));
        assert_eq!(world.variable("1.0", "NOSUCHVAR"), Variable::NotSet);
        world.keep_variables_of_ended(true);
        world.apply(&frame("ChannelDestroyed", "Ring"));
        assert_eq!(world.variable("1.0", "CALLERID(pres)"), Variable::Value("prohib".into()));
        world.keep_variables_of_ended(false);
        assert_eq!(world.variable("1.0", "CALLERID(pres)"), Variable::NoChannel);
    }
}
