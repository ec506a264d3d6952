//! Channel variables and functions that every channel has, read off its object.

use serde_json::Value;

/// The answer to a question for a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    Value(String),
    NotSet,
    NoChannel,
}

/// What a channel says of itself without anybody having set it.
pub(super) fn standard(channel: &Value, name: &str) -> Option<String> {
    match name {
        "CALLERID(pres)" | "CALLERID(num-pres)" | "CALLERID(name-pres)" => Some("allowed_not_screened".into()),
        "CALLERID(num)" => text(channel, "/caller/number"),
        "CALLERID(name)" => text(channel, "/caller/name"),
        "CONNECTEDLINE(num)" => text(channel, "/connected/number"),
        "CONNECTEDLINE(name)" => text(channel, "/connected/name"),
        "CHANNEL(pjsip,call-id)" => text(channel, "/protocol_id"),
        "CHANNEL(state)" => text(channel, "/state"),
        "CHANNEL(endpoint)" => endpoint(channel),
        _ => None,
    }
}

fn text(channel: &Value, pointer: &str) -> Option<String> {
    channel.pointer(pointer)?.as_str().map(str::to_owned)
}

/// `PJSIP/trunk-berlin-0000001a` belongs to the endpoint `trunk-berlin`.
fn endpoint(channel: &Value) -> Option<String> {
    let name = channel.get("name")?.as_str()?;
    let (_, name) = name.split_once('/')?;
    name.rsplit_once('-').map(|(endpoint, _)| endpoint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_endpoint_may_have_dashes_in_its_name() {
        let channel = json!({ "name": "PJSIP/trunk-berlin-0000001a" });
        assert_eq!(standard(&channel, "CHANNEL(endpoint)").as_deref(), Some("trunk-berlin"));
    }
}
