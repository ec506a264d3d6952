//! Salesforce over REST: log in, query, search, write rows. Does not know what a call is.

mod advice;
mod bulk;
mod client;
mod column;
mod composite;
mod config;
mod csv;
mod error;
mod flow;
mod found;
mod governor;
mod grant;
mod health;
mod hosts;
mod id;
mod jwt;
mod links;
mod moved;
mod oauth;
mod problem;
mod query;
mod read;
mod refusal;
mod rows;
mod spent;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod token;
mod transport;
mod version;

pub use bulk::{BulkJob, BulkPage, BulkState};
pub use client::Client;
pub use column::Column;
pub use composite::{Answers, MAX_QUERIES, Rows};
pub use config::{Config, Environment, FlowName};
pub use error::{Error, LoginRefusal, Refusal, Retry};
pub use found::Found;
pub use governor::Allowance;
pub use grant::GrantError;
pub use health::{Health, State};
pub use id::{NotAnId, RecordId};
pub use jwt::KeyError;
pub use links::Links;
pub use oauth::{Consent, NoConsent};
pub use problem::ConfigError;
pub use query::{QueryError, Returning, Soql, Sosl};
pub use read::{Field, FoundTask, MAX_ACCESS_IDS, User};
pub use rows::{MAX_ROWS, Row, RowError, RowOutcome, Value, Write};
pub use spent::{CallKind, Spent};
