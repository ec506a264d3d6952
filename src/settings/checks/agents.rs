//! Checks `[[agent]]`.

use std::collections::BTreeMap;

use super::rules::{NAME, is_name, is_sha256};
use crate::pops::Agent;
use crate::settings::Settings;
use crate::settings::findings::Findings;

pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    let plan = settings.bridge.number_plan().ok();
    for agent in &settings.agent_list {
        let key = format!("agent.{}", agent.extension);
        if !is_name(&agent.extension) {
            findings.problem(&key, "the extension cannot be part of a call key", NAME);
        } else if plan.as_ref().is_some_and(|plan| !plan.is_extension(&agent.extension)) {
            let digits = &settings.bridge.extension_digits;
            findings.warning(&key, format!("the extension is not one of bridge.extension_digits, {digits}"));
        }
        if !agent.token_sha256.is_empty() && !is_sha256(&agent.token_sha256) {
            let key = format!("{key}.token_sha256");
            findings.problem(&key, "is no SHA-256", "64 digits and letters a to f");
        }
    }
    devices(&settings.agent_list, findings);
}

fn devices(agents: &[Agent], findings: &mut Findings) {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for agent in agents {
        for device in &agent.devices {
            let Some(other) = owners.insert(device, &agent.extension) else {
                continue;
            };
            let key = format!("agent.{}.devices", agent.extension);
            let what = format!("{device:?} is already agent {other}'s");
            findings.problem(&key, what, "each device at one agent");
        }
    }
}
