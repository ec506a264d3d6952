//! Salesforce over REST: log in, query, search, write rows. Does not know what a call is.

mod id;

pub use id::RecordId;
