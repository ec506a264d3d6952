//! Asks for a token by the flow of the settings: the only folder that knows the `oauth2` crate.

mod consent;
mod exchange;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, ExtraTokenFields, RefreshToken,
    ResourceOwnerPassword, ResourceOwnerUsername, StandardRevocableToken, StandardTokenResponse, TokenResponse,
    TokenUrl,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::exchange::{Failure, exchange, told};
use super::config::{Config, FlowName};
use super::error::Error;
use super::flow;
use super::grant::{GrantError, GrantFile, Held, Kept};
use super::hosts::Hosts;
use super::id::RecordId;
use super::jwt::{self, Claims};
use super::problem::ConfigError;
use super::spent::{CallKind, Purse};
use crate::secret::Secret;

pub use consent::{Consent, NoConsent};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What Salesforce adds to the standard's answer. There is no `expires_in`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Extra {
    instance_url: String,
    id: Option<String>,
    /// Milliseconds since 1970, as text.
    issued_at: Option<String>,
}

impl ExtraTokenFields for Extra {}

type Answer = StandardTokenResponse<Extra, BasicTokenType>;
type App<AuthUrl = EndpointNotSet, TokenUrl = EndpointSet> = oauth2::Client<
    BasicErrorResponse,
    Answer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    AuthUrl,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    TokenUrl,
>;

/// What a login brings.
#[derive(Debug)]
pub(super) struct Grant {
    pub token: Secret,
    pub instance: reqwest::Url,
    /// The user of the token.
    pub user: Option<RecordId>,
    /// When Salesforce made it, in its own milliseconds.
    pub issued_at: Option<i64>,
}

/// The login as the settings describe it.
pub(super) struct Login {
    http: reqwest::Client,
    hosts: Hosts,
    app: App,
    chosen: FlowName,
    flow: Result<Flow, ConfigError>,
    purse: Arc<Purse>,
}

enum Flow {
    ClientCredentials,
    Password(ResourceOwnerUsername, ResourceOwnerPassword),
    Jwt(Jwt),
    Code(Code),
}

/// The key is read at each login, so that a new one needs no restart.
struct Jwt {
    key_file: PathBuf,
    issuer: String,
    subject: String,
}

/// Consent that was given in a browser once.
struct Code {
    redirect_url: String,
    scopes: String,
    login_hint: String,
    /// None: nothing is kept, and no consent can be used.
    file: Option<GrantFile>,
    /// A new refresh token that the disk did not take: the one on disk has ended.
    unsaved: Mutex<Option<Kept>>,
}

impl Login {
    /// `state_dir`: where a consent is kept.
    pub fn new(
        config: &Config,
        hosts: Hosts,
        http: reqwest::Client,
        state_dir: Option<&Path>,
        purse: Arc<Purse>,
    ) -> Self {
        let app = App::<EndpointNotSet, EndpointNotSet>::new(ClientId::new(config.client_id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(TokenUrl::from_url(hosts.token_url.clone()));
        let app = if config.client_secret.is_empty() {
            app
        } else {
            app.set_client_secret(ClientSecret::new(config.client_secret.expose().to_owned()))
        };
        let flow = credentials(config, &hosts, state_dir);
        Self { http, hosts, app, chosen: config.chosen_flow(), flow, purse }
    }

    /// A token: one call of the token endpoint.
    pub async fn ask(&self) -> Result<Grant, Error> {
        self.purse.spend(CallKind::Login, Instant::now());
        let send = |request| exchange(self.http.clone(), request);
        let answer = match self.flow.as_ref().map_err(Clone::clone)? {
            Flow::ClientCredentials => self.app.exchange_client_credentials().request_async(&send).await,
            Flow::Password(username, password) => {
                self.app.exchange_password(username, password).request_async(&send).await
            }
            Flow::Jwt(jwt) => return self.grant(&self.assert(jwt).await?),
            Flow::Code(code) => return self.renew(code).await,
        };
        self.grant(&answer.map_err(told)?)
    }

    /// When the refresh token was last used, where there is one.
    pub fn consent_used_at(&self) -> Option<Timestamp> {
        let Ok(Flow::Code(code)) = &self.flow else {
            return None;
        };
        Some(code.file.as_ref()?.read().ok()?.used_at)
    }

    /// RFC 7523 section 2.1, which the crate does not have.
    async fn assert(&self, jwt: &Jwt) -> Result<Answer, Error> {
        let claims = Claims { issuer: &jwt.issuer, subject: &jwt.subject, audience: &self.hosts.audience };
        let assertion = jwt::key(&jwt.key_file).and_then(|key| jwt::sign(&key, &claims, Timestamp::now()));
        let assertion = assertion.map_err(ConfigError::Key)?;
        let form = [("grant_type", JWT_BEARER), ("assertion", &assertion)];
        exchange::post(&self.http, self.hosts.token_url.clone(), &form).await
    }

    /// Uses the refresh token on disk. What comes back in its place is on disk before the access token is used.
    async fn renew(&self, code: &Code) -> Result<Grant, Error> {
        let held = self.hold(code).await?;
        let kept = match code.unsaved() {
            Some(kept) => kept,
            None => held.read()?,
        };
        // A disk that takes nothing must be noticed before the refresh token is spent.
        held.write(&kept).await?;
        code.saved();
        self.spend(code, &held, &kept.refresh_token).await
    }

    async fn hold(&self, code: &Code) -> Result<Held, Error> {
        let file = code.file.as_ref().ok_or(GrantError::None)?;
        Ok(file.hold().await?)
    }

    async fn spend(&self, code: &Code, held: &Held, refresh_token: &Secret) -> Result<Grant, Error> {
        let send = |request| exchange(self.http.clone(), request);
        let old = RefreshToken::new(refresh_token.expose().to_owned());
        let answer = self.app.exchange_refresh_token(&old).request_async(&send).await;
        let answer: Answer = answer.map_err(|failure: Failure| told(failure))?;
        let newer = answer.refresh_token().map_or_else(|| refresh_token.clone(), |token| Secret::new(token.secret()));
        let kept = Kept { refresh_token: newer, used_at: Timestamp::now() };
        if let Err(error) = held.write(&kept).await {
            code.keep_for_later(kept);
            return Err(error.into());
        }
        self.grant(&answer)
    }

    fn code(&self) -> Result<&Code, Error> {
        match &self.flow {
            Ok(Flow::Code(code)) => Ok(code),
            Err(problem) if self.chosen == FlowName::AuthorizationCode => Err(problem.clone().into()),
            Ok(_) | Err(_) => Err(GrantError::OtherFlow { flow: flow::name(self.chosen) }.into()),
        }
    }

    fn grant(&self, answer: &Answer) -> Result<Grant, Error> {
        let extra = answer.extra_fields();
        let Some(instance) = self.hosts.instance(&extra.instance_url) else {
            return Err(Error::Instance { host: host_of(&extra.instance_url) });
        };
        Ok(Grant {
            token: Secret::new(answer.access_token().secret()),
            instance,
            user: extra.id.as_deref().and_then(user_of),
            issued_at: extra.issued_at.as_deref().and_then(|at| at.parse().ok()),
        })
    }
}

impl Code {
    fn unsaved(&self) -> Option<Kept> {
        self.lock().clone()
    }

    fn saved(&self) {
        *self.lock() = None;
    }

    fn keep_for_later(&self, kept: Kept) {
        *self.lock() = Some(kept);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Kept>> {
        self.unsaved.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn credentials(config: &Config, hosts: &Hosts, state_dir: Option<&Path>) -> Result<Flow, ConfigError> {
    if let Some(problem) = config.login_problem() {
        return Err(problem);
    }
    Ok(match config.chosen_flow() {
        FlowName::ClientCredentials | FlowName::Unset => Flow::ClientCredentials,
        FlowName::Password => {
            let password = format!("{}{}", config.password.expose(), config.security_token.expose());
            Flow::Password(ResourceOwnerUsername::new(config.username.clone()), ResourceOwnerPassword::new(password))
        }
        FlowName::JwtBearer => Flow::Jwt(Jwt {
            key_file: config.private_key_file.clone().into(),
            issuer: config.client_id.clone(),
            subject: config.username.clone(),
        }),
        FlowName::AuthorizationCode => Flow::Code(Code {
            redirect_url: config.redirect_url.clone(),
            scopes: config.scopes.clone(),
            login_hint: config.username.clone(),
            file: state_dir.map(|folder| GrantFile::new(folder, &config.client_id, hosts.token_url.as_str())),
            unsaved: Mutex::default(),
        }),
    })
}

/// `…/id/<organisation>/<user>`
fn user_of(id: &str) -> Option<RecordId> {
    let tail = id.trim_end_matches('/').rsplit('/').next()?;
    RecordId::parse(tail).ok()
}

fn host_of(text: &str) -> String {
    reqwest::Url::parse(text)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| "no address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_stands_at_the_end_of_the_identity() {
        let id = "https://login.salesforce.com/id/00Dxx0000001gPLEAY/005xx000001SwiUAAS";
        assert_eq!(user_of(id).unwrap().as_str(), "005xx000001SwiUAAS");
        assert!(user_of("https://login.salesforce.com/id/").is_none());
    }
}
