//! What a call is: one conversation with one outside party, put together from what the phone system says.
//!
//! Pure: no IO, no clock, no channel. [`event`] and [`feed`] come in, [`step`] and [`record`] go out, the [`tracker`] is between.

pub mod event;
pub mod feed;
mod key;
pub mod record;
pub mod step;
