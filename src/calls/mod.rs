//! What a call is: one conversation with one outside party, put together from what the phone system says.
//!
//! Pure: no IO, no clock, no channel. [`event`] and [`feed`] come in, [`step`] and [`record`] go out, the [`tracker`] is between.

mod call;
pub mod event;
pub mod feed;
mod gap;
mod key;
mod legs;
mod members;
pub mod record;
mod roster;
mod screen;
pub mod step;
mod switchboard;
#[cfg(test)]
mod tests;
pub mod tracker;
mod twins;

pub use switchboard::Site;
