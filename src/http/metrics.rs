//! `/metrics`, for the operator and for a scraper on this machine.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::app::Shared;
use super::auth::Caller;
use super::peer::Client;
use super::problem::Problem;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn get(
    State(app): State<Shared>,
    client: Client,
    caller: Result<Caller, Problem>,
) -> Result<Response, Problem> {
    if !client.is_local {
        caller?.must_be_admin()?;
    }
    let text = (app.handles.metrics)(()).await;
    let kind = if text.ends_with("# EOF\n") { OPENMETRICS } else { PLAIN };
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}
