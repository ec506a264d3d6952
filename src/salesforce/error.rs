//! What can go wrong with Salesforce, whether to try again, and whether a write may have been done all the same.
//!
//! The texts are for operators: no token, no body, no number and no name is in them.

use std::time::Duration;

use super::grant::GrantError;
use super::problem::ConfigError;
use super::query::QueryError;

/// Why Salesforce did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The settings do not allow a login.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// There is no consent to log in with.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// What was asked for cannot be said in SOQL, SOSL or a batch.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Nothing was sent: no connection, no name, no login host.
    #[error("Salesforce cannot be reached: {what}")]
    Unreachable { what: String },
    /// Something was sent, and no answer came.
    #[error("Salesforce did not answer: {what}")]
    NoAnswer { what: String },
    /// 5xx, 408 or 429. `done` is false when Salesforce itself says that it did nothing.
    #[error("Salesforce, or what stands before it, is not available (status {status})")]
    Unavailable { status: u16, after: Option<Duration>, maybe_done: bool },
    /// An answer that is not Salesforce's: a page, a redirect, broken JSON.
    #[error("the answer is not one of Salesforce's (status {status}): {what}")]
    Garbage { status: u16, what: &'static str },
    /// More than is read of one answer, or more pages than are followed.
    #[error("the answer is larger than {limit}")]
    TooLarge { limit: &'static str },
    /// The token endpoint said no.
    #[error("Salesforce refused the login ({}): {}", .0.code, .0)]
    Login(LoginRefusal),
    /// The token is for a host that is neither Salesforce's nor named in the settings.
    #[error(
        "the login answered with an instance on `{host}`, which is neither a host of Salesforce nor one of the settings; \
         the token is not sent there"
    )]
    Instance { host: String },
    /// A fresh token was refused, too.
    #[error(
        "Salesforce refuses the session although it was just renewed; check the session and IP policies of the app"
    )]
    Session,
    /// The API version is too old.
    #[error("the org's newest API version is {newest}; v60.0 is the least")]
    Version { newest: String },
    /// No more calls today.
    #[error("the org's API calls of the last 24 hours are used up")]
    Quota,
    /// Nearly no more calls today.
    #[error("the org's API calls of the last 24 hours are nearly used up; what is left is kept for what cannot wait")]
    Spared,
    /// Too many long calls at once.
    #[error("too many calls to the org at once")]
    Busy,
    /// Salesforce understood and said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The batch was answered with a wrong number of results.
    #[error("{sent} rows were sent and {answered} results came back")]
    Results { sent: usize, answered: usize },
    /// The org lacks something that the bridge needs.
    #[error("{0}")]
    Lacking(&'static str),
}

/// What the token endpoint said. Its own words are for `check` and the journal only.
#[derive(Clone)]
pub struct LoginRefusal {
    pub code: String,
    pub advice: &'static str,
    /// Where to mend it, in Salesforce's Setup; may be empty.
    pub setup: &'static str,
    /// It may be that Salesforce does not know the app yet: it takes up to 20 minutes.
    pub may_become_active: bool,
    pub(super) description: String,
    pub(super) wait: Option<Duration>,
}

/// An error of the REST API. The message may carry data of the org, so it is not part of the text.
#[derive(Clone)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub fields: Vec<String>,
    pub(super) message: String,
}

/// Whether and when to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would be refused again.
    Never,
    /// With the usual back-off.
    Soon,
    /// Not before this time has passed.
    After(Duration),
    /// When the org has calls left again: look every ten minutes.
    Quota,
    /// When someone has mended the settings, the app or the permissions: look every few minutes.
    WhenMended,
}

/// How long a busy org is left alone.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// How long an org in read-only mode is left alone.
const MAINTENANCE_WAIT: Duration = Duration::from_secs(30);

impl Error {
    /// Whether and when the same call may succeed.
    pub fn retry(&self) -> Retry {
        match self {
            // Somebody may have ended one session after the other, and stopped.
            Self::Session
            | Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::Garbage { .. }
            | Self::Results { .. } => Retry::Soon,
            Self::Unavailable { after, .. } => after.map_or(Retry::Soon, Retry::After),
            Self::Busy => Retry::After(BUSY_WAIT),
            Self::Quota => Retry::Quota,
            Self::Login(refusal) => refusal.wait.map_or(Retry::WhenMended, Retry::After),
            Self::Settings(_) | Self::Grant(_) | Self::Instance { .. } | Self::Version { .. } | Self::Lacking(_) => {
                Retry::WhenMended
            }
            Self::Refused(refusal) => refusal.retry(),
            Self::Query(_) | Self::TooLarge { .. } | Self::Spared => Retry::Never,
        }
    }

    /// Whether a write may have been done although no proper answer came.
    #[must_use]
    pub fn fate_unknown(&self) -> bool {
        match self {
            Self::NoAnswer { .. } | Self::TooLarge { .. } | Self::Results { .. } => true,
            Self::Unavailable { maybe_done, .. } => *maybe_done,
            Self::Garbage { status, .. } => (200..300).contains(status) || *status >= 500,
            Self::Settings(_)
            | Self::Grant(_)
            | Self::Query(_)
            | Self::Unreachable { .. }
            | Self::Login(_)
            | Self::Instance { .. }
            | Self::Session
            | Self::Version { .. }
            | Self::Quota
            | Self::Spared
            | Self::Busy
            | Self::Refused(_)
            | Self::Lacking(_) => false,
        }
    }

    /// Salesforce's own words, which may carry data of the org: for the journal, never for a log.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => Some(&refusal.message),
            Self::Login(refusal) => Some(&refusal.description),
            Self::Settings(_)
            | Self::Grant(_)
            | Self::Query(_)
            | Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::Unavailable { .. }
            | Self::Garbage { .. }
            | Self::TooLarge { .. }
            | Self::Instance { .. }
            | Self::Session
            | Self::Version { .. }
            | Self::Quota
            | Self::Spared
            | Self::Busy
            | Self::Results { .. }
            | Self::Lacking(_) => None,
        }
    }

    /// Salesforce's code, `INVALID_FIELD`, when it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        if let Self::Refused(refusal) = self { Some(&refusal.code) } else { None }
    }

    /// The same error of a call that went before the write, so that nothing can have been done.
    pub(super) fn before_the_write(self) -> Self {
        if self.fate_unknown() { Self::Unreachable { what: self.to_string() } } else { self }
    }

    /// Salesforce may not know the app yet, which was made a moment ago: the same login may succeed within 20 minutes.
    #[must_use]
    pub fn may_become_active(&self) -> bool {
        matches!(self, Self::Login(refusal) if refusal.may_become_active)
    }

    /// Whether the org answered, whatever it said.
    pub(super) fn is_answer(&self) -> bool {
        if let Self::Refused(refusal) = self {
            return refusal.status != 401 && !refusal.code.starts_with("API_");
        }
        matches!(self, Self::Query(_) | Self::TooLarge { .. } | Self::Results { .. })
    }
}

impl Refusal {
    /// Salesforce's own words, which may carry data of the org.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    fn retry(&self) -> Retry {
        match self.status {
            401 | 403 | 410 => Retry::WhenMended,
            _other => retry_of(&self.code),
        }
    }
}

/// What a code of Salesforce means for the next try, in an answer as in a row of a batch.
pub(super) fn retry_of(code: &str) -> Retry {
    match code {
        "UNABLE_TO_LOCK_ROW"
        | "QUERY_TIMEOUT"
        | "INVALID_QUERY_LOCATOR"
        | "SERVER_UNAVAILABLE"
        | "UNKNOWN_EXCEPTION"
        | "DUPLICATE_VALUE"
        | "ALL_OR_NONE_OPERATION_ROLLED_BACK"
        | "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" => Retry::Soon,
        "REQUEST_LIMIT_EXCEEDED" => Retry::Quota,
        "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE" => Retry::After(MAINTENANCE_WAIT),
        "API_DISABLED_FOR_ORG" | "API_CURRENTLY_DISABLED" | "STORAGE_LIMIT_EXCEEDED" | "TXN_SECURITY_NO_ACCESS" => {
            Retry::WhenMended
        }
        _other => Retry::Never,
    }
}

impl std::fmt::Display for LoginRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.advice)?;
        if !self.setup.is_empty() {
            write!(f, " (Setup: {})", self.setup)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Salesforce refused it: {}", self.code)?;
        if !self.fields.is_empty() {
            write!(f, " ({})", self.fields.join(", "))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for LoginRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.code)
    }
}

impl std::fmt::Debug for Refusal {
    /// Without the message, so that it may stand in a log line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> Error {
        Error::Refused(Refusal {
            status: 400,
            code: code.to_owned(),
            fields: vec!["WhatId".to_owned()],
            message: "Erika Muster: +4930231250444".to_owned(),
        })
    }

    #[test]
    fn a_message_of_salesforce_is_told_by_its_accessor_only() {
        let error = refused("FIELD_INTEGRITY_EXCEPTION");
        assert_eq!(
            format!("{error} | {error:?}"),
            "Salesforce refused it: FIELD_INTEGRITY_EXCEPTION (WhatId) | \
             Refused(Salesforce refused it: FIELD_INTEGRITY_EXCEPTION (WhatId))"
        );
        assert_eq!(error.message(), Some("Erika Muster: +4930231250444"));
    }

    #[test]
    fn a_lock_is_tried_again_and_a_wrong_field_is_not() {
        assert_eq!(refused("UNABLE_TO_LOCK_ROW").retry(), Retry::Soon);
        assert_eq!(refused("INVALID_FIELD").retry(), Retry::Never);
        assert!(!refused("UNABLE_TO_LOCK_ROW").fate_unknown());
    }

    #[test]
    fn what_went_before_the_write_leaves_no_doubt() {
        let lost = Error::NoAnswer { what: "timed out".to_owned() };
        assert!(lost.fate_unknown());
        assert!(!lost.before_the_write().fate_unknown());
    }
}
