//! Checks the section `[directory]`.

use super::rules::{duration, is_api_name};
use crate::directory::{Config, Mode};
use crate::settings::findings::Findings;
use crate::settings::shape::one_of;

const OBJECTS: [&str; 3] = ["Contact", "Lead", "Account"];

pub(super) fn check(directory: &Config, findings: &mut Findings) {
    for object in &directory.objects {
        if !OBJECTS.contains(&object.as_str()) {
            let what = format!("{object:?} is not searched");
            findings.problem("directory.objects", what, one_of(OBJECTS.into_iter()));
        }
    }
    if directory.objects.is_empty() {
        findings.warning("directory.objects", "is empty: every caller stays unknown");
    }
    duration("directory.refresh", directory.refresh, 10_000..=86_400_000, findings);
    duration("directory.deadline", directory.deadline, 50..=10_000, findings);
    custom_objects(directory, findings);
    not_built(directory, findings);
}

fn custom_objects(directory: &Config, findings: &mut Findings) {
    for object in &directory.custom_objects {
        let names = object.phone_fields.iter().chain([&object.name, &object.name_field]);
        for name in names.filter(|name| !is_api_name(name)) {
            let what = format!("{name:?} is no API name");
            findings.problem("directory.object", what, "letters, digits and _, such as \"Asset__c\"");
        }
    }
}

fn not_built(directory: &Config, findings: &mut Findings) {
    if directory.mode == Mode::Index {
        let text = "index is not built yet: Salesforce is asked each time, as with \"live\"";
        findings.warning("directory.mode", text);
    }
    for (key, text) in [
        ("directory.refresh", "not built yet: there is no local copy to refresh"),
        ("directory.live_search", "not built yet: Salesforce is asked each time"),
        ("directory.object", "not built yet: custom objects are not searched"),
    ] {
        if findings.is_changed(key) && !findings.is_wrong(key) {
            findings.warning(key, text);
        }
    }
}
