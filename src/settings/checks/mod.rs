//! What the settings mean: each section checked by its own file, and by rules that several share.

mod agents;
mod bridge;
mod directory;
mod feeds;
mod http;
mod log;
mod pops;
mod rules;
mod salesforce;

use super::Settings;
use super::findings::Findings;

/// Tells all that is wrong or not built yet.
pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    bridge::check(&settings.bridge, findings);
    http::check(&settings.http, findings);
    salesforce::check(&settings.salesforce, findings);
    directory::check(&settings.directory, findings);
    pops::check(&settings.pops, findings);
    log::check(&settings.log, findings);
    agents::check(settings, findings);
    feeds::check(settings, findings);
}
