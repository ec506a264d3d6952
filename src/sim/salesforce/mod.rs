//! A pretend Salesforce behind a real socket: log-in, REST, searches, and the faults that clients must survive.

mod admin;
mod batch;
mod collections;
mod composite;
mod consent;
mod door;
mod duplicates;
mod exchange;
mod jobs;
mod jwt;
mod knobs;
mod limits;
mod manual;
mod oauth;
mod pages;
mod query;
mod race;
mod recent;
mod rest;
mod rows;
mod search;
mod serve;
mod sessions;
mod soap;
mod sobjects;
mod upsert;
mod world;

use std::{
    collections::BTreeMap,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use super::org::{Seed, SeedError};
pub use super::sosl::PhoneTokens;
pub use knobs::{Denial, DuplicateRule, Fault, FaultKind, Knobs, TaskStatus};

use super::org::{Org, Refusal, Writer, text};
use door::{Door, Line};
use serve::{Shared, lock};
use world::{Counts, World, secret};

/// What a client needs to log in.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Credentials {
    pub client_id: String,
    pub client_secret: String,
    pub username: String,
    pub password: String,
    /// Follows the password directly where one is asked for.
    pub security_token: String,
}

impl Credentials {
    /// New ones that nobody has.
    #[must_use]
    pub fn generate() -> Self {
        let plain = |length| secret(length).replace(['.', '_'], "x");
        Self {
            client_id: format!("3MVG9{}", plain(40)),
            client_secret: plain(64),
            username: "integration@pretend.example".to_owned(),
            password: plain(16),
            security_token: plain(24),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// How to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    pub seed: Seed,
    /// Generated when absent.
    pub credentials: Option<Credentials>,
    pub knobs: Knobs,
    /// Whether accounts may be persons.
    pub person_accounts: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: Seed::default(),
            credentials: None,
            knobs: Knobs::default(),
            person_accounts: false,
        }
    }
}

/// A running pretend Salesforce; dropping it ends its tasks and connections.
pub struct Salesforce {
    world: Shared,
    address: SocketAddr,
    tasks: JoinSet<()>,
    open: CancellationToken,
}

impl Salesforce {
    /// Fills the org, binds the address and serves.
    ///
    /// # Errors
    /// When the address cannot be bound, or (as `InvalidData`) when the seed is wrong.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let world = new_world(options, address).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let mut salesforce =
            Self { world: Arc::new(Mutex::new(world)), address, tasks: JoinSet::new(), open: CancellationToken::new() };
        salesforce.serve(listener);
        Ok(salesforce)
    }

    /// Closes the socket and every connection; the data stays for [`Self::resume`].
    pub async fn stop(&mut self) {
        self.open.cancel();
        self.tasks.shutdown().await;
    }

    /// Listens again on the same port with the same data.
    ///
    /// # Errors
    /// When the port was taken in the meantime.
    pub async fn resume(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.serve(listener);
        Ok(())
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base of all its addresses: login host, instance and user interface in one.
    #[must_use]
    pub fn url(&self) -> String {
        lock(&self.world).url.clone()
    }

    #[must_use]
    pub fn credentials(&self) -> Credentials {
        lock(&self.world).credentials.clone()
    }

    /// What the `sandbox` command prints first: the address and the credentials.
    #[must_use]
    pub fn announcement(&self) -> Value {
        let known = self.credentials();
        json!({
            "url": self.url(), "client_id": known.client_id, "client_secret": known.client_secret,
            "username": known.username, "password": known.password, "security_token": known.security_token,
        })
    }

    /// The rows of an object that are not deleted, in the order of their ids.
    #[must_use]
    pub fn rows(&self, object: &str) -> Vec<Map<String, Value>> {
        let world = lock(&self.world);
        let rows = world.org.rows(object).filter(|row| !row.is_deleted());
        rows.map(|row| (*row.fields).clone()).collect()
    }

    /// The same with those in the recycle bin.
    #[must_use]
    pub fn rows_and_bin(&self, object: &str) -> Vec<Map<String, Value>> {
        let world = lock(&self.world);
        world.org.rows(object).map(|row| (*row.fields).clone()).collect()
    }

    /// Adds a row as seed data does and answers its id.
    ///
    /// # Errors
    /// When the object or a field is not known or a value does not fit.
    pub fn insert(&self, object: &str, row: &Value) -> Result<String, SeedError> {
        let mut world = lock(&self.world);
        let writer = world.writer(&world.login_user);
        world.org.add_row(object, 0, row, &writer)
    }

    /// Changes a row without the rules for clients.
    ///
    /// # Errors
    /// When the row or a field is not known or a value does not fit.
    pub fn edit(&self, object: &str, id: &str, changes: &Value) -> Result<(), SeedError> {
        let mut world = lock(&self.world);
        let writer = world.writer(&world.login_user);
        let changes = changes.as_object().cloned().unwrap_or_default();
        world.org.edit_row(object, id, &changes, &writer)
    }

    /// Deletes a row; false when there was none.
    #[must_use]
    pub fn remove(&self, object: &str, id: &str) -> bool {
        let mut world = lock(&self.world);
        let writer = world.writer(&world.login_user);
        world.org.delete(object, id, &writer).is_ok()
    }

    /// Converts a lead into a contact; false when one of them is not there.
    #[must_use]
    pub fn convert(&self, lead: &str, contact: &str) -> bool {
        self.change(|org, by| org.convert(lead, Some(contact), None, by).map(drop))
    }

    /// Takes a row out of the recycle bin; false when it is not there.
    #[must_use]
    pub fn undelete(&self, id: &str) -> bool {
        self.change(|org, by| org.undelete(id, by))
    }

    /// Empties the recycle bin of a row, so that no query tells of it; false when it is not there.
    #[must_use]
    pub fn purge(&self, id: &str) -> bool {
        self.change(|org, _| org.purge(id))
    }

    /// Merges records into `master`: they are deleted with its id as `MasterRecordId`. False when they cannot be.
    #[must_use]
    pub fn merge(&self, master: &str, losers: &[&str]) -> bool {
        let losers: Vec<String> = losers.iter().map(|id| (*id).to_owned()).collect();
        self.change(|org, by| org.merge(master, &losers, by))
    }

    fn change(&self, work: impl FnOnce(&mut Org, &Writer) -> Result<(), Refusal>) -> bool {
        let mut world = lock(&self.world);
        let writer = world.writer(&world.login_user);
        work(&mut world.org, &writer).is_ok()
    }

    #[must_use]
    pub fn knobs(&self) -> Knobs {
        lock(&self.world).knobs.clone()
    }

    /// Turns knobs: `salesforce.set(|knobs| knobs.read_only = true)`.
    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        let mut world = lock(&self.world);
        let mut knobs = world.knobs.clone();
        change(&mut knobs);
        world.apply(knobs);
    }

    /// Lets a fault happen to the next requests that it can hit; several wait in a row.
    pub fn fail_next(&self, fault: Fault) {
        lock(&self.world).queue.push(fault);
    }

    /// Forgets the faults that are still waiting.
    pub fn clear_faults(&self) {
        lock(&self.world).queue.clear();
    }

    /// Ends every session now.
    pub fn revoke_sessions(&self) {
        lock(&self.world).sessions.live.clear();
    }

    /// API calls so far, by Salesforce's way of counting.
    #[must_use]
    pub fn api_calls(&self) -> u64 {
        lock(&self.world).counts.api_calls
    }

    /// Requests so far by method and path without ids, such as `GET /services/data/v68.0/query`.
    #[must_use]
    pub fn endpoints(&self) -> BTreeMap<String, u64> {
        lock(&self.world).counts.endpoints.clone()
    }

    /// Faults that happened so far.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<FaultKind, u64> {
        lock(&self.world).counts.faults.clone()
    }

    fn serve(&mut self, listener: TcpListener) {
        self.open = CancellationToken::new();
        let door = Door { listener, open: self.open.clone() };
        let service = serve::router(self.world.clone());
        let service = service.into_make_service_with_connect_info::<Line>();
        self.tasks.spawn(async move {
            // It never ends by itself; whoever stops it wants no word from it.
            let _ = axum::serve(door, service).await;
        });
    }
}

impl Drop for Salesforce {
    fn drop(&mut self) {
        self.open.cancel();
    }
}

impl fmt::Debug for Salesforce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Salesforce").field("address", &self.address).finish_non_exhaustive()
    }
}

fn new_world(options: Options, address: SocketAddr) -> Result<World, SeedError> {
    let mut org = Org::new(options.person_accounts);
    let credentials = options.credentials.unwrap_or_else(Credentials::generate);
    let writer = Writer::of("", Timestamp::now());
    let login_user = login_user(&mut org, &credentials, &options.seed, &writer)?;
    let mut world = World {
        url: url_of(address),
        org,
        credentials,
        login_user,
        chance: fastrand::Rng::with_seed(options.knobs.fault_seed),
        knobs: Knobs::default(),
        queue: Vec::new(),
        sessions: sessions::Sessions::default(),
        counts: Counts::default(),
        pages: Vec::new(),
        queries: 0,
        jobs: jobs::Jobs::default(),
        recent: Vec::new(),
        locked_rows: 0,
        late: Vec::new(),
    };
    world.apply(options.knobs);
    Ok(world)
}

/// The user that all grants log in as: the seed's own of that Username, or one that is made.
fn login_user(org: &mut Org, credentials: &Credentials, seed: &Seed, writer: &Writer) -> Result<String, SeedError> {
    let seeded = seed.has_user(&credentials.username);
    let made = if seeded {
        None
    } else {
        let row = json!({
            "Username": credentials.username, "FirstName": "Integration", "LastName": "User",
            "Email": credentials.username, "Alias": "integ",
        });
        Some(org.add_row("User", 0, &row, writer)?)
    };
    let by = Writer::of(made.as_deref().unwrap_or_default(), writer.now);
    org.fill(seed, &by)?;
    let known = org
        .rows("User")
        .find(|row| text(&row.fields, "Username").is_some_and(|name| name.eq_ignore_ascii_case(&credentials.username)));
    let known = known.and_then(|row| text(&row.fields, "Id")).map(str::to_owned);
    Ok(made.or(known).unwrap_or_default())
}

/// An address of all interfaces is reached over loopback.
fn url_of(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        return format!("http://127.0.0.1:{}", address.port());
    }
    format!("http://{address}")
}
