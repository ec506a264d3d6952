//! One call of the token endpoint, and what its answer means.

use oauth2::basic::BasicErrorResponse;
use oauth2::{HttpRequest, HttpResponse, RequestTokenError};
use reqwest::Url;

use super::Answer;
use crate::salesforce::advice;
use crate::salesforce::error::Error;
use crate::salesforce::transport;

/// The largest answer of a token endpoint that is read.
const MAX_ANSWER: usize = 256 * 1024;

pub(super) type Failure = RequestTokenError<Transport, BasicErrorResponse>;

/// Why the token endpoint gave no answer that could be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Transport(Error);

/// Sends what `oauth2` has made. The client follows no redirect, so the secret goes nowhere else.
pub(super) async fn exchange(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, Transport> {
    let request = reqwest::Request::try_from(request).map_err(|error| Transport(unreachable(&error)))?;
    send(&http, request).await.map_err(Transport)
}

/// A grant that the crate does not have.
pub(super) async fn post(http: &reqwest::Client, url: Url, form: &[(&str, &str)]) -> Result<Answer, Error> {
    let response = submit(http, url, form).await?;
    if response.status().is_success() {
        return serde_json::from_slice(response.body()).map_err(|_| no_token());
    }
    Err(refused(response.body()))
}

/// Sends a form of one's own.
pub(super) async fn submit(http: &reqwest::Client, url: Url, form: &[(&str, &str)]) -> Result<HttpResponse, Error> {
    let request = http.post(url).header(reqwest::header::ACCEPT, "application/json").form(form).build();
    send(http, request.map_err(|error| unreachable(&error))?).await
}

/// What a browser would be shown.
pub(super) async fn look(http: &reqwest::Client, url: Url) -> Result<HttpResponse, Error> {
    send(http, http.get(url).build().map_err(|error| unreachable(&error))?).await
}

pub(super) fn told(failure: Failure) -> Error {
    match failure {
        RequestTokenError::Request(Transport(error)) => error,
        RequestTokenError::ServerResponse(answer) => Error::Login(advice::refusal(
            answer.error().as_ref(),
            answer.error_description().map_or("", String::as_str),
        )),
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => no_token(),
    }
}

/// A body that says why not.
pub(super) fn refused(body: &[u8]) -> Error {
    match serde_json::from_slice::<BasicErrorResponse>(body) {
        Ok(answer) => Error::Login(advice::refusal(
            answer.error().as_ref(),
            answer.error_description().map_or("", String::as_str),
        )),
        Err(_) => no_token(),
    }
}

fn no_token() -> Error {
    Error::Login(advice::not_a_token_endpoint())
}

async fn send(http: &reqwest::Client, request: reqwest::Request) -> Result<HttpResponse, Error> {
    let answer = http.execute(request).await.map_err(|error| unreachable(&error))?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(Error::Unavailable {
            status: status.as_u16(),
            after: transport::retry_after(&headers),
            maybe_done: false,
        });
    }
    let body = transport::body(answer, MAX_ANSWER).await.map_err(Error::before_the_write)?;
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn unreachable(error: &reqwest::Error) -> Error {
    Error::Unreachable { what: format!("the login host: {}", transport::cause(error)) }
}
