//! Names that a PBX gives to what it makes: no two alike, and the same ones again for the same seed.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one PBX since its start.
#[derive(Debug)]
pub struct Ids {
    seed: u64,
    channels: AtomicU64,
    others: AtomicU64,
}

impl Ids {
    /// Call-IDs and bridge ids depend on the seed; channels are counted from 0 as after every start of an Asterisk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, channels: AtomicU64::new(0), others: AtomicU64::new(0) }
    }

    /// The number that a channel has behind the dot of its id and, in hex, behind the dash of its name.
    pub(super) fn channel(&self) -> u64 {
        self.channels.fetch_add(1, Ordering::Relaxed)
    }

    /// The Call-ID of a phone or a carrier that calls in.
    pub(super) fn call_id(&self) -> String {
        format!("{:016x}{:08x}", self.other(), self.other() >> 32)
    }

    /// As bridges have it, and the calls that the PBX places.
    pub(super) fn uuid(&self) -> String {
        let (a, b) = (self.other(), self.other());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }

    /// The next number of a sequence that looks like chance (splitmix64).
    fn other(&self) -> u64 {
        let step = self.others.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let mut mixed = self.seed.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
