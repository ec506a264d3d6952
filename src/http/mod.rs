//! The HTTP interface: API, streams, agent page, health and metrics.
//!
//! It serves what it is handed in [`Handles`] and knows nothing of where that comes from. [`ROUTES`] says who may reach what.

mod app;
mod auth;
mod body;
mod calls;
mod config;
mod details;
mod directory;
mod feeds;
mod grant;
mod guard;
mod guesses;
mod handles;
mod health;
mod html;
mod journal;
mod lookup;
mod metrics;
mod notes;
mod openapi;
mod origin;
mod page;
mod peer;
mod problem;
mod route;
mod routes;
mod server;
mod session;
mod stall;
mod stream;
mod tokens;

pub use calls::CallView;
pub use config::Config;
pub use directory::{DirectoryState, SyncWish};
pub use grant::{GrantTrouble, Granted};
pub use handles::{Ask, Handles, JournalHandles, ask};
pub use health::{FeedPhase, FeedState, JournalState, Readiness, SalesforceState};
pub use journal::{Comparison, ComparisonResult, DifferingEntry, Fate, JournalEntry, JournalQuery, JournalTrouble};
pub use notes::Note;
pub use peer::{NotAnAddress, Proxies};
pub use routes::{Access, ROUTES, Route};
pub use server::serve;
