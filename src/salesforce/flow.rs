//! How to log in: the flow, chosen by the settings, and what it needs.

use std::path::Path;

use super::config::{Config, FlowName};
use super::jwt;
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
        let needs = |key, value: &str| {
            let missing = ConfigError::Missing { key, flow: name(flow) };
            value.is_empty().then_some(missing)
        };
        let id = || needs("client_id", &self.client_id);
        let secret = || needs("client_secret", self.client_secret.expose());
        let username = || needs("username", &self.username);
        match flow {
            FlowName::Unset | FlowName::ClientCredentials => id().or_else(secret),
            FlowName::Password => {
                id().or_else(secret).or_else(username).or_else(|| needs("password", self.password.expose()))
            }
            FlowName::JwtBearer => id()
                .or_else(username)
                .or_else(|| needs("private_key_file", &self.private_key_file))
                .or_else(|| jwt::key(Path::new(&self.private_key_file)).err().map(ConfigError::Key)),
            // An app may do without a secret here, since PKCE proves who asks.
            FlowName::AuthorizationCode => {
                id().or_else(|| needs("redirect_url", &self.redirect_url)).or_else(|| self.scopes_problem())
            }
        }
    }

    /// Without scopes of its own the request gets all that the app has.
    fn scopes_problem(&self) -> Option<ConfigError> {
        let mut scopes = self.scopes.split_whitespace().peekable();
        let lasting = |scope: &str| matches!(scope, "refresh_token" | "offline_access");
        (scopes.peek().is_some() && !scopes.any(lasting)).then_some(ConfigError::Scopes)
    }
}

/// As the settings have it.
pub(super) fn name(flow: FlowName) -> &'static str {
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
    fn what_is_missing_is_told_by_name() {
        let mut settings = config("");
        assert_eq!(settings.problems(), []);
        settings.client_secret = Secret::default();
        assert_eq!(settings.problems(), [ConfigError::Missing { key: "client_secret", flow: "client-credentials" }]);
        settings.flow = FlowName::JwtBearer;
        assert_eq!(settings.problems(), [ConfigError::Missing { key: "username", flow: "jwt-bearer" }]);
        settings.username = "cti@acme.example".to_owned();
        settings.private_key_file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys/ec.pem").to_owned();
        assert_eq!(settings.problems(), [ConfigError::Key(jwt::KeyError::NotRsa)]);
    }

    #[test]
    fn a_consent_must_last() {
        let mut settings = config("");
        settings.flow = FlowName::AuthorizationCode;
        settings.redirect_url = "http://localhost:8461/callback".to_owned();
        for (scopes, fits) in [("", true), ("api refresh_token", true), ("offline_access api", true), ("api id", false)]
        {
            settings.scopes = scopes.to_owned();
            assert_eq!(settings.problems().is_empty(), fits, "{scopes}");
        }
    }
}
