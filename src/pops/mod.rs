//! The agents' screens: who is shown what, once, in time, and gone when somebody else answers.

mod agents;
mod clean;
mod config;
mod hub;
mod link;
mod pop;
mod screen;
mod token;

pub use agents::{AgentStore, AgentsError};
pub use clean::clean;
pub use config::{Agent, AgentsConfig, Config, UnknownCaller, Webhook, When};
pub use hub::{Event, Hub, Subscription, TooManyStreams};
pub use link::Linker;
pub use pop::{CallerView, MatchView, Pop, Seen};
