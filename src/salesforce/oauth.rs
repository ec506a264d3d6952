//! Asks for a token: the only file that knows the `oauth2` crate.

use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse,
    RequestTokenError, ResourceOwnerPassword, ResourceOwnerUsername, StandardRevocableToken, StandardTokenResponse,
    TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};

use super::advice;
use super::config::{Config, FlowName};
use super::error::Error;
use super::hosts::Hosts;
use super::id::RecordId;
use super::problem::ConfigError;
use super::transport;
use crate::secret::Secret;

/// The largest answer of a token endpoint that is read.
const MAX_ANSWER: usize = 256 * 1024;

/// What Salesforce adds to the standard's answer. There is no `expires_in`.
#[derive(Debug, Serialize, Deserialize)]
struct Extra {
    instance_url: String,
    id: Option<String>,
    /// Milliseconds since 1970, as text.
    issued_at: Option<String>,
}

impl ExtraTokenFields for Extra {}

type Answer = StandardTokenResponse<Extra, BasicTokenType>;
type Failure = RequestTokenError<Transport, BasicErrorResponse>;
type App<TokenUrl = EndpointSet> = oauth2::Client<
    BasicErrorResponse,
    Answer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
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
    credentials: Result<Credentials, ConfigError>,
}

enum Credentials {
    ClientCredentials,
    Password(ResourceOwnerUsername, ResourceOwnerPassword),
}

/// Why the token endpoint gave no answer that could be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Transport(Error);

impl Login {
    pub fn new(config: &Config, hosts: Hosts, http: reqwest::Client) -> Self {
        let app = App::<EndpointNotSet>::new(ClientId::new(config.client_id.clone()))
            .set_client_secret(ClientSecret::new(config.client_secret.expose().to_owned()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(TokenUrl::from_url(hosts.token_url.clone()));
        Self { http, hosts, app, credentials: credentials(config) }
    }

    /// One call of the token endpoint.
    pub async fn ask(&self) -> Result<Grant, Error> {
        let send = |request| exchange(self.http.clone(), request);
        let credentials = self.credentials.as_ref().map_err(Clone::clone)?;
        let answer = match credentials {
            Credentials::ClientCredentials => {
                let request = self.app.exchange_client_credentials();
                request.request_async(&send).await
            }
            Credentials::Password(username, password) => {
                let request = self.app.exchange_password(username, password);
                request.request_async(&send).await
            }
        };
        self.grant(&answer.map_err(told)?)
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

fn credentials(config: &Config) -> Result<Credentials, ConfigError> {
    if let Some(problem) = config.login_problem() {
        return Err(problem);
    }
    if config.chosen_flow() != FlowName::Password {
        return Ok(Credentials::ClientCredentials);
    }
    let password = format!("{}{}", config.password.expose(), config.security_token.expose());
    Ok(Credentials::Password(ResourceOwnerUsername::new(config.username.clone()), ResourceOwnerPassword::new(password)))
}

/// Sends what `oauth2` has made. The client follows no redirect, so the secret goes nowhere else.
async fn exchange(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, Transport> {
    let request = reqwest::Request::try_from(request).map_err(|error| unreachable(&error))?;
    let answer = http.execute(request).await.map_err(|error| unreachable(&error))?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(Transport(Error::Unavailable {
            status: status.as_u16(),
            after: transport::retry_after(&headers),
            maybe_done: false,
        }));
    }
    let body = transport::body(answer, MAX_ANSWER).await.map_err(|error| Transport(error.before_the_write()))?;
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn unreachable(error: &reqwest::Error) -> Transport {
    Transport(Error::Unreachable { what: format!("the login host: {}", transport::cause(error)) })
}

fn told(failure: Failure) -> Error {
    match failure {
        RequestTokenError::Request(Transport(error)) => error,
        RequestTokenError::ServerResponse(answer) => Error::Login(advice::refusal(
            answer.error().as_ref(),
            answer.error_description().map_or("", String::as_str),
        )),
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => Error::Login(advice::not_a_token_endpoint()),
    }
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
