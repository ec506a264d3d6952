//! What the stories are told with.

pub mod desk;
pub mod mirror;
pub mod people;
pub mod process;
pub mod site;
pub mod sse;
pub mod truth;
pub mod verdict;
pub mod world;
