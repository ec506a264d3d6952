//! `/api/v1/agents/{extension}/pops`: an agent's screen as server-sent events (WHATWG HTML section 9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::app::Shared;
use super::auth::Caller;
use super::problem::Problem;
use crate::calls::record::Extension;
use crate::pops::{Event, Subscription};

/// How often a comment shows that the stream lives; also how soon a token that was replaced ends it.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// How long a browser waits before it comes back, in milliseconds.
const RETRY: u32 = 2000;

#[derive(Deserialize)]
pub(super) struct Options {
    /// As the header `Last-Event-ID`, which a page cannot set when it opens a stream anew.
    last_event_id: Option<String>,
}

struct Stream {
    app: Shared,
    caller: Caller,
    subscription: Subscription,
    comments: Interval,
    began: bool,
}

pub(super) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    extension: Result<Path<Extension>, PathRejection>,
    options: Result<Query<Options>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(extension) = extension?;
    caller.must_be(&extension)?;
    let header = headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    let last = header.or(options?.0.last_event_id);
    let subscription = app
        .handles
        .hub
        .subscribe(&extension, last.as_deref().filter(|id| !id.is_empty()))
        .map_err(|error| Problem::too_many(format!("{error}."), 5))?;
    Ok(response(Stream { app, caller, subscription, comments: comments(), began: false }))
}

fn response(stream: Stream) -> Response {
    let frames = stream::unfold(stream, |mut stream| async move {
        let frame = stream.next().await?;
        Some((Ok::<_, Infallible>(frame), stream))
    });
    let headers = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        (CACHE_CONTROL.as_str(), "no-store"),
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(frames)).into_response()
}

impl Stream {
    /// The next piece of the stream; none: it is to end.
    async fn next(&mut self) -> Option<String> {
        if !self.began {
            self.began = true;
            return Some(format!(": ctibridge\nretry: {RETRY}\n\n"));
        }
        let frame = tokio::select! {
            biased;
            () = self.app.stop.cancelled() => return None,
            _ = self.comments.tick() => ":\n\n".to_owned(),
            event = self.subscription.next() => frame(&event),
        };
        self.caller.is_still_valid(&self.app).then_some(frame)
    }
}

fn comments() -> Interval {
    let mut comments = interval_at(Instant::now() + COMMENT_EVERY, COMMENT_EVERY);
    comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    comments
}

/// `data` is JSON on one line, so it cannot end the event early.
fn frame(event: &Event) -> String {
    format!("id: {}\nevent: {}\ndata: {}\n\n", event.id, event.name, event.data)
}
