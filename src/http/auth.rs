//! Who asks: an agent or the operator, by a bearer token or by the page's cookie.

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::app::{App, Shared};
use super::origin;
use super::peer::{Client, Peer};
use super::problem::Problem;
use crate::calls::record::Extension;
use crate::secret::Secret;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    Admin,
    Agent(Extension),
}

/// An authenticated request.
pub(super) struct Caller {
    pub who: Who,
    token: Secret,
}

impl Caller {
    /// # Errors
    /// For anybody but the operator.
    pub fn must_be_admin(&self) -> Result<(), Problem> {
        match self.who {
            Who::Admin => Ok(()),
            Who::Agent(_) => Err(Problem::forbidden("This is the operator's. Send the admin token.")),
        }
    }

    /// # Errors
    /// For other agents.
    pub fn must_be(&self, extension: &Extension) -> Result<(), Problem> {
        if self.sees([extension]) {
            return Ok(());
        }
        Err(Problem::forbidden("This is another agent's. Send that agent's token or the admin token."))
    }

    /// Whether something of these agents' may be shown.
    pub fn sees<'a>(&self, agents: impl IntoIterator<Item = &'a Extension>) -> bool {
        match &self.who {
            Who::Admin => true,
            Who::Agent(own) => agents.into_iter().any(|extension| extension == own),
        }
    }

    pub fn agent(&self) -> Option<&Extension> {
        match &self.who {
            Who::Admin => None,
            Who::Agent(extension) => Some(extension),
        }
    }

    /// Whether the token still is what it was: streams outlive a new token otherwise.
    pub fn is_still_valid(&self, app: &App) -> bool {
        identify(app, self.token.expose()).as_ref() == Some(&self.who)
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        if let Some(token) = bearer(&parts.headers)? {
            return authenticate(app, token, client(parts, app));
        }
        let token = cookie(&parts.headers, &app.cookie_name()).ok_or_else(no_token)?;
        if changes_something(&parts.method) {
            origin::check(&parts.headers, &app.handles.public_url)?;
        }
        let caller = authenticate(app, token, client(parts, app))?;
        caller.agent().ok_or_else(no_token)?;
        Ok(caller)
    }
}

/// Whom a request comes from.
impl FromRequestParts<Shared> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        Ok(client(parts, app))
    }
}

/// Finds out whose token this is, and counts it when it is nobody's.
///
/// # Errors
/// When the token is nobody's, or the client has guessed too often. A right token of an agent always passes, so that one wrong phone
/// does not lock out its office; the operator's does only from this machine, because people choose it and it could be guessed.
pub(super) fn authenticate(app: &App, token: Secret, client: Client) -> Result<Caller, Problem> {
    let used_up = app.guesses.are_used_up(client.address);
    match identify(app, token.expose()) {
        Some(who) if !used_up || client.is_local || who != Who::Admin => Ok(Caller { who, token }),
        Some(_) => Err(too_many_guesses()),
        None => Err(count_guess(app, client)),
    }
}

/// Counts something secret that was wrong, and says so.
pub(super) fn count_guess(app: &App, client: Client) -> Problem {
    if app.guesses.are_used_up(client.address) {
        return too_many_guesses();
    }
    app.guesses.count(client.address);
    Problem::unauthorized(
        "The token is nobody's or has been replaced. Make a new one with `ctibridge agent-token EXTENSION`.",
    )
}

/// The token of `Authorization: Bearer`.
///
/// # Errors
/// When the header is there and is something else.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<Secret>, Problem> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| Secret::new(token.trim()));
    token.map(Some).ok_or_else(|| Problem::unauthorized("Send the token as `Authorization: Bearer TOKEN`."))
}

/// The cookie's value: in base64, since a token may hold any character.
pub(super) fn cookie_value(token: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(token.expose())
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let value = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)?;
    let token = URL_SAFE_NO_PAD.decode(value).ok()?;
    String::from_utf8(token).ok().map(Secret::new)
}

fn identify(app: &App, token: &str) -> Option<Who> {
    let agent = app.handles.agents.who(token).map(Who::Agent);
    if app.handles.admin_token.is(token) {
        return Some(Who::Admin);
    }
    agent
}

fn client(parts: &Parts, app: &App) -> Client {
    let nobody = Peer(([0, 0, 0, 0], 0).into());
    let peer = parts.extensions.get::<Peer>().copied().unwrap_or(nobody);
    app.handles.proxies.client(peer.0, &parts.headers)
}

fn changes_something(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn no_token() -> Problem {
    Problem::unauthorized("No token. Send `Authorization: Bearer TOKEN`, or sign in on the agent page at /.")
}

fn too_many_guesses() -> Problem {
    Problem::too_many("Too many wrong tokens from this address. Wait and try again.", 10)
}
