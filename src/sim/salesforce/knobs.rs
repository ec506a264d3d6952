//! What a test can turn: faults, delays, limits, and how the org is set up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sim::sosl::PhoneTokens;

/// Settings of the pretend org that may change while it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, and any mix of them is a case to test")]
pub struct Knobs {
    /// Chance of a fault on each data request, 0 to 1.
    pub fault_rate: f64,
    /// Seed of that chance; setting it starts the sequence again.
    pub fault_seed: u64,
    /// Which faults chance picks from.
    pub fault_kinds: Vec<FaultKind>,
    /// How long a fault that chance picked lasts, where it is one that lasts.
    pub hang_ms: u64,
    /// Delay before each request is handled; it is, also when its sender has gone meanwhile.
    pub latency_ms: u64,
    /// Seconds without use after which a session is gone.
    pub session_ttl_seconds: i64,
    /// Enabled ways to log in: OAuth grant types by their short names, and `soap`.
    pub flows: Vec<String>,
    /// Each use of a refresh token gives a new one and ends the old.
    pub rotate_refresh_tokens: bool,
    /// Authorization requests without a code challenge are refused.
    pub pkce_required: bool,
    /// The app was made minutes ago and is not known yet: every token request is answered `invalid_client_id`.
    pub app_not_active: bool,
    /// What every token and authorization request is refused with: the answers that a pretend org cannot come to by itself.
    pub deny_login: Option<Denial>,
    /// The scopes that the app has; a request for others is refused.
    pub scopes: Vec<String>,
    /// The app's callback addresses; empty: any.
    pub callbacks: Vec<String>,
    /// The user is asked for consent on a page; else it is given at once.
    pub consent_page: bool,
    /// The user of every login is not active.
    pub user_inactive: bool,
    /// The client credentials flow has no user to run as.
    pub no_run_as: bool,
    /// The PEM public key (RSA) that assertions of the JWT bearer grant are signed for; empty: no assertion is good.
    pub jwt_public_key: String,
    /// API calls a day.
    pub daily_limit: u64,
    /// How long a written row is not found by searches.
    pub search_lag_seconds: i64,
    /// How phone numbers are cut into search tokens.
    pub phone_tokens: PhoneTokens,
    /// Records that users may not see: user id to record ids.
    pub hidden: BTreeMap<String, Vec<String>>,
    /// What happens to a new contact, lead or account that is there already.
    pub duplicate_rule: DuplicateRule,
    /// Writes are refused as during maintenance.
    pub read_only: bool,
    /// The org's task statuses; empty keeps those in place.
    pub task_statuses: Vec<TaskStatus>,
    /// Rows on a page of a query.
    pub page_size: usize,
    /// How many looks at a bulk job find it unfinished.
    pub bulk_polls: u32,
    /// Rows in a set of a bulk query's results, unless the client asks for fewer.
    pub bulk_page_size: usize,
    /// A text here is the reason for which every bulk job fails.
    pub bulk_failure: String,
    /// Every request is answered 503.
    pub down: bool,
    /// Every connection is closed as soon as it asks for something.
    pub refuse: bool,
    /// Added to the org's clock.
    pub clock_offset_seconds: i64,
    /// A text here refuses each write of a Task, as an administrator's validation rule does.
    pub task_validation: String,
    /// Only Tasks whose Subject holds this text are refused by that rule; empty: all.
    pub task_validation_subject: String,
    /// How long a Task's Subject may be, whatever describe says: an administrator has changed it a moment ago.
    pub subject_length: usize,
    /// An unknown field in a row of a collection fails the request, not the row.
    pub unknown_field_fails_request: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            fault_rate: 0.0,
            fault_seed: 0,
            fault_kinds: FaultKind::ALL.to_vec(),
            hang_ms: 2_000,
            latency_ms: 0,
            session_ttl_seconds: 7_200,
            flows: ["client_credentials", "jwt_bearer", "password", "refresh_token", "authorization_code", "soap"]
                .map(str::to_owned)
                .to_vec(),
            rotate_refresh_tokens: false,
            pkce_required: false,
            app_not_active: false,
            deny_login: None,
            scopes: ["api", "refresh_token", "offline_access", "id", "profile", "email", "openid", "web", "full"]
                .map(str::to_owned)
                .to_vec(),
            callbacks: Vec::new(),
            consent_page: false,
            user_inactive: false,
            no_run_as: false,
            jwt_public_key: String::new(),
            daily_limit: 150_000,
            search_lag_seconds: 0,
            phone_tokens: PhoneTokens::ExactDigits,
            hidden: BTreeMap::new(),
            duplicate_rule: DuplicateRule::Off,
            read_only: false,
            task_statuses: Vec::new(),
            page_size: 2_000,
            bulk_polls: 1,
            bulk_page_size: 50_000,
            bulk_failure: String::new(),
            down: false,
            refuse: false,
            clock_offset_seconds: 0,
            task_validation: String::new(),
            task_validation_subject: String::new(),
            subject_length: 255,
            unknown_field_fails_request: false,
        }
    }
}

/// How an org treats duplicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateRule {
    #[default]
    Off,
    /// Refused unless the request's `Sforce-Duplicate-Rule-Header` says `allowSave=true`.
    Alert,
    /// Refused.
    Block,
}

/// A refusal of the login endpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    pub error: String,
    #[serde(default)]
    pub description: String,
}

/// One value of a Task's Status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskStatus {
    pub label: String,
    #[serde(default)]
    pub closed: bool,
    #[serde(default)]
    pub default: bool,
}

/// What can go wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FaultKind {
    /// 503 with a JSON error; nothing is done.
    #[serde(rename = "http_503")]
    Http503,
    /// 502 with a page of HTML; nothing is done.
    #[serde(rename = "html_502")]
    Html502,
    /// The first rows of the request are refused with `UNABLE_TO_LOCK_ROW`. Waits for a request that writes.
    #[serde(rename = "lock_row")]
    LockRow,
    /// The request is done in full, then the connection is closed without an answer. Waits for a request that writes.
    #[serde(rename = "commit_then_drop")]
    CommitThenDrop,
    /// The request is done in full, and answered only after the hang. Waits for a request that writes.
    #[serde(rename = "commit_then_hang")]
    CommitThenHang,
    /// The connection is closed at once, and the request is done in full only `ms` later. Waits for a request that writes.
    #[serde(rename = "late_commit")]
    LateCommit,
    /// Another writer was first: the request is done, and what it created is answered with `DUPLICATE_VALUE`. Waits
    /// for a request that writes.
    #[serde(rename = "lost_race")]
    LostRace,
    /// The connection is closed; nothing is done.
    #[serde(rename = "drop")]
    Drop,
    /// 401, and the session is gone.
    #[serde(rename = "session_expired")]
    SessionExpired,
    /// 403 `REQUEST_LIMIT_EXCEEDED`.
    #[serde(rename = "request_limit")]
    RequestLimit,
    /// Nothing happens for a while, then the request is done and answered, if its sender still waits.
    #[serde(rename = "hang")]
    Hang,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Http503,
        Self::Html502,
        Self::LockRow,
        Self::CommitThenDrop,
        Self::CommitThenHang,
        Self::LateCommit,
        Self::LostRace,
        Self::Drop,
        Self::SessionExpired,
        Self::RequestLimit,
        Self::Hang,
    ];

    /// Whether the fault is about rows being written.
    pub(crate) fn needs_write(self) -> bool {
        match self {
            Self::LockRow | Self::CommitThenDrop | Self::CommitThenHang | Self::LateCommit | Self::LostRace => true,
            Self::Http503 | Self::Html502 | Self::Drop | Self::SessionExpired | Self::RequestLimit | Self::Hang => {
                false
            }
        }
    }
}

/// A fault for the next requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub kind: FaultKind,
    /// For how many requests.
    #[serde(default = "one")]
    pub count: u32,
    /// Only requests whose path holds this text; empty: any data request. `oauth2` reaches token requests.
    #[serde(default)]
    pub path: String,
    /// For `lock_row`: how many rows of each request.
    #[serde(default = "one")]
    pub rows: u32,
    /// For `hang`, `commit_then_hang` and `late_commit`: how long.
    #[serde(default)]
    pub ms: u64,
}

impl Fault {
    /// This fault for the next request that it can hit.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, count: 1, path: String::new(), rows: 1, ms: 0 }
    }

    /// The same for the next `count` requests.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self { count, ..self }
    }

    /// Only for requests whose path holds `path`.
    #[must_use]
    pub fn on(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// How many rows are locked.
    #[must_use]
    pub fn rows(self, rows: u32) -> Self {
        Self { rows, ..self }
    }

    /// How long a hang lasts.
    #[must_use]
    pub fn for_ms(self, ms: u64) -> Self {
        Self { ms, ..self }
    }
}

fn one() -> u32 {
    1
}
