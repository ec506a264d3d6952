//! From the settings to what the bridge runs with.

use crate::bridge;
use crate::calls::Site;
use crate::phone::PlanError;
use crate::settings::Settings;

/// # Errors
/// Not for settings that were loaded, where the number plan has been checked.
pub fn bridge_config(settings: &Settings) -> Result<bridge::Config, PlanError> {
    Ok(bridge::Config {
        name: settings.bridge.name.clone(),
        state_dir: settings.bridge.state_dir().to_owned(),
        consent_dir: settings.bridge.state_dir().to_owned(),
        site: Site { bridge: settings.bridge.name.clone(), plan: settings.bridge.number_plan()? },
        ignore_numbers: settings.bridge.ignore_numbers.clone(),
        http: settings.http.clone(),
        salesforce: settings.salesforce.clone(),
        directory: settings.directory.clone(),
        pops: settings.pops.clone(),
        log: settings.log.clone(),
        feeds: settings.feeds.clone(),
        match_user_extension: settings.agents.match_user_extension,
        agents: settings.agent_list.clone(),
    })
}
