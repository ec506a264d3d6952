//! All wiring: builds the parts, owns the channels between them, starts and stops them in order.

mod admin;
mod board;
mod explain;
mod grant;
mod handles;
pub mod ledger;
mod policy;
mod pump;
mod readiness;
mod screens;
mod spoken;
mod upkeep;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::backoff::Backoff;
use crate::calls::Site;
use crate::calls::record::Extension;
use crate::calls::tracker::Tracker;
use crate::directory::Directory;
use crate::directory::sync::Sync;
use crate::feeds::{self, Phones, StatusHandle};
use crate::http::{self, NotAnAddress};
use crate::journal::{AgentUser, Journal, JournalError, TemplateError, sender};
use crate::lifecycle::{Deaths, Tasks};
use crate::metrics::{FeedState, Metrics};
use crate::phone::{PhoneNumber, PlanError};
use crate::pops::{AgentStore, AgentsError, Hub, UnknownCaller};
use crate::salesforce::{self, Client};
use crate::secret::Secret;
pub use explain::explain;
pub use handles::linker;
pub use upkeep::{LocalCopy, saved};

use board::Board;
use handles::Parts;
use policy::Policy;
use pump::Pump;
use screens::Screens;

/// Messages of feeds that the pump has not taken yet. When it is full the feeds wait, each with a buffer of its own behind it.
const MESSAGES: usize = 4096;
/// How long the logger waits for a look-up that the pop could not wait for.
const SURE_ANSWER: Duration = Duration::from_secs(20);
/// The first wait and the longest one between tries to reach Salesforce at start.
const GREETING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What the bridge runs with; the settings' part that concerns it.
pub struct Config {
    pub name: String,
    pub state_dir: std::path::PathBuf,
    /// Where a consent to use Salesforce is kept: the daemon's state folder, also where a replay has one of its own.
    pub consent_dir: std::path::PathBuf,
    pub site: Site,
    pub ignore_numbers: Vec<String>,
    pub http: http::Config,
    pub salesforce: salesforce::Config,
    pub directory: crate::directory::Config,
    pub pops: crate::pops::Config,
    pub log: crate::journal::Config,
    pub feeds: Vec<feeds::Config>,
    pub match_user_extension: bool,
    pub agents: Vec<crate::pops::Agent>,
}

/// Why the bridge cannot start. What is down but may come up is no such reason.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("http.listen: cannot listen on {address}: {error}; expected an address of this machine and a free port")]
    Listen { address: String, error: io::Error },
    #[error("bridge.state_dir: {path}: {error}; expected a folder that ctibridge may write to")]
    StateDir { path: String, error: io::Error },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("salesforce: {0}")]
    Salesforce(#[from] salesforce::ConfigError),
    #[error("log: {0}")]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Agents(#[from] AgentsError),
    #[error("bridge: {0}")]
    Plan(#[from] PlanError),
    #[error("http.trusted_proxies: {0}")]
    Proxies(#[from] NotAnAddress),
}

impl StartError {
    /// Something else listens where this bridge would.
    #[must_use]
    pub fn is_taken_address(&self) -> bool {
        matches!(self, Self::Listen { error, .. } if error.kind() == io::ErrorKind::AddrInUse)
    }
}

/// A running bridge.
pub struct Bridge {
    address: SocketAddr,
    admin_token: Secret,
    parts: Parts,
    policy: watch::Sender<Arc<Policy>>,
    unknown: watch::Sender<UnknownCaller>,
    /// Stopped in this order.
    feeds: Tasks,
    pump: Tasks,
    /// What Salesforce is asked for unasked: the local copy, the consent, the first login.
    sync: Tasks,
    sender: Tasks,
    http: Tasks,
    disk: Tasks,
    deaths: Deaths,
}

impl Bridge {
    /// Starts everything. A PBX or a Salesforce that is down is a state, not an error.
    ///
    /// # Errors
    /// When the state folder or the address cannot be had, or the settings cannot be worked with.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        // Fails only where a provider has been chosen before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        make_state_dir(&config.state_dir)?;
        let listener = listen(&config.http.listen).await?;
        let address = listener.local_addr().map_err(|error| not_listening(&config.http.listen, error))?;
        let proxies = http::Proxies::parse(&config.http.trusted_proxies)?;
        let admin_token = admin::token(&config.http.admin_token, &config.state_dir)?;
        let agents = AgentStore::open(&config.state_dir, &config.agents)?;
        let client = Client::with_state(&config.salesforce, &config.consent_dir)?;
        let (all, deaths) = Tasks::new();
        let (feeds, pump, sync, sender) = (all.group(), all.group(), all.group(), all.group());
        let (http, disk) = (all.group(), all.group());
        let journal = Journal::open(&config.state_dir, &disk).await?;
        let directory = Directory::new(client.clone(), config.site.plan.clone(), config.directory.clone());
        let keeper = upkeep::keeper(&config, &client, &directory).await;
        let parts = Parts {
            client,
            directory,
            sync: keeper.as_ref().map(Sync::handle),
            journal,
            hub: Hub::new(Timestamp::now()),
            agents,
            board: Board::default(),
            metrics: Metrics::default(),
            statuses: config.feeds.iter().map(|feed| StatusHandle::new(feed.name())).collect(),
            details_link: config.salesforce.details_link.clone(),
            endpoint: config.salesforce.endpoint.clone(),
        };
        let (policy, policy_now) = watch::channel(Arc::new(policy_of(&config)));
        let (unknown, unknown_now) = watch::channel(config.pops.unknown);
        let bridge =
            Self { address, admin_token, parts, policy, unknown, feeds, pump, sync, sender, http, disk, deaths };
        bridge.start_sender(&config)?;
        bridge.recall_whom_callers_spoke_with();
        let messages = bridge.start_pump(&config, policy_now.clone()).await?;
        bridge.start_http(&config, listener, proxies, unknown_now, policy_now);
        bridge.greet_salesforce();
        bridge.look_after_salesforce();
        if let Some(keeper) = keeper {
            bridge.sync.spawn("sync", keeper.run(bridge.sync.stopping()));
        }
        bridge.start_feeds(config, &messages);
        Ok(bridge)
    }

    /// Where HTTP is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn admin_token(&self) -> &Secret {
        &self.admin_token
    }

    #[must_use]
    pub fn agents(&self) -> &AgentStore {
        &self.parts.agents
    }

    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.parts.directory
    }

    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.parts.hub
    }

    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.parts.journal
    }

    /// Waits for a task to die, which must stop the daemon. Gives its name.
    pub async fn death(&mut self) -> &'static str {
        self.deaths.next().await
    }

    /// Takes newer settings for what can change while it runs: `[log]`, `[pops]`, agents, numbers to leave alone.
    ///
    /// # Errors
    /// When they cannot be worked with; what ran before runs on.
    pub async fn reload(&mut self, config: &Config) -> Result<(), StartError> {
        self.sender_settings(config)?;
        self.parts.agents.reload(&config.agents)?;
        self.policy.send_replace(Arc::new(policy_of(config)));
        self.unknown.send_replace(config.pops.unknown);
        self.sender.stop().await;
        self.sender = self.sender.group();
        self.start_sender(config)
    }

    /// Stops in order: feeds, then the pump once it has taken what they said, the batch on the wire, streams, the disk.
    pub async fn stop(self) {
        self.feeds.stop().await;
        self.pump.stop().await;
        self.sync.stop().await;
        self.sender.stop().await;
        self.http.stop().await;
        self.disk.stop().await;
    }

    fn sender_settings(&self, config: &Config) -> Result<sender::Settings, StartError> {
        let directory = self.parts.directory.clone();
        let agents = config.agents.iter().map(|agent| AgentUser {
            extension: agent.extension.clone(),
            name: agent.name.clone(),
            salesforce_user: agent.salesforce_user.clone(),
        });
        let resolve: sender::Resolve = Arc::new(move |number| {
            let directory = directory.clone();
            Box::pin(async move { directory.find_surely(&number, SURE_ANSWER).await })
        });
        Ok(sender::Settings::new(
            config.log.clone(),
            agents.collect(),
            config.match_user_extension,
            resolve,
            TimeZone::system(),
        )?)
    }

    fn start_sender(&self, config: &Config) -> Result<(), StartError> {
        let settings = self.sender_settings(config)?;
        let (journal, client) = (self.parts.journal.clone(), self.parts.client.clone());
        self.sender.spawn("sender", sender::run(journal, client, settings, self.sender.stopping()));
        Ok(())
    }

    async fn start_pump(
        &self,
        config: &Config,
        policy: watch::Receiver<Arc<Policy>>,
    ) -> Result<mpsc::Sender<pump::Told>, StartError> {
        let names: Vec<String> = config.feeds.iter().map(|feed| feed.name().to_owned()).collect();
        let open = self.parts.journal.open_calls().await?;
        for call in &open {
            self.parts.board.keep(call.clone());
        }
        let leader = |feed: &feeds::Config| Some((feed.name().to_owned(), feed.same_pbx_as()?.to_owned()));
        let leaders = config.feeds.iter().filter_map(leader).collect();
        let (tracker, steps) = Tracker::with_twins(&config.site, &names, leaders, open, Instant::now());
        let (to_pump, messages) = mpsc::channel(MESSAGES);
        let (to_screens, answers) = mpsc::channel(screens::ANSWERS);
        let parts = &self.parts;
        let mut pump = Pump {
            tracker,
            journal: parts.journal.clone(),
            directory: parts.directory.clone(),
            screens: Screens::new(parts, self.pump.clone(), to_screens),
            board: parts.board.clone(),
            metrics: parts.metrics.clone(),
            policy,
            messages,
            answers,
        };
        pump.perform(steps).await;
        self.pump.spawn("pump", pump.run(self.pump.stopping()));
        Ok(to_pump)
    }

    fn start_http(
        &self,
        config: &Config,
        listener: TcpListener,
        proxies: http::Proxies,
        unknown: watch::Receiver<UnknownCaller>,
        policy: watch::Receiver<Arc<Policy>>,
    ) {
        let handles = handles::handles(&self.parts, config, self.admin_token.clone(), proxies, unknown, policy);
        self.http.spawn("http", http::serve(listener, handles, self.http.stopping()));
    }

    fn recall_whom_callers_spoke_with(&self) {
        let (directory, journal, stop) =
            (self.parts.directory.clone(), self.parts.journal.clone(), self.sync.stopping());
        self.sync.spawn_short("recall", async move {
            stop.run_until_cancelled(spoken::recall(directory, journal)).await;
        });
    }

    /// Logs in once, so that links, `/readyz` and the first pop need not wait for it.
    fn greet_salesforce(&self) {
        let (directory, stop) = (self.parts.directory.clone(), self.sync.stopping());
        let greeting = async move {
            let mut backoff = Backoff::new(GREETING.0, GREETING.1);
            while let Err(error) = directory.prepare().await {
                let wait = backoff.next_wait();
                tracing::debug!(%error, retry_in = ?wait, "Salesforce is not ready");
                tokio::time::sleep(wait).await;
            }
            tracing::debug!("Salesforce is ready");
        };
        self.sync.spawn_short("greeting", async move {
            stop.run_until_cancelled(greeting).await;
        });
    }

    /// What must be done although nobody calls.
    fn look_after_salesforce(&self) {
        let (client, stop) = (self.parts.client.clone(), self.sync.stopping());
        self.sync.spawn("upkeep", async move {
            stop.run_until_cancelled(client.upkeep()).await;
        });
    }

    fn start_feeds(&self, config: Config, messages: &mpsc::Sender<pump::Told>) {
        let devices: BTreeMap<String, Extension> = config
            .agents
            .iter()
            .flat_map(|agent| agent.devices.iter().map(|device| (device.clone(), Extension(agent.extension.clone()))))
            .collect();
        let agents = config.agents.iter().map(|agent| Extension(agent.extension.clone())).collect();
        let phones = Phones { devices, agents, plan: config.site.plan.clone() };
        for (feed, status) in config.feeds.into_iter().zip(&self.parts.statuses) {
            let stop = self.feeds.stopping();
            self.parts.metrics.feed(feed.name(), FeedState::Connecting);
            self.feeds.spawn("feed", feeds::run(feed, phones.clone(), messages.clone(), status.clone(), stop));
        }
    }
}

/// Whether the settings want this number to be left alone.
#[must_use]
pub fn ignores(config: &Config, number: &PhoneNumber) -> bool {
    policy_of(config).ignores_number(number)
}

fn policy_of(config: &Config) -> Policy {
    Policy { log: config.log.clone(), pops: config.pops.clone(), ignore_numbers: config.ignore_numbers.clone() }
}

fn make_state_dir(path: &Path) -> Result<(), StartError> {
    let mut private = std::fs::DirBuilder::new();
    private
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| StartError::StateDir { path: path.display().to_string(), error })
}

async fn listen(address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| not_listening(address, error))
}

fn not_listening(address: &str, error: io::Error) -> StartError {
    StartError::Listen { address: address.to_owned(), error }
}
