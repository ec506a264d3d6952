//! Checks the section `[pops]`.

use super::rules::Address;
use crate::pops::Config;
use crate::settings::findings::Findings;

pub(super) fn check(pops: &Config, findings: &mut Findings) {
    for webhook in &pops.webhooks {
        let address = Address {
            key: "pops.webhook",
            text: &webhook.url,
            schemes: ["https", "http"],
            insecure: false,
            section: "no section: webhooks have no such key",
        };
        address.check(findings);
    }
    if !pops.webhooks.is_empty() {
        findings.warning("pops.webhook", "not built yet: webhooks are not told of pops");
    }
}
