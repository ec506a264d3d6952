//! One call of the REST API: the right host and version, the token, and one more try when the session has ended.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::header::{ACCEPT, HeaderMap};
use reqwest::{Method, Response, Url};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::config::Config;
use super::error::Error;
use super::governor::{Allowance, Governor};
use super::health::{Health, Pulse};
use super::hosts::Hosts;
use super::id::RecordId;
use super::oauth::{Consent, Login};
use super::problem::ConfigError;
use super::query::Soql;
use super::refusal::{self, Answer};
use super::spent::{CallKind, Purse, Spent};
use super::token::{Session, Tokens};
use super::transport;
use super::version::{self, Offered, Wanted};
use crate::secret::Secret;

/// The largest answer that is read: a page of 2,000 rows, or the description of a wide object.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// A refresh token that is not used for 30 days ends; one that is used every day is safe from a long weekend, too.
const IDLE_CONSENT: SignedDuration = SignedDuration::from_hours(20);
/// Between two looks at what would grow old if nobody called.
const UPKEEP: Duration = Duration::from_mins(1);

/// A connection to one org. Clones share the session, the pool and the health.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    tokens: Tokens,
    wanted: Wanted,
    version: OnceCell<u16>,
    pulse: Pulse,
    governor: Governor,
    purse: Arc<Purse>,
}

/// What is asked.
pub(super) struct Call {
    pub method: Method,
    pub place: Place,
    pub question: Option<String>,
    pub body: Option<Vec<u8>>,
    /// The kind of answer, as a media type.
    pub accept: &'static str,
    /// How long the whole answer may take, where that is longer than usual.
    pub patience: Option<Duration>,
}

/// Where it is asked.
pub(super) enum Place {
    /// Below `/services/data/vXX.X/`.
    Data(String),
    /// A path that Salesforce gave.
    Given(String),
}

impl Place {
    /// For a log: what Salesforce gave is a locator, which says nothing.
    fn name(&self) -> &str {
        match self {
            Self::Data(path) => path,
            Self::Given(_) => "next page",
        }
    }

    fn kind(&self) -> CallKind {
        match self {
            Self::Data(path) => CallKind::of(path),
            Self::Given(path) => {
                let below = path.strip_prefix("/services/data/").and_then(|rest| rest.split_once('/'));
                CallKind::of(below.map_or(path, |(_version, rest)| rest))
            }
        }
    }
}

impl Call {
    pub fn get(place: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            place: Place::Data(place.into()),
            question: None,
            body: None,
            accept: "application/json",
            patience: None,
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({:?})", self.instance_url())
    }
}

impl Client {
    /// Reads the settings; asks nothing. A flow that lacks a key fails at the first call, and so does the authorization code
    /// flow, whose consent is in a state folder: see [`Self::with_state`].
    ///
    /// # Errors
    /// When an address, the version or the private CA cannot be used.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Self::made(config, None)
    }

    /// As [`Self::new`], with the consent that is kept in this folder.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_state(config: &Config, state_dir: &Path) -> Result<Self, ConfigError> {
        Self::made(config, Some(state_dir))
    }

    fn made(config: &Config, state_dir: Option<&Path>) -> Result<Self, ConfigError> {
        let hosts = Hosts::new(config)?;
        let wanted = Wanted::parse(&config.api_version)?;
        let http = transport::client(config, hosts.all_loopback())?;
        let purse = Arc::new(Purse::new(Instant::now()));
        let login = Login::new(config, hosts, http.clone(), state_dir, Arc::clone(&purse));
        Ok(Self(Arc::new(Inner {
            tokens: Tokens::new(login),
            http,
            wanted,
            version: OnceCell::new(),
            pulse: Pulse::new(),
            governor: Governor::default(),
            purse,
        })))
    }

    /// The org's own address, known after the first login.
    #[must_use]
    pub fn instance_url(&self) -> Option<String> {
        let session = self.0.tokens.current()?;
        Some(session.instance.as_str().trim_end_matches('/').to_owned())
    }

    /// How the calls have gone so far.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.pulse.read(self.0.governor.reading())
    }

    /// What the org's API calls of the last 24 hours still allow, as of the last answer that told of them.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        self.0.governor.allowance()
    }

    /// The calls that this process has made.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.0.purse.read(Instant::now())
    }

    /// Does what must be done although nobody calls: uses a consent before it dies of idleness, and looks again at an allowance
    /// that is old and forbids something. Never ends.
    pub async fn upkeep(&self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.look_after_consent().await;
            if self.0.governor.wants_reading(Instant::now())
                && let Err(error) = self.limits().await
            {
                tracing::debug!(%error, "what is left of the API calls is not known");
            }
        }
    }

    pub(super) async fn look_after_consent(&self) {
        if let Err(error) = self.0.tokens.keep_alive(IDLE_CONSENT).await {
            tracing::warn!(%error, "the consent to use Salesforce could not be renewed");
        }
    }

    /// Logs in anew, also a moment after a refusal: for an operator who waits for it.
    ///
    /// # Errors
    /// When the login fails.
    pub async fn login_again(&self) -> Result<(), Error> {
        let session = self.0.tokens.again().await;
        self.0.pulse.note(&session);
        session.map(drop)
    }

    /// Whether the login host knows the app: what it says when a browser opens the address of a consent.
    ///
    /// # Errors
    /// When it says that it does not, or cannot be reached.
    pub async fn is_known(&self, consent: &Consent) -> Result<(), Error> {
        self.0.tokens.login().is_known(consent).await
    }

    /// Begins a consent of the authorization code flow. Asks nothing.
    ///
    /// # Errors
    /// When the settings name another flow, or cannot be used.
    pub fn consent(&self) -> Result<Consent, Error> {
        self.0.tokens.login().consent()
    }

    /// Exchanges what a consent brought for a refresh token. Keeps nothing.
    ///
    /// # Errors
    /// When Salesforce refuses, or gives no refresh token.
    pub async fn redeem(&self, consent: &Consent, code: &Secret) -> Result<Secret, Error> {
        self.0.tokens.login().redeem(consent, code).await
    }

    /// Keeps a refresh token that Salesforce has just given: on disk when it returns.
    ///
    /// # Errors
    /// When the settings name another flow, or the state folder cannot be written.
    pub async fn keep(&self, refresh_token: Secret) -> Result<(), Error> {
        self.0.tokens.login().keep(refresh_token).await
    }

    /// Takes a new refresh token if Salesforce takes it; what was kept before stays otherwise. Gives the user that it is for.
    ///
    /// # Errors
    /// When Salesforce refuses it or cannot be asked, or it cannot be kept.
    pub async fn adopt(&self, refresh_token: &Secret) -> Result<Option<RecordId>, Error> {
        let session = self.0.tokens.adopt(refresh_token).await;
        self.0.pulse.note(&session);
        Ok(session?.user.clone())
    }

    /// Ends the consent at Salesforce and removes it here. False: Salesforce did not know it any more.
    ///
    /// # Errors
    /// When there is none, or Salesforce cannot be asked; what is kept then stays.
    pub async fn revoke(&self) -> Result<bool, Error> {
        self.0.tokens.login().revoke().await
    }

    /// The user as whom the bridge works. Logs in, if that was not done yet.
    ///
    /// # Errors
    /// When the login fails, or its answer names no user.
    pub async fn login_user(&self) -> Result<RecordId, Error> {
        let session = self.0.tokens.session().await;
        self.0.pulse.note(&session);
        session?.user.clone().ok_or(Error::Garbage { status: 200, what: "the token names no user" })
    }

    /// The org that the login leads to. Logs in, if that was not done yet.
    ///
    /// # Errors
    /// When the login fails, or nothing tells the org.
    pub async fn organization(&self) -> Result<RecordId, Error> {
        let session = self.0.tokens.session().await;
        self.0.pulse.note(&session);
        let session = session?;
        // A session's id begins with its org's; a token that is a JWT does not.
        let of_token = session.token.expose().split_once('!').and_then(|(org, _)| RecordId::parse(org).ok());
        if let Some(org) = of_token.filter(|org| org.as_str().starts_with("00D")) {
            return Ok(org);
        }
        let rows = self.query(&Soql::select("Organization", &["Id"])?.limit(1)).await?;
        let org = rows.into_iter().next().map(|row| row.id);
        org.ok_or(Error::Garbage { status: 200, what: "the org's own row was expected" })
    }

    /// The version that is spoken, `v68.0`. Logs in, if that was not done yet.
    ///
    /// # Errors
    /// When the login fails, or no version fits.
    pub async fn api_version(&self) -> Result<String, Error> {
        let session = self.0.tokens.session().await?;
        Ok(format!("v{}.0", self.version(&session).await?))
    }

    /// The body of a successful answer.
    pub(super) async fn call(&self, call: Call) -> Result<Vec<u8>, Error> {
        Ok(self.call_for(call, MAX_ANSWER).await?.1)
    }

    /// The head and the body of a successful answer that may be this large.
    pub(super) async fn call_for(&self, call: Call, most: usize) -> Result<(HeaderMap, Vec<u8>), Error> {
        let read = async {
            let answer = self.try_twice(&call).await?;
            let headers = answer.headers().clone();
            Ok((headers, transport::body(answer, most).await?))
        };
        self.watched(read).await
    }

    /// A successful answer whose body is still to be read: for one that is too large to be held.
    pub(super) async fn open(&self, call: Call) -> Result<Response, Error> {
        self.watched(self.try_twice(&call)).await
    }

    /// Goes out only while the org has calls left, and is counted among what went well or not.
    async fn watched<T>(&self, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.0.governor.admit(Instant::now())?;
        let outcome = asked.await;
        self.0.governor.note(&outcome, Instant::now());
        self.0.pulse.note(&outcome);
        outcome
    }

    async fn try_twice(&self, call: &Call) -> Result<Response, Error> {
        let before = Error::before_the_write;
        let session = self.0.tokens.session().await.map_err(before)?;
        let version = self.version(&session).await.map_err(before)?;
        match self.send(&session, version, call).await? {
            Sent::Good(answer) => return Ok(answer),
            Sent::Bad(answer) if !answer.wants_new_session() => return Err(answer.error()),
            Sent::Bad(_) => {}
        }
        let newer = self.0.tokens.newer_than(session.generation).await;
        let newer = newer.map_err(before)?;
        match self.send(&newer, version, call).await? {
            Sent::Good(answer) => Ok(answer),
            Sent::Bad(answer) if !answer.wants_new_session() => Err(answer.error()),
            Sent::Bad(_) => {
                self.0.tokens.distrust(&newer).await;
                Err(Error::Session)
            }
        }
    }

    async fn send(&self, session: &Session, version: u16, call: &Call) -> Result<Sent, Error> {
        let url = address(&session.instance, version, &call.place)?;
        let mut request = self
            .0
            .http
            .request(call.method.clone(), url)
            .bearer_auth(session.token.expose())
            .header(ACCEPT, call.accept)
            .header("Sforce-Call-Options", concat!("client=ctibridge/", env!("CARGO_PKG_VERSION")));
        if let Some(question) = &call.question {
            request = request.query(&[("q", question)]).header("Sforce-Query-Options", "batchSize=2000");
        }
        if let Some(body) = &call.body {
            request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        if let Some(patience) = call.patience {
            request = request.timeout(patience);
        }
        self.0.purse.spend(call.place.kind(), Instant::now());
        let answer = request.send().await.map_err(|error| transport::failed(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        self.0.governor.usage(transport::api_usage(&headers), Instant::now());
        tracing::debug!(sf.path = call.place.name(), sf.status = status.as_u16(), "asked Salesforce");
        if status.is_success() {
            return Ok(Sent::Good(answer));
        }
        let body = transport::body(answer, MAX_ANSWER).await?;
        Ok(Sent::Bad(Answer { status, headers, body }))
    }

    async fn read(&self, request: reqwest::RequestBuilder) -> Result<Answer, Error> {
        let answer = request.send().await.map_err(|error| transport::failed(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        self.0.governor.usage(transport::api_usage(&headers), Instant::now());
        let body = transport::body(answer, MAX_ANSWER).await?;
        Ok(Answer { status, headers, body })
    }

    async fn version(&self, session: &Session) -> Result<u16, Error> {
        let choose = || async {
            match self.0.wanted {
                Wanted::Fixed(version) => Ok(version),
                Wanted::Auto => self.newest_version(session).await,
            }
        };
        self.0.version.get_or_try_init(choose).await.copied()
    }

    async fn newest_version(&self, session: &Session) -> Result<u16, Error> {
        let url = join(&session.instance, "/services/data")?;
        let request = self.0.http.get(url).header(ACCEPT, "application/json");
        self.0.purse.spend(CallKind::Versions, Instant::now());
        let body = self.read(request).await?.judge()?;
        let offered: Vec<Offered> = refusal::parse(&body, "a list of versions was expected")?;
        let version = version::choose(&offered)?;
        tracing::debug!(sf.version = version, "speaking to Salesforce");
        Ok(version)
    }
}

/// What came of sending a call.
enum Sent {
    /// A success, its body not read yet.
    Good(Response),
    Bad(Answer),
}

fn address(instance: &Url, version: u16, place: &Place) -> Result<Url, Error> {
    match place {
        Place::Data(rest) => join(instance, &format!("/services/data/v{version}.0/{rest}")),
        Place::Given(path) => join(instance, path),
    }
}

/// On the instance's own host: a path that leads to another one is not followed.
fn join(instance: &Url, path: &str) -> Result<Url, Error> {
    instance
        .join(path)
        .ok()
        .filter(|url| url.origin() == instance.origin())
        .ok_or(Error::Garbage { status: 200, what: "a path on the same host was expected" })
}
