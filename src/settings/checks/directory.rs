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
    of_the_index(directory, findings);
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

/// Keys of the local copy, where there is none.
fn of_the_index(directory: &Config, findings: &mut Findings) {
    if directory.mode == Mode::Index {
        return;
    }
    for key in ["directory.refresh", "directory.live_search", "directory.persist"] {
        if findings.is_changed(key) && !findings.is_wrong(key) {
            findings.warning(key, "has no effect with mode = \"live\"");
        }
    }
}
