//! The readers of foreign octets and what is behind them, out of the program's own files.

#[path = "../../src/calls/mod.rs"]
pub mod calls;
#[path = "../../src/phone.rs"]
pub mod phone;

pub mod feeds {
    #[path = "../../../src/feeds/sip/mod.rs"]
    pub mod sip;

    pub mod hep {
        #[path = "../../../../src/feeds/hep/map/mod.rs"]
        pub mod map;
        #[path = "../../../../src/feeds/hep/packet.rs"]
        pub mod packet;
    }
}
