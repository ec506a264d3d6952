//! The readers of foreign octets and what is behind them, out of the program's own files.

#[path = "../../src/calls/mod.rs"]
pub mod calls;
#[path = "../../src/phone.rs"]
pub mod phone;

pub mod feeds {
    #[path = "../../../src/feeds/sip/mod.rs"]
    pub mod sip;

    pub mod sip_dialog {
        #[path = "../../../../src/feeds/sip_dialog/info.rs"]
        pub mod info;
        #[path = "../../../../src/feeds/sip_dialog/map/mod.rs"]
        pub mod map;
        #[path = "../../../../src/feeds/sip_dialog/parts.rs"]
        pub mod parts;
        #[path = "../../../../src/feeds/sip_dialog/view.rs"]
        pub mod view;
    }

    pub mod hep {
        #[path = "../../../../src/feeds/hep/map/mod.rs"]
        pub mod map;
        #[path = "../../../../src/feeds/hep/packet.rs"]
        pub mod packet;
    }
}
