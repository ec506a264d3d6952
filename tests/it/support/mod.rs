//! What the stories are told with.

pub mod truth;
