//! From the first packet to the last: packets out of the store, through the map, to the tracker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Config;
use super::access::Access;
use super::complaints::{Complaint, Complaints};
use super::drops::Drops;
use super::listen::Receiver;
use super::map::Map;
use super::packet::{Packet, Payload};
use super::store::{Raw, Store, Told};
use super::tls;
use crate::calls::feed::Snapshot;
use crate::calls::record::Extension;
use crate::feeds::session::{Loss, Outlet};

/// Packets that are taken in one go.
const BURST: usize = 256;
/// Packets may gather for so long: meanwhile the threads that receive need not wake this task for each, and come to read in time.
const GATHER: Duration = Duration::from_millis(1);
/// Whoever has sent a datagram less than this ago still sends.
const HEARD: Duration = Duration::from_mins(1);
/// How often it is looked what has not been heard of for too long.
const TICK: Duration = Duration::from_secs(1);

/// What all tries of one feed share.
pub struct Feed {
    pub config: Config,
    pub devices: BTreeMap<String, Extension>,
    pub outlet: Outlet,
}

/// Who is known to send.
#[derive(Default)]
struct Senders {
    /// Those that have brought a packet that was accepted.
    connections: BTreeSet<u64>,
    last_datagram: Option<Instant>,
    /// The last one that had a connection is gone, and that has been told.
    are_lost: bool,
}

/// Listens until that fails, and says why it did.
pub async fn live(feed: &Feed) -> Loss {
    match Follower::open(feed).await {
        Ok(mut follower) => follower.follow().await,
        Err(reason) => Loss::new(reason),
    }
}

struct Follower<'a> {
    feed: &'a Feed,
    map: Map,
    access: Arc<Access>,
    complaints: Arc<Complaints>,
    packets: mpsc::Receiver<Told>,
    drops: Vec<Drops>,
    senders: Senders,
    sockets: JoinSet<std::io::Error>,
    /// Stops the threads when this is dropped.
    _stop: tokio_util::sync::DropGuard,
    /// The mirror's clock: its last stamp, and when that came.
    clock: Option<(Timestamp, Instant)>,
}

impl<'a> Follower<'a> {
    async fn open(feed: &'a Feed) -> Result<Self, String> {
        let config = &feed.config;
        let told = |error: super::BadSetting| error.to_string();
        let status = feed.outlet.status();
        let access = Arc::new(Access::new(config.auth_key.clone(), config.allowed().map_err(told)?));
        let complaints = Arc::new(Complaints::new(status.clone()));
        let tls = tls::identity(config).map_err(|error| error.to_string())?;
        let (store, packets) = Store::new(status.clone());
        let stop = CancellationToken::new();
        let receiver = Receiver {
            store,
            access: access.clone(),
            complaints: complaints.clone(),
            tls,
            connections: Arc::default(),
            stop: stop.clone(),
        };
        let stop = stop.drop_guard();
        let (mut sockets, mut drops) = (JoinSet::new(), Vec::new());
        for on in config.listens().map_err(told)? {
            drops.extend(receiver.listen(on, &mut sockets).await.map_err(|error| error.to_string())?);
        }
        let map = Map::new(config.trunks().map_err(told)?, &feed.devices);
        let senders = Senders::default();
        Ok(Self { feed, map, access, complaints, packets, drops, senders, sockets, _stop: stop, clock: None })
    }

    async fn follow(&mut self) -> Loss {
        tracing::info!("the feed is up");
        self.feed.outlet.up(Snapshot::Unknowable).await;
        let (mut burst, mut tick) = (Vec::with_capacity(BURST), interval(TICK));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                taken = self.packets.recv_many(&mut burst, BURST) => {
                    for told in burst.drain(..) {
                        self.take(told).await;
                    }
                    match taken {
                        0 => return Loss::new("all sockets are closed"),
                        BURST => {}
                        _ => sleep(GATHER).await,
                    }
                }
                _ = tick.tick() => self.tick().await,
                Some(ended) = self.sockets.join_next() => return Loss::new(match ended {
                    Ok(error) => format!("a socket failed: {error}"),
                    Err(_) => "a reader ended".to_owned(),
                }),
            }
        }
    }

    async fn take(&mut self, told: Told) {
        match told {
            Told::Packet(raw) => self.packet(&raw).await,
            Told::Disconnected { connection, lost } => {
                let sent = self.senders.connections.remove(&connection);
                if sent && lost && self.senders.connections.is_empty() {
                    self.unheard().await;
                }
            }
        }
    }

    /// The last connection is gone. Whose calls were whose is not known, so none is lost while somebody else sends.
    async fn unheard(&mut self) {
        let by_datagram = self.senders.last_datagram.is_some_and(|at| at.elapsed() < HEARD);
        if !by_datagram && !self.senders.are_lost {
            self.senders.are_lost = true;
            let reason = "the last sender's connection is closed";
            tracing::warn!(reason, "the feed is not up");
            self.feed.outlet.lost(reason).await;
        }
    }

    async fn heard(&mut self, raw: &Raw) {
        match raw.connection {
            Some(connection) => drop(self.senders.connections.insert(connection)),
            None => self.senders.last_datagram = Some(raw.arrived),
        }
        if std::mem::take(&mut self.senders.are_lost) {
            tracing::info!("the feed is up");
            self.feed.outlet.up(Snapshot::Unknowable).await;
        }
    }

    async fn packet(&mut self, raw: &Raw) {
        let packet = match Packet::read(&raw.bytes) {
            Ok(packet) => packet,
            Err(bad) => return self.complaints.count(Complaint::Bad(bad)),
        };
        if !self.access.accepts(packet.key) {
            return self.complaints.count(Complaint::WrongKey);
        }
        self.heard(raw).await;
        let Payload::Sip(octets) = &packet.payload else {
            return self.feed.outlet.status().count_unknown();
        };
        self.clock = Some((packet.at, raw.arrived));
        match self.map.packet(&packet, octets, raw.arrived) {
            Ok(events) => {
                for event in events {
                    self.feed.outlet.call(event).await;
                }
            }
            Err(passed_over) => {
                tracing::debug!(problem = %passed_over, "a message is passed over");
                self.complaints.count(Complaint::Sip);
            }
        }
    }

    async fn tick(&mut self) {
        for drops in &mut self.drops {
            self.complaints.count_unread(drops.since_last());
        }
        let now = Instant::now();
        let at = self.clock.map_or_else(Timestamp::now, |(stamp, came)| stamp + now.saturating_duration_since(came));
        for event in self.map.expire(now, at) {
            self.feed.outlet.call(event).await;
        }
    }
}
