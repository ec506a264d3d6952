//! How to log in: the flow, chosen by the settings, and what it needs.

use super::config::{Config, FlowName};
use super::problem::ConfigError;

impl Config {
    /// The flow that is used: the one set, or the one that the other keys ask for.
    #[must_use]
    pub fn chosen_flow(&self) -> FlowName {
        match self.flow {
            FlowName::Unset if !self.private_key_file.is_empty() => FlowName::JwtBearer,
            FlowName::Unset if !self.username.is_empty() && !self.password.is_empty() => FlowName::Password,
            FlowName::Unset => FlowName::ClientCredentials,
            FlowName::ClientCredentials | FlowName::JwtBearer | FlowName::AuthorizationCode | FlowName::Password => {
                self.flow
            }
        }
    }

    /// Everything that is wrong with the section, without asking Salesforce.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigError> {
        let addresses = super::hosts::Hosts::new(self).err();
        let version = super::version::Wanted::parse(&self.api_version).err();
        let mut problems: Vec<_> = addresses.into_iter().chain(version).collect();
        problems.extend(self.login_problem());
        problems
    }

    /// Why no login can even be tried.
    pub(super) fn login_problem(&self) -> Option<ConfigError> {
        let flow = self.chosen_flow();
        let name = name(flow);
        let missing = |key| Some(ConfigError::Missing { key, flow: name });
        match flow {
            FlowName::JwtBearer | FlowName::AuthorizationCode => {
                return Some(ConfigError::NotBuilt { flow: name });
            }
            FlowName::Unset | FlowName::ClientCredentials | FlowName::Password => {}
        }
        if self.client_id.is_empty() {
            return missing("client_id");
        }
        if self.client_secret.is_empty() {
            return missing("client_secret");
        }
        if flow != FlowName::Password {
            return None;
        }
        if self.username.is_empty() {
            return missing("username");
        }
        self.password.is_empty().then(|| missing("password")).flatten()
    }
}

fn name(flow: FlowName) -> &'static str {
    match flow {
        FlowName::Unset | FlowName::ClientCredentials => "client-credentials",
        FlowName::JwtBearer => "jwt-bearer",
        FlowName::AuthorizationCode => "authorization-code",
        FlowName::Password => "password",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::config;
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn the_other_keys_choose_the_flow() {
        let mut settings = config("");
        settings.flow = FlowName::Unset;
        assert_eq!(settings.chosen_flow(), FlowName::ClientCredentials);
        settings.username = "api@acme.example".to_owned();
        assert_eq!(settings.chosen_flow(), FlowName::ClientCredentials);
        settings.password = Secret::new("pw");
        assert_eq!(settings.chosen_flow(), FlowName::Password);
        settings.private_key_file = "key.pem".to_owned();
        assert_eq!(settings.chosen_flow(), FlowName::JwtBearer);
        settings.flow = FlowName::ClientCredentials;
        assert_eq!(settings.chosen_flow(), FlowName::ClientCredentials);
    }

    #[test]
    fn what_is_missing_or_not_built_is_told_by_name() {
        let mut settings = config("");
        assert_eq!(settings.problems(), []);
        settings.client_secret = Secret::default();
        assert_eq!(settings.problems(), [ConfigError::Missing { key: "client_secret", flow: "client-credentials" }]);
        settings.flow = FlowName::AuthorizationCode;
        assert_eq!(settings.problems(), [ConfigError::NotBuilt { flow: "authorization-code" }]);
    }
}
