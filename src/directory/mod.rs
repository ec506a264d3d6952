//! Who is calling: the answer to a phone number, with a deadline.

pub mod answer;
mod config;

pub use config::{Config, CustomObject, LiveSearch, Mode};
