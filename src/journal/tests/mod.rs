//! Stories of calls on their way to disk and into Salesforce.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Config, Per};

pub(super) fn config() -> Config {
    Config {
        enabled: true,
        per: Per::Call,
        missed: true,
        internal: false,
        external_id_field: String::new(),
        fallback_owner: String::new(),
        batch_window: Duration::from_secs(2),
        settle_after: Duration::from_secs(660),
        subject: "{{ direction | title }} call {{ 'from' if direction == 'inbound' else 'to' }} {{ caller }}".into(),
        fields: BTreeMap::new(),
    }
}
