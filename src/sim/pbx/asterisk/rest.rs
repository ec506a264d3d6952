//! The HTTP side: routes, who may use them, and answers in the words of a real Asterisk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::super::clock::now_as_text;
use super::variables::Variable;
use super::{Refuse, Shared, lock, login, socket};

type Parameters = Query<BTreeMap<String, String>>;
type Server = State<Arc<Shared>>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/ari/events", get(events))
        .route("/ari/channels", get(channels))
        .route("/ari/channels/{id}", get(channel))
        .route("/ari/channels/{id}/variable", get(variable))
        .route("/ari/bridges", get(bridges))
        .route("/ari/applications", get(applications))
        .route("/ari/asterisk/info", get(info))
        .route("/ari/asterisk/ping", get(ping))
        .layer(from_fn_with_state(Arc::clone(&shared), at_the_door))
        .with_state(shared)
}

/// Counts every request, then misbehaves as told, then asks who it is: in the order in which a starting Asterisk does.
async fn at_the_door(State(shared): Server, Query(query): Parameters, request: Request, next: Next) -> Response {
    let path = counted_as(request.uri().path());
    let upgrade = path == "/ari/events";
    *lock(&shared.requests).entry(path).or_default() += 1;
    if let Some(status) = misbehaviour(&shared, upgrade) {
        return status.into_response();
    }
    if !login::is_known(&shared.options, request.headers(), query.get("api_key").map(String::as_str)) {
        return unknown_user();
    }
    next.run(request).await
}

fn counted_as(path: &str) -> String {
    match path.strip_prefix("/ari/channels/") {
        Some(rest) if rest.ends_with("/variable") => "/ari/channels/{id}/variable".into(),
        Some(_) => "/ari/channels/{id}".into(),
        None => path.into(),
    }
}

fn misbehaviour(shared: &Shared, upgrade: bool) -> Option<StatusCode> {
    let manners = *lock(&shared.manners);
    if !upgrade {
        return manners.rest_status.and_then(|status| StatusCode::from_u16(status).ok());
    }
    match manners.refuse {
        Refuse::Nothing => None,
        Refuse::NotFound => Some(StatusCode::NOT_FOUND),
        Refuse::Unavailable => Some(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn unknown_user() -> Response {
    let realm = HeaderValue::from_static("Basic realm=\"Asterisk REST Interface\"");
    let mut response = refusal(StatusCode::UNAUTHORIZED, "Authentication required");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    response
}

fn refusal(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

async fn events(
    State(shared): Server,
    Query(query): Parameters,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Some(app) = query.get("app").filter(|app| !app.is_empty()) else {
        return refusal(StatusCode::BAD_REQUEST, "Missing application");
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let all = query.get("subscribeAll").is_some_and(|value| is_true(value));
    // Taken before the answer goes out: a client that reads the snapshot right after the upgrade misses no frame behind it.
    let seat = socket::take_seat(&shared, app, all).await;
    upgrade.on_upgrade(move |socket| seat.serve(socket))
}

fn is_true(value: &str) -> bool {
    ["true", "yes", "y", "t", "1", "on"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

async fn channels(State(shared): Server) -> Json<Vec<Value>> {
    let channels = lock(&shared.world).channels();
    shared.life.send_modify(|life| life.channels_read = life.opened);
    Json(channels)
}

async fn bridges(State(shared): Server) -> Json<Vec<Value>> {
    let bridges = lock(&shared.world).bridges();
    shared.life.send_modify(|life| life.bridges_read = life.opened);
    Json(bridges)
}

async fn channel(State(shared): Server, Path(id): Path<String>) -> Response {
    match lock(&shared.world).channel(&id) {
        Some(channel) => Json(channel.clone()).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "Channel not found"),
    }
}

async fn variable(State(shared): Server, Path(id): Path<String>, Query(query): Parameters) -> Response {
    be_slow(&shared).await;
    let Some(name) = query.get("variable") else {
        return refusal(StatusCode::BAD_REQUEST, "Variable name is required");
    };
    match lock(&shared.world).variable(&id, name) {
        Variable::Value(value) => Json(json!({ "value": value })).into_response(),
        Variable::NotSet => refusal(StatusCode::NOT_FOUND, "Provided variable was not found"),
        Variable::NoChannel => refusal(StatusCode::NOT_FOUND, "Channel not found"),
    }
}

async fn be_slow(shared: &Shared) {
    let latency = lock(&shared.manners).variable_latency;
    let cut = lock(&shared.cut).clone();
    if latency > Duration::ZERO {
        tokio::select! {
            () = sleep(latency) => {}
            () = cut.cancelled() => {}
        }
    }
}

async fn applications(State(shared): Server) -> Json<Vec<Value>> {
    let sockets = shared.sockets.lock().await;
    Json(sockets.iter().filter(|socket| socket.holds_its_name()).map(socket::Listener::application).collect())
}

async fn info() -> Json<Value> {
    Json(json!({
        "system": { "version": "22.10.1", "entity_id": "52:54:00:00:00:01" },
        "config": { "name": "", "default_language": "en" },
    }))
}

async fn ping() -> Json<Value> {
    Json(json!({ "asterisk_id": "52:54:00:00:00:01", "ping": "pong", "timestamp": now_as_text() }))
}
