//! Checks the section `[bridge]`.

use super::rules::{NAME, is_name};
use crate::phone::PlanError;
use crate::settings::Bridge;
use crate::settings::findings::Findings;

pub(super) fn check(bridge: &Bridge, findings: &mut Findings) {
    if !bridge.name.is_empty() && !is_name(&bridge.name) {
        findings.problem("bridge.name", "is no name", NAME);
    }
    if bridge.state_dir.is_empty() {
        findings.problem("bridge.state_dir", "is empty", "the path of a folder");
    }
    if !bridge.outside_prefix.bytes().all(|byte| byte.is_ascii_digit() || b"*#".contains(&byte)) {
        findings.problem("bridge.outside_prefix", "cannot be dialled", "digits, * and #, or nothing");
    }
    if bridge.log_level().is_err() {
        findings.problem("bridge.log_level", "is no level", "error, warn, info, debug, trace or off");
    }
    number_plan(bridge, findings);
    ignored(bridge, findings);
}

fn number_plan(bridge: &Bridge, findings: &mut Findings) {
    let Err(error) = bridge.number_plan() else {
        return;
    };
    let key = match error {
        PlanError::Region(_) => "bridge.default_region",
        PlanError::ExtensionDigits(_) => "bridge.extension_digits",
    };
    let message = error.to_string();
    let (what, expected) = message.split_once("; expected ").unwrap_or((&message, "another value"));
    findings.problem(key, what, expected);
}

fn ignored(bridge: &Bridge, findings: &mut Findings) {
    for pattern in &bridge.ignore_numbers {
        if !is_pattern(pattern) {
            let what = format!("{pattern:?} is no number");
            let expected = "+ and digits, or an extension, with * at the end for all that begin so";
            findings.problem("bridge.ignore_numbers", what, expected);
        }
    }
}

/// An international number or an extension, whole or its beginning.
fn is_pattern(pattern: &str) -> bool {
    let number = pattern.strip_suffix('*').unwrap_or(pattern);
    let (digits, most) = number.strip_prefix('+').map_or((number, 9), |digits| (digits, 15));
    (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0')
}
