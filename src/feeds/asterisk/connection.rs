//! One connection to an Asterisk, from its beginning to its loss: socket, snapshot, events.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rustls::ClientConfig;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};

use super::address::Address;
use super::asks::{Answer, Asks};
use super::frame::BadFrame;
use super::map::Map;
use super::rest::{self, Rest};
use super::wire::{Event, Frame};
use super::{Config, Limits, advice};
use crate::calls::event::CallEvent;
use crate::calls::feed::{Known, Snapshot};
use crate::calls::record::Extension;
use crate::feeds::session::{Loss, Outlet};
use crate::feeds::tls;
use crate::feeds::websocket::{self, ConnectError, RawFrame, Stream};

/// What all connections of one feed share.
pub struct Feed {
    pub config: Config,
    pub devices: BTreeMap<String, Extension>,
    pub limits: Limits,
    pub outlet: Outlet,
}

/// Lives one connection and says why it ended.
pub async fn live(feed: &Feed) -> Loss {
    match stay(feed).await {
        Ok(never) => match never {},
        Err(loss) => loss,
    }
}

async fn stay(feed: &Feed) -> Result<Infallible, Loss> {
    let address = Address::of(&feed.config).map_err(|error| Loss::new(error.to_string()))?;
    let tls = trust(&feed.config, &address).map_err(|error| Loss::new(error.to_string()))?;
    let rest = Rest::new(&feed.config, address.clone(), &tls, feed.limits.rest).map_err(|error| no_snapshot(&error))?;
    let stream = open(feed, &address, tls).await?;
    // The reader is at work: what happens from here on waits behind the snapshot.
    let mut map = Map::new(&feed.config.trunks, &feed.devices);
    let known = snapshot(&rest, &mut map).await?;
    tracing::info!(legs = known.legs.len(), "the feed is up");
    feed.outlet.up(Snapshot::Known(known)).await;
    let mut asks = Asks::new(Arc::new(rest), &feed.limits);
    for channel in map.unasked() {
        asks.presentation(channel);
    }
    let connection = Connection { feed, stream, map, asks, told: BTreeSet::new() };
    connection.follow().await
}

/// Plain connections do without the system's authorities, which a small machine may not have.
pub fn trust(config: &Config, address: &Address) -> Result<Arc<ClientConfig>, tls::SetupError> {
    if address.secure { tls::trusting(&config.ca_file) } else { tls::unused() }
}

async fn open(feed: &Feed, address: &Address, tls: Arc<ClientConfig>) -> Result<Stream, Loss> {
    let request = request(&feed.config, address).map_err(|error| not_open(&error))?;
    let (limits, status) = (&feed.limits.socket, feed.outlet.status());
    websocket::connect(request, tls, limits, status).await.map_err(|error| not_open(&error))
}

fn request(config: &Config, address: &Address) -> Result<Request, ConnectError> {
    let mut request = address.events.as_str().into_client_request().map_err(ConnectError::Failed)?;
    let user = format!("{}:{}", config.username, config.password.expose());
    let basic = format!("Basic {}", STANDARD.encode(user));
    let mut value = HeaderValue::try_from(basic).map_err(|error| ConnectError::Failed(error.into()))?;
    value.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, value);
    Ok(request)
}

fn not_open(error: &ConnectError) -> Loss {
    Loss::new(match error {
        ConnectError::Refused(status) => {
            format!("no event socket, {error}: {}", advice::on_status(*status))
        }
        ConnectError::TimedOut(_) | ConnectError::Failed(_) => {
            format!("no event socket: {}", advice::on_failure(error))
        }
    })
}

async fn snapshot(rest: &Rest, map: &mut Map) -> Result<Known, Loss> {
    let (channels, bridges) = tokio::try_join!(rest.channels(), rest.bridges()).map_err(|error| no_snapshot(&error))?;
    Ok(Known { read_at: Some(Timestamp::now()), ..map.snapshot(&channels, &bridges) })
}

fn no_snapshot(error: &rest::Error) -> Loss {
    Loss::new(format!("what lives now could not be read by REST: {error}"))
}

struct Connection<'a> {
    feed: &'a Feed,
    stream: Stream,
    map: Map,
    asks: Asks,
    /// Kinds of frames of which it has been logged that they cannot be understood.
    told: BTreeSet<BadFrame>,
}

impl Connection<'_> {
    async fn follow(mut self) -> Result<Infallible, Loss> {
        loop {
            tokio::select! {
                raw = self.stream.next() => self.frame(&raw?).await?,
                answer = self.asks.next() => self.answer(&answer).await,
            }
        }
    }

    async fn frame(&mut self, raw: &RawFrame) -> Result<(), Loss> {
        tracing::trace!(frame = raw.text(), "read");
        match Frame::parse(raw.text()) {
            Ok(frame) => self.event(frame).await,
            Err(bad) => {
                self.bad(bad);
                Ok(())
            }
        }
    }

    async fn event(&mut self, frame: Frame) -> Result<(), Loss> {
        if let Event::ApplicationReplaced { .. } = frame.event {
            return Err(self.replaced());
        }
        if let Event::Other = frame.event {
            self.feed.outlet.status().count_unknown();
        }
        let mapped = self.map.frame(frame);
        self.tell(mapped.events).await;
        if let Some(channel) = mapped.ask_presentation {
            self.asks.presentation(channel);
        }
        Ok(())
    }

    async fn answer(&mut self, answer: &Answer) {
        let presentation = answer.presentation.as_deref();
        let events = self.map.presentation(&answer.channel, presentation);
        self.tell(events).await;
    }

    async fn tell(&self, events: Vec<CallEvent>) {
        for event in events {
            self.feed.outlet.call(event).await;
        }
    }

    fn bad(&mut self, bad: BadFrame) {
        self.feed.outlet.status().count_bad();
        if !self.told.contains(&bad) {
            tracing::warn!(problem = %bad, "a frame is not understood; more of the kind are only counted");
            self.told.insert(bad);
        }
    }

    /// Asterisk leaves the losing socket open and says nothing on it any more.
    fn replaced(&self) -> Loss {
        Loss::new(format!("another client connected with app `{}`; give each its own `app`", self.feed.config.app))
            .pausing(self.feed.limits.replaced_pause)
    }
}
