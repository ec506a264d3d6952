//! As in the program, less its sockets.

#[path = "../../../../src/feeds/hep/map/mod.rs"]
pub mod map;
#[path = "../../../../src/feeds/hep/packet.rs"]
pub mod packet;
