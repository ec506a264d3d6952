//! Request bodies: small, in time, and JSON.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::app::Shared;
use super::problem::Problem;

/// The longest body that is read.
const MAX_BODY: usize = 64 * 1024;
/// How much more is read and thrown away, so that a client that is still sending gets the answer instead of a reset.
const MAX_IGNORED: usize = 1024 * 1024;
/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(10);

/// A JSON body.
pub(super) struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Shared> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, Problem> {
        let bytes = read(request).await?;
        parse(&bytes).map(Self)
    }
}

/// Reads a whole body.
///
/// # Errors
/// When it is too long, too slow, or breaks off.
pub(super) async fn read(request: Request) -> Result<Vec<u8>, Problem> {
    let told = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|length| length > MAX_BODY + MAX_IGNORED) {
        return Err(too_long());
    }
    tokio::time::timeout(PATIENCE, collect(request.into_body())).await.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "The body did not come within 10 seconds. Send it again."))
    })
}

/// # Errors
/// When the bytes are not the JSON that was expected; the text says where, and none of it.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        Problem::bad_request(format!(
            "The body is not the JSON that this path takes (line {}, column {}); see /api/v1/openapi.json.",
            error.line(),
            error.column()
        ))
    })
}

async fn collect(body: Body) -> Result<Vec<u8>, Problem> {
    let (mut kept, mut total) = (Vec::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::bad_request("The body broke off. Send it again."))?;
        total += chunk.len();
        if total <= MAX_BODY {
            kept.extend_from_slice(&chunk);
        } else if total > MAX_BODY + MAX_IGNORED {
            break;
        }
    }
    if total > MAX_BODY {
        return Err(too_long());
    }
    Ok(kept)
}

fn too_long() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is longer than 64 KiB. Send less.")
}
