//! Salesforce over REST: log in, query, search, write rows. Does not know what a call is.

mod config;
mod id;

pub use config::{Config, Environment, FlowName};
pub use id::RecordId;
