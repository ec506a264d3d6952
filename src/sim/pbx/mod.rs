//! A pretend phone system: speaks the Asterisk REST Interface on a real socket, and plays recorded or scripted calls.
//!
//! - [`asterisk`] is the server: websocket of events, snapshots, channel variables, and the ways in which it can fail.
//! - [`notifier`] answers subscriptions to the dialogs of extensions, by SIP, and plays what real PBXs once notified.
//! - [`recording`] plays what a real Asterisk once sent.
//! - [`script`] writes the frames of calls that never took place, and [`player`] plays many of them at once.

pub mod asterisk;
mod clock;
pub mod mirror;
pub mod notifier;
pub mod player;
pub mod recording;
pub mod script;

pub use asterisk::{Asterisk, Options, Refuse};
pub use notifier::Notifier;
pub use player::Player;
pub use recording::{Recording, Speed};
pub use script::{Caller, Script};
