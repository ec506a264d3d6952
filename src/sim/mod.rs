//! The far side for real: a pretend Salesforce and a pretend PBX on real sockets. Imports nothing of ours.

mod org;
pub mod pbx;
pub mod people;
mod salesforce;
mod soql;
mod sosl;
pub mod story;

pub use salesforce::{
    Credentials, Denial, DuplicateRule, Fault, FaultKind, Knobs, Options, PhoneTokens, Salesforce, Seed, SeedError,
    TaskStatus,
};
