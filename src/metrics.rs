//! What Prometheus is told: counts and times, with labels from fixed sets and no caller's data.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Seconds: from a look-up in memory to one that ran into its deadline.
const SECONDS: [f64; 14] = [0.00002, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// How a frame of a phone system was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Of a kind that is used.
    Known,
    /// Well-formed, of a kind that is not used.
    Unknown,
    /// Not well-formed.
    Bad,
    /// Thrown away unread.
    Dropped,
}

/// The state of a feed, as `/readyz` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedState {
    Connecting,
    Up,
    Lost,
}

/// A handle on all metrics; clones count into the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    frames: Family<FrameLabels, Counter>,
    feed_up: Family<FeedLabel, Gauge>,
    feed_losses: Family<FeedLabel, Counter>,
    feed_overruns: Family<FeedLabel, Counter>,
    calls_open: Gauge,
    calls_ended: Family<DispositionLabel, Counter>,
    pops_sent: Counter,
    pops_withdrawn: Counter,
    pops_not_kept: Counter,
    pop_latency: Histogram,
    lookups: Family<SourceLabel, Histogram, fn() -> Histogram>,
    tasks_done: Gauge,
    tasks_parked: Gauge,
    tasks_waiting: Gauge,
    api_used: Gauge,
    api_allowed: Gauge,
    directory_age: Gauge,
    started: Timestamp,
    directory_polls: Counter,
    directory_changes: Counter,
    directory: Family<KindLabel, Gauge>,
    directory_bytes: Gauge,
    allowance: Gauge,
    salesforce_calls: Family<KindLabel, Counter>,
}

impl Metrics {
    /// So many frames came from a phone system since the start. `feed`: its name in the settings.
    pub fn frames(&self, feed: &str, frame: Frame, total: u64) {
        let kind = match frame {
            Frame::Known => "known",
            Frame::Unknown => "unknown",
            Frame::Bad => "bad",
            Frame::Dropped => "dropped",
        };
        let feed = feed.to_owned();
        self.frames.get_or_create(&FrameLabels { feed, kind }).inner().store(total, Ordering::Relaxed);
    }

    /// So often a feed told more than could be taken since the start.
    pub fn overruns(&self, feed: &str, total: u64) {
        let label = FeedLabel { feed: feed.to_owned() };
        self.feed_overruns.get_or_create(&label).inner().store(total, Ordering::Relaxed);
    }

    /// A feed came into this state.
    pub fn feed(&self, feed: &str, state: FeedState) {
        let label = FeedLabel { feed: feed.to_owned() };
        self.feed_up.get_or_create(&label).set(i64::from(state == FeedState::Up));
        if state == FeedState::Lost {
            self.feed_losses.get_or_create(&label).inc();
        }
    }

    pub fn calls_open(&self, calls: usize) {
        self.calls_open.set(count(calls as u64));
    }

    /// A call ended. `disposition`: as in the Task.
    pub fn call_ended(&self, disposition: &'static str) {
        self.calls_ended.get_or_create(&DispositionLabel { disposition }).inc();
    }

    /// A pop was sent this long after the phone system told of the call.
    pub fn pop_sent(&self, after: Duration) {
        self.pops_sent.inc();
        self.pop_latency.observe(after.as_secs_f64());
    }

    /// A screen was told of a call that was not written down yet, because the disk is full or stuck.
    pub fn pop_not_kept(&self) {
        self.pops_not_kept.inc();
    }

    pub fn pop_withdrawn(&self) {
        self.pops_withdrawn.inc();
    }

    /// A look-up was answered. `source`: as in the answer, `index`, `live` or `none`.
    pub fn lookup(&self, source: &'static str, took: Duration) {
        self.lookups.get_or_create(&SourceLabel { source }).observe(took.as_secs_f64());
    }

    /// How many finished calls wait to be written, how many were refused for good, and how many are written and remembered.
    pub fn journal(&self, waiting: u64, parked: u64, done: u64) {
        self.tasks_waiting.set(count(waiting));
        self.tasks_parked.set(count(parked));
        self.tasks_done.set(count(done));
    }

    /// The org's API requests of the last 24 hours, as Salesforce says: used, and allowed.
    pub fn api_used(&self, used: u64, allowed: u64) {
        self.api_used.set(count(used));
        self.api_allowed.set(count(allowed));
    }

    /// When the local copy last was as the org, the times since the start that changes were asked for, and the changes that came.
    pub fn directory_sync(&self, synced_at: Option<Timestamp>, polls: u64, changes: u64) {
        let since = synced_at.unwrap_or(self.started);
        self.directory_age.set(Timestamp::now().duration_since(since).as_secs().max(0));
        self.directory_polls.inner().store(polls, Ordering::Relaxed);
        self.directory_changes.inner().store(changes, Ordering::Relaxed);
    }

    /// What the local copy of the org's phone numbers holds: phone fields by what they are read as, and records; and its memory.
    pub fn directory(&self, held: [(&'static str, u64); 4], bytes: u64) {
        for (kind, number) in held {
            self.directory.get_or_create(&KindLabel { kind }).set(count(number));
        }
        self.directory_bytes.set(count(bytes));
    }

    /// What the org's API calls still allow: 0 all, 1 fewer polls, 2 no polls, 3 Tasks only, 4 nothing.
    pub fn allowance(&self, level: i64) {
        self.allowance.set(level);
    }

    /// So many calls of this kind were made since the start.
    pub fn salesforce_calls(&self, kind: &'static str, total: u64) {
        self.salesforce_calls.get_or_create(&KindLabel { kind }).inner().store(total, Ordering::Relaxed);
    }

    /// All of them in Prometheus' text format (`OpenMetrics`).
    pub fn render(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("metrics cannot be written");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            frames: Family::default(),
            feed_up: Family::default(),
            feed_losses: Family::default(),
            feed_overruns: Family::default(),
            calls_open: Gauge::default(),
            calls_ended: Family::default(),
            pops_sent: Counter::default(),
            pops_withdrawn: Counter::default(),
            pops_not_kept: Counter::default(),
            pop_latency: seconds(),
            lookups: Family::new_with_constructor(seconds),
            tasks_done: Gauge::default(),
            tasks_parked: Gauge::default(),
            tasks_waiting: Gauge::default(),
            api_used: Gauge::default(),
            api_allowed: Gauge::default(),
            directory_age: Gauge::default(),
            started: Timestamp::now(),
            directory_polls: Counter::default(),
            directory_changes: Counter::default(),
            directory: Family::default(),
            directory_bytes: Gauge::default(),
            allowance: Gauge::default(),
            salesforce_calls: Family::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }
}

impl Metrics {
    fn register(&self) -> Registry {
        let mut registry = Registry::with_prefix("ctibridge");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "This build", build);
        self.register_calls(&mut registry);
        self.register_salesforce(&mut registry);
        registry.register("directory", "What the local copy of phone numbers holds", self.directory.clone());
        let bytes = self.directory_bytes.clone();
        registry.register_with_unit("directory_memory", "Memory of the local copy", Unit::Bytes, bytes);
        registry
    }

    fn register_calls(&self, registry: &mut Registry) {
        registry.register("feed_frames", "Frames received from phone systems", self.frames.clone());
        registry.register("feed_up", "1 while the feed is connected", self.feed_up.clone());
        registry.register("feed_losses", "Times that a feed was lost", self.feed_losses.clone());
        let overruns = self.feed_overruns.clone();
        registry.register("feed_overruns", "Times that a feed told more than could be taken", overruns);
        registry.register("calls_open", "Calls going on", self.calls_open.clone());
        registry.register("calls_ended", "Calls that ended", self.calls_ended.clone());
        registry.register("pops_sent", "Pops shown to agents", self.pops_sent.clone());
        registry.register("pops_withdrawn", "Pops taken back", self.pops_withdrawn.clone());
        let not_kept = self.pops_not_kept.clone();
        registry.register("pops_not_kept", "Pops and updates that a full or stuck disk did not hold back", not_kept);
        let latency = self.pop_latency.clone();
        registry.register_with_unit("pop_latency", "From the phone system's word to the pop", Unit::Seconds, latency);
        let lookups = self.lookups.clone();
        registry.register_with_unit("lookup", "Time of look-ups", Unit::Seconds, lookups);
    }

    fn register_salesforce(&self, registry: &mut Registry) {
        let age = self.directory_age.clone();
        registry.register_with_unit("directory_age", "Since the local copy last was as the org", Unit::Seconds, age);
        registry.register("directory_polls", "Times that changes were asked for", self.directory_polls.clone());
        registry.register("directory_changes", "Changes taken into the local copy", self.directory_changes.clone());
        for (name, help, gauge) in [
            ("tasks_done", "Calls written to Salesforce that the journal still remembers", &self.tasks_done),
            ("tasks_parked", "Calls that Salesforce refused for good", &self.tasks_parked),
            ("tasks_waiting", "Calls that wait to be written", &self.tasks_waiting),
            ("salesforce_api_used", "The org's API requests of the last 24 hours", &self.api_used),
            ("salesforce_api_allowed", "The org's daily allowance of API requests", &self.api_allowed),
            (
                "salesforce_allowance",
                "What the allowance permits: 0 all, 1 fewer polls, 2 no polls, 3 Tasks only, 4 nothing",
                &self.allowance,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register("salesforce_calls", "Requests to Salesforce", self.salesforce_calls.clone());
    }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FrameLabels {
    feed: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FeedLabel {
    feed: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DispositionLabel {
    disposition: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_into_the_same_and_all_is_rendered() {
        let metrics = Metrics::default();
        let other = metrics.clone();
        other.frames("pbx1", Frame::Known, 9);
        other.frames("pbx1", Frame::Bad, 1);
        metrics.feed("pbx1", FeedState::Up);
        metrics.overruns("pbx1", 4);
        metrics.calls_open(3);
        metrics.call_ended("Missed");
        metrics.pop_sent(Duration::from_millis(7));
        metrics.pop_withdrawn();
        metrics.pop_not_kept();
        metrics.lookup("live", Duration::from_millis(120));
        metrics.journal(2, 1, 5);
        metrics.api_used(250, 1000);
        metrics.directory_sync(Some(Timestamp::now()), 7, 9);
        metrics.directory([("numbers", 9), ("records", 7), ("possible", 2), ("junk", 1)], 4096);
        metrics.allowance(2);
        metrics.salesforce_calls("search", 12);
        let text = metrics.render();
        for line in [
            "ctibridge_feed_frames_total{feed=\"pbx1\",kind=\"bad\"} 1",
            "ctibridge_feed_up{feed=\"pbx1\"} 1",
            "ctibridge_feed_overruns_total{feed=\"pbx1\"} 4",
            "ctibridge_calls_open 3",
            "ctibridge_calls_ended_total{disposition=\"Missed\"} 1",
            "ctibridge_pop_latency_seconds_bucket{le=\"0.01\"} 1",
            "ctibridge_pops_withdrawn_total 1",
            "ctibridge_pops_not_kept_total 1",
            "ctibridge_lookup_seconds_count{source=\"live\"} 1",
            "ctibridge_tasks_done 5",
            "ctibridge_tasks_waiting 2",
            "ctibridge_tasks_parked 1",
            "ctibridge_salesforce_api_used 250",
            "ctibridge_salesforce_api_allowed 1000",
            "ctibridge_directory_polls_total 7",
            "ctibridge_directory_changes_total 9",
            "ctibridge_directory_age_seconds 0",
            "ctibridge_directory{kind=\"numbers\"} 9",
            "ctibridge_directory_memory_bytes 4096",
            "ctibridge_salesforce_allowance 2",
            "ctibridge_salesforce_calls_total{kind=\"search\"} 12",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
