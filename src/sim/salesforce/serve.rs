//! Between the socket and the world: reads a request, lets faults happen to it, writes the answer.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body as HttpBody, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Uri},
    response::Response,
};

use super::{
    admin,
    door::Line,
    exchange::{Answer, Ask, Body},
    knobs::{Fault, FaultKind},
    oauth, pages, race, rest, soap,
    world::World,
};
use crate::sim::org::Refusal;

/// The largest request body; Salesforce's own limit is of this order.
const LARGEST_BODY: usize = 32 * 1024 * 1024;
/// The longest request target, after which Salesforce answers 414.
const LONGEST_URI: usize = 16_384;

/// The world, shared by all connections.
pub(crate) type Shared = Arc<Mutex<World>>;

/// The service for one socket.
pub(crate) fn router(world: Shared) -> Router {
    Router::new().fallback(handle).with_state(world)
}

/// The world, for the length of one step; a panic elsewhere does not take the data with it.
///
/// Late requests that are due by now are done first, so that whoever looks sees them.
pub(crate) fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some(ask) = world.due() {
        route(&mut world, &ask);
    }
    world
}

async fn handle(State(world): State<Shared>, ConnectInfo(line): ConnectInfo<Line>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return wire(Answer::text(413, "text/plain", "request body too large"));
    };
    let mut ask = ask(head.method.as_str(), &head.uri, &head.headers);
    ask.body = body.into();
    if head.uri.to_string().len() > LONGEST_URI {
        return wire(Answer::refusal(&Refusal::new("URI_TOO_LONG", "URI too long")));
    }
    let answer = respond(&world, &line, &ask).await;
    let date = lock(&world).now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    wire(answer.with("Date", date))
}

async fn respond(world: &Shared, line: &Line, ask: &Ask) -> Answer {
    if ask.path().first() == Some(&"sandbox") {
        return admin::answer(&mut lock(world), ask, ask.path().get(1..).unwrap_or_default());
    }
    let (latency, fault, refuse) = {
        let mut world = lock(world);
        world.count_endpoint(ask);
        let up = !world.knobs.down && !world.knobs.refuse;
        let fault = if up { world.next_fault(ask) } else { None };
        (world.knobs.latency_ms, fault, world.knobs.refuse)
    };
    if refuse {
        line.cut();
        return unavailable();
    }
    if latency > 0 {
        delay(world, ask, Duration::from_millis(latency)).await;
    }
    match fault {
        Some(fault) => with_fault(world, line, ask, &fault).await,
        None => route(&mut lock(world), ask),
    }
}

/// A request that is taken is done, also when its sender does not wait for it.
async fn delay(world: &Shared, ask: &Ask, latency: Duration) {
    let mut taken = Taken { world, ask: Some(ask), when: Instant::now() + latency };
    tokio::time::sleep(latency).await;
    taken.ask = None;
}

/// Left behind by a sender who goes: the request is a late one.
struct Taken<'a> {
    world: &'a Shared,
    ask: Option<&'a Ask>,
    when: Instant,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(ask) = self.ask {
            lock(self.world).late.push((self.when, ask.clone()));
        }
    }
}

async fn with_fault(world: &Shared, line: &Line, ask: &Ask, fault: &Fault) -> Answer {
    let pause = tokio::time::sleep(Duration::from_millis(fault.ms));
    match fault.kind {
        FaultKind::Http503 => unavailable(),
        FaultKind::Html502 => Answer::text(
            502,
            "text/html",
            "<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>",
        ),
        FaultKind::LockRow => {
            let mut world = lock(world);
            world.locked_rows = fault.rows;
            let answer = route(&mut world, ask);
            world.locked_rows = 0;
            answer
        }
        FaultKind::CommitThenDrop => {
            let answer = route(&mut lock(world), ask);
            line.cut();
            answer
        }
        FaultKind::CommitThenHang => {
            let answer = route(&mut lock(world), ask);
            pause.await;
            answer
        }
        FaultKind::LateCommit => {
            let when = Instant::now() + Duration::from_millis(fault.ms);
            lock(world).late.push((when, ask.clone()));
            line.cut();
            unavailable()
        }
        FaultKind::LostRace => race::lost(route(&mut lock(world), ask)),
        FaultKind::Drop => {
            line.cut();
            unavailable()
        }
        FaultKind::SessionExpired => {
            if let Some(token) = rest::bearer(ask) {
                lock(world).sessions.live.remove(token);
            }
            Answer::refusal(&rest::no_session())
        }
        FaultKind::RequestLimit => Answer::refusal(&rest::over_limit()),
        FaultKind::Hang => {
            pause.await;
            route(&mut lock(world), ask)
        }
    }
}

/// Which part of the pretend Salesforce answers.
fn route(world: &mut World, ask: &Ask) -> Answer {
    if world.knobs.down {
        return unavailable();
    }
    match ask.path().as_slice() {
        ["services", "data", ..] => rest::answer(world, ask),
        ["services", "oauth2", what] => oauth::answer(world, ask, what),
        ["services", "Soap", "u" | "c", version, ..] => soap::answer(world, ask, version),
        ["id", _org, _user] => oauth::identity(world, ask),
        [".well-known", "openid-configuration"] => oauth::discovery(world),
        _ => pages::answer(world, ask),
    }
}

fn unavailable() -> Answer {
    Answer::refusal(&Refusal::new("SERVER_UNAVAILABLE", "server too busy"))
}

fn ask(method: &str, uri: &Uri, headers: &HeaderMap) -> Ask {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut ask = Ask::new(method, target);
    // Clients that cannot send PATCH say so in the query.
    if let ("POST", Some(method)) = (method, ask.parameter("_HttpMethod")) {
        ask.method = method.to_ascii_uppercase();
    }
    let headers = headers.iter();
    ask.headers = headers
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    ask
}

fn wire(answer: Answer) -> Response {
    let mut builder = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        builder = builder.header(name, value);
    }
    let (kind, body) = match answer.body {
        Body::Empty => ("", HttpBody::empty()),
        Body::Json(value) => ("application/json;charset=UTF-8", value.to_string().into()),
        Body::Text(kind, text) => (kind, text.into()),
    };
    if !kind.is_empty() {
        builder = builder.header("Content-Type", kind);
    }
    builder.body(body).unwrap_or_default()
}
