//! Where two channels hear each other.

use serde::Serialize;
use serde_json::json;

use super::leg::Leg;
use super::stage::Stage;

#[derive(Debug, Clone, Serialize)]
pub(super) struct Bridge {
    pub(super) id: String,
    technology: &'static str,
    #[serde(rename = "bridge_type")]
    kind: &'static str,
    #[serde(rename = "bridge_class")]
    class: &'static str,
    creator: &'static str,
    name: &'static str,
    channels: Vec<String>,
    creationtime: String,
    video_mode: &'static str,
}

impl Bridge {
    pub(super) fn create(stage: &mut Stage<'_>) -> Self {
        let bridge = Self {
            id: stage.ids.uuid(),
            technology: "simple_bridge",
            kind: "mixing",
            class: "basic",
            creator: "",
            name: "",
            channels: Vec::new(),
            creationtime: stage.now_as_text(),
            video_mode: "none",
        };
        stage.frame("BridgeCreated", json!({ "bridge": bridge }));
        bridge
    }

    /// The newest comes first in the list.
    pub(super) fn enter(&mut self, stage: &mut Stage<'_>, leg: &Leg) {
        self.channels.insert(0, leg.id.clone());
        stage.frame("ChannelEnteredBridge", json!({ "bridge": self, "channel": leg }));
    }

    pub(super) fn leave(&mut self, stage: &mut Stage<'_>, leg: &Leg) {
        self.channels.retain(|id| *id != leg.id);
        stage.frame("ChannelLeftBridge", json!({ "bridge": self, "channel": leg }));
    }

    pub(super) fn destroy(self, stage: &mut Stage<'_>) {
        stage.frame("BridgeDestroyed", json!({ "bridge": self }));
    }
}

/// Both are told whom they hear; Asterisk does so again at every change of the media.
pub(super) fn tell_peers(stage: &mut Stage<'_>, first: &Leg, second: &Leg) {
    for (leg, peer) in [(first, second), (second, first)] {
        stage.set(leg, "BRIDGEPEER", &peer.name);
        stage.set(leg, "BRIDGEPVTCALLID", &peer.protocol_id);
    }
}

pub(super) fn untell_peer(stage: &mut Stage<'_>, leg: &Leg) {
    stage.clear(leg, &["BRIDGEPEER", "BRIDGEPVTCALLID"]);
}
