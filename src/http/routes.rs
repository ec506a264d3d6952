//! Which path leads where, and who may go there.

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::{get, post, put};

use super::app::Shared;
use super::problem::Problem;
use super::{
    calls, details, directory, feeds, grant, guard, health, journal, lookup, metrics, notes, openapi, page,
    route as way, session, stream, tokens,
};

/// Who may reach a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Anyone,
    /// Any agent, and sees only what is the agent's own.
    Agent,
    /// The agent that the path or the call names, and the operator.
    OwnAgent,
    Admin,
    AdminOrLoopback,
}

#[derive(Debug, Clone, Copy)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub access: Access,
}

const fn route(method: &'static str, path: &'static str, access: Access) -> Route {
    Route { method, path, access }
}

/// All that is served.
pub const ROUTES: &[Route] = &[
    route("GET", "/", Access::Anyone),
    route("GET", "/page.css", Access::Anyone),
    route("GET", "/page.js", Access::Anyone),
    route("GET", "/icon.svg", Access::Anyone),
    route("GET", "/healthz", Access::Anyone),
    route("GET", "/readyz", Access::Anyone),
    route("GET", "/metrics", Access::AdminOrLoopback),
    route("GET", "/session", Access::Agent),
    route("POST", "/session", Access::Agent),
    route("DELETE", "/session", Access::Agent),
    route("GET", "/details", Access::Agent),
    route("GET", "/api/v1/openapi.json", Access::Anyone),
    route("GET", "/api/v1/lookup", Access::Agent),
    route("GET", "/api/v1/route", Access::Admin),
    route("GET", "/api/v1/calls", Access::Agent),
    route("GET", "/api/v1/calls/{key}", Access::OwnAgent),
    route("POST", "/api/v1/calls/{key}/notes", Access::OwnAgent),
    route("GET", "/api/v1/agents/{extension}/pops", Access::OwnAgent),
    route("POST", "/api/v1/agents/{extension}/token", Access::Admin),
    route("GET", "/api/v1/journal", Access::Admin),
    route("GET", "/api/v1/journal/{id}", Access::Admin),
    route("DELETE", "/api/v1/journal/{id}", Access::Admin),
    route("POST", "/api/v1/journal/{id}/retry", Access::Admin),
    route("POST", "/api/v1/journal/reconcile", Access::Admin),
    route("GET", "/api/v1/directory", Access::Admin),
    route("POST", "/api/v1/directory/sync", Access::Admin),
    route("PUT", "/api/v1/salesforce/grant", Access::Admin),
    route("POST", "/api/v1/feeds/{name}/events", Access::Admin),
];

pub(super) fn router(app: Shared) -> Router {
    Router::new()
        .merge(open())
        .merge(api())
        .fallback(|| async { Problem::not_found("Nothing is here. All paths are in /api/v1/openapi.json.") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This path takes other methods; see /api/v1/openapi.json.")
        })
        .layer(from_fn(guard::guard))
        .with_state(app)
}

/// For browsers, phones and monitoring.
fn open() -> Router<Shared> {
    Router::new()
        .route("/", get(page::index))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/icon.svg", get(page::icon))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::get))
        .route("/session", get(session::get).post(session::post).delete(session::delete))
        .route("/details", get(details::get))
}

fn api() -> Router<Shared> {
    Router::new()
        .route("/api/v1/openapi.json", get(openapi::get))
        .route("/api/v1/lookup", get(lookup::get))
        .route("/api/v1/route", get(way::get))
        .route("/api/v1/calls", get(calls::list))
        .route("/api/v1/calls/{key}", get(calls::get))
        .route("/api/v1/calls/{key}/notes", post(notes::post))
        .route("/api/v1/agents/{extension}/pops", get(stream::get))
        .route("/api/v1/agents/{extension}/token", post(tokens::post))
        .route("/api/v1/journal", get(journal::list))
        .route("/api/v1/journal/reconcile", post(journal::reconcile))
        .route("/api/v1/journal/{id}", get(journal::get).delete(journal::delete))
        .route("/api/v1/journal/{id}/retry", post(journal::retry))
        .route("/api/v1/directory", get(directory::get))
        .route("/api/v1/directory/sync", post(directory::post))
        .route("/api/v1/salesforce/grant", put(grant::put))
        .route("/api/v1/feeds/{name}/events", post(feeds::post))
}
