//! The readers of foreign octets and what is behind them, out of the program's own files.

#[path = "../../src/calls/mod.rs"]
pub mod calls;
pub mod feeds;
#[path = "../../src/phone.rs"]
pub mod phone;
