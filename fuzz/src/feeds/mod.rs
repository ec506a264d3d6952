//! As in the program, less what is not fuzzed.

pub mod hep;
#[path = "../../../src/feeds/sip/mod.rs"]
pub mod sip;
pub mod sip_dialog;
