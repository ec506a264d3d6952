//! ctibridge: calls of a phone system, put on the right agent's screen and into Salesforce.
//!
//! ```text
//!            feeds/            calls/            bridge          directory/          pops/ ── SSE, agent page
//! PBX ─────▶ adapter ──▶ FeedMessage ──▶ Tracker ──▶ Step ──┬──▶ who is calling? ─────▶ agent's screen
//! (ws)       wire→map      (bounded)   (pure, no IO)        │
//!                                                           └──▶ journal/ ── on disk ──▶ salesforce/ Tasks
//! http/ serves snapshots of all of these: API, page, health, metrics     settings/ cli/ lifecycle telemetry: the frame
//! sim/  a pretend PBX and a pretend Salesforce on the far side of real sockets; only demo, sandbox, replay and tests use it
//! ```
//!
//! Data goes from left to right only. A module uses what its row names, and `tests/tidy.rs` checks it:
//!
//! | module | may use |
//! |---|---|
//! | phone, backoff, secret, state_file, network, lifecycle, telemetry, metrics | nothing of ours (metrics: anyone) |
//! | calls | phone |
//! | feeds | calls, leaves |
//! | salesforce | leaves |
//! | directory | phone, salesforce, leaves |
//! | pops, journal | calls, directory's answer type, (journal: salesforce), leaves |
//! | bridge | all above |
//! | http | the handles that bridge gives it: calls, directory, pops, journal |
//! | settings | every module's own `Config` |
//! | cli | everything |
//! | sim | nothing of ours |

pub mod backoff;
pub mod bridge;
pub mod calls;
pub mod cli;
pub mod directory;
pub mod feeds;
pub mod http;
pub mod journal;
pub mod lifecycle;
pub mod metrics;
pub mod network;
pub mod phone;
pub mod pops;
pub mod salesforce;
pub mod secret;
pub mod settings;
pub mod sim;
pub mod state_file;
pub mod telemetry;
