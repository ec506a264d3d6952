//! The agents' screens: who is shown what, once, in time, and gone when somebody else answers.

mod config;

pub use config::{Agent, AgentsConfig, Config, UnknownCaller, Webhook, When};
