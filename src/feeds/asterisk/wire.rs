//! ARI's own words: the JSON of its event frames and of its REST answers.
//!
//! Field names and shapes are Asterisk's (rest-api/api-docs/events.json); all that is not needed here is left out.

use jiff::Timestamp;
use serde::Deserialize;

/// The channel object, the same in frames and in `GET /channels`.
#[derive(Debug, Clone, Deserialize)]
pub struct Channel {
    pub id: String,
    /// `PJSIP/101-00000005`
    pub name: String,
    /// `Down`, `Ring` (it calls the PBX), `Ringing` (the PBX calls it), `Up`, …
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub caller: CallerId,
    #[serde(default)]
    pub connected: CallerId,
    #[serde(default)]
    pub dialplan: Dialplan,
    #[serde(default, deserialize_with = "lenient_stamp")]
    pub creationtime: Option<Timestamp>,
    #[serde(default)]
    pub channelvars: Variables,
}

/// The channel object where a frame needs no more of it: most frames, so that what is left out counts.
#[derive(Debug, Clone, Deserialize)]
pub struct Subject {
    pub id: String,
    #[serde(default)]
    pub channelvars: Variables,
}

/// The variables that a channel object carries, as `channelvars` in ari.conf names them.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Variables {
    #[serde(rename = "CALLERID(pres)")]
    presentation: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct CallerId {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub number: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Dialplan {
    #[serde(default)]
    pub exten: String,
    #[serde(default)]
    pub app_name: String,
    #[serde(default)]
    pub app_data: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Bridge {
    pub id: String,
    /// `mixing`, `holding`
    #[serde(default)]
    pub bridge_type: String,
    #[serde(default)]
    pub channels: Vec<String>,
    #[serde(default, deserialize_with = "lenient_stamp")]
    pub creationtime: Option<Timestamp>,
}

/// One frame of the event websocket, with its stamp.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub struct Frame {
    pub timestamp: Option<Timestamp>,
    pub event: Event,
}

/// The events that say something about calls. Others are `Other`.
#[derive(Debug, Clone, Deserialize)]
pub enum Event {
    ChannelCreated {
        channel: Channel,
    },
    ChannelStateChange {
        channel: Channel,
    },
    ChannelDialplan {
        channel: Channel,
        #[serde(default)]
        dialplan_app: String,
        #[serde(default)]
        dialplan_app_data: String,
    },
    ChannelVarset {
        channel: Option<Subject>,
    },
    ChannelCallerId {
        channel: Subject,
    },
    ChannelHold {
        channel: Subject,
    },
    ChannelUnhold {
        channel: Subject,
    },
    ChannelHangupRequest {
        channel: Subject,
        #[serde(default)]
        soft: bool,
        tech_cause: Option<i64>,
    },
    ChannelDestroyed {
        channel: Subject,
        #[serde(default)]
        cause: i64,
        tech_cause: Option<i64>,
    },
    ChannelEnteredBridge {
        channel: Subject,
        bridge: Bridge,
    },
    ChannelLeftBridge {
        channel: Subject,
        bridge: Bridge,
    },
    Dial {
        peer: Channel,
        caller: Option<Subject>,
        #[serde(default)]
        dialstatus: String,
        #[serde(default)]
        dialstring: String,
    },
    BridgeBlindTransfer {
        channel: Subject,
        transferee: Option<Subject>,
        #[serde(default)]
        exten: String,
        #[serde(default)]
        result: String,
    },
    BridgeAttendedTransfer {
        transferer_first_leg: Subject,
        transferer_second_leg: Subject,
        transfer_target: Option<Subject>,
        #[serde(default)]
        result: String,
    },
    ApplicationReplaced {
        #[serde(default)]
        application: String,
    },
    #[serde(other)]
    Other,
}

impl Variables {
    /// The caller's presentation, in Asterisk's words: `prohib_not_screened`.
    #[must_use]
    pub fn presentation(&self) -> Option<&str> {
        self.presentation.as_ref()?.as_str()
    }
}

/// The answer of `GET /channels/{id}/variable`.
#[derive(Debug, Deserialize)]
pub struct Variable {
    #[serde(default)]
    pub value: String,
}

/// The answer of `GET /asterisk/info`.
#[derive(Debug, Deserialize)]
pub struct AsteriskInfo {
    pub system: SystemInfo,
}

#[derive(Debug, Deserialize)]
pub struct SystemInfo {
    #[serde(default)]
    pub version: String,
}

/// `2026-11-21T17:26:44.085+0000`: ISO 8601 with an offset without a colon. What is no stamp reads as none.
#[must_use]
pub fn stamp(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

pub(super) fn lenient_stamp<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    Ok(text.as_deref().and_then(stamp))
}
