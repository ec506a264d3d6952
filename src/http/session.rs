//! `/session`: exchanges an agent's token for the page's cookie, says whose it is, and ends it.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::app::{App, Shared};
use super::auth::{self, Caller};
use super::body;
use super::origin;
use super::peer::Client;
use super::problem::Problem;
use crate::calls::record::Extension;
use crate::secret::Secret;

/// How long a browser keeps the cookie, in seconds: 30 days. A new token ends it earlier.
const MAX_AGE: u32 = 30 * 24 * 3600;

#[derive(Serialize)]
pub(super) struct Session {
    extension: Extension,
    name: Option<String>,
    /// For `/details?k=` on phones and PBX clients.
    details_key: Option<String>,
}

#[derive(Deserialize)]
struct SignIn {
    token: Secret,
}

pub(super) async fn get(State(app): State<Shared>, caller: Caller) -> Result<Json<Session>, Problem> {
    session(&app, &caller).map(Json)
}

pub(super) async fn post(State(app): State<Shared>, client: Client, request: Request) -> Result<Response, Problem> {
    origin::check(request.headers(), &app.handles.public_url)?;
    let token = match auth::bearer(request.headers())? {
        Some(token) => token,
        None => token_of_body(request).await?,
    };
    let cookie = set_cookie(&app, &auth::cookie_value(&token), MAX_AGE);
    let caller = auth::authenticate(&app, token, client)?;
    Ok(([(SET_COOKIE, cookie)], Json(session(&app, &caller)?)).into_response())
}

/// Takes the cookie back even when the token behind it is no longer valid.
pub(super) async fn delete(State(app): State<Shared>, headers: HeaderMap, caller: Result<Caller, Problem>) -> Response {
    if let Err(problem) = origin::check(&headers, &app.handles.public_url) {
        return problem.into_response();
    }
    let answer = match caller {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => problem.into_response(),
    };
    ([(SET_COOKIE, set_cookie(&app, "", 0))], answer).into_response()
}

fn session(app: &App, caller: &Caller) -> Result<Session, Problem> {
    let extension = caller
        .agent()
        .ok_or_else(|| Problem::forbidden("The agent page is for agents. Sign in with an agent's token."))?;
    let key = app.handles.agents.details_key(extension);
    Ok(Session {
        extension: extension.clone(),
        name: app.handles.agents.name(extension),
        details_key: key.map(|key| key.expose().to_owned()),
    })
}

/// `{"token":…}`, or the form of a page without scripts.
async fn token_of_body(request: Request) -> Result<Secret, Problem> {
    let is_form =
        request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form"));
    let bytes = body::read(request).await?;
    let token = if bytes.is_empty() {
        None
    } else if is_form {
        form_token(&bytes)
    } else {
        Some(body::parse::<SignIn>(&bytes)?.token)
    };
    token
        .filter(|token| !token.is_empty())
        .ok_or_else(|| Problem::unauthorized("No token. Send {\"token\":\"…\"} or `Authorization: Bearer TOKEN`."))
}

fn form_token(bytes: &[u8]) -> Option<Secret> {
    let text = format!("/?{}", std::str::from_utf8(bytes).ok()?);
    let uri = text.parse().ok()?;
    axum::extract::Query::<SignIn>::try_from_uri(&uri).ok().map(|form| form.0.token)
}

fn set_cookie(app: &App, value: &str, max_age: u32) -> String {
    let secure = if app.is_https() { "; Secure" } else { "" };
    format!("{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}", app.cookie_name())
}
