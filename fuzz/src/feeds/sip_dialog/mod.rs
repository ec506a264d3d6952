//! As in the program, less its sockets and subscriptions.

#[path = "../../../../src/feeds/sip_dialog/info.rs"]
pub mod info;
#[path = "../../../../src/feeds/sip_dialog/map/mod.rs"]
pub mod map;
#[path = "../../../../src/feeds/sip_dialog/parts.rs"]
pub mod parts;
#[path = "../../../../src/feeds/sip_dialog/view.rs"]
pub mod view;
