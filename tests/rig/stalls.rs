//! How long the machine kept a thread waiting: what the calls of a live run may be longer or shorter by than the rig says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TURN: Duration = Duration::from_millis(20);

/// The longest wait so far. It is watched until this is dropped.
pub struct Stalls(Arc<AtomicU64>);

impl Stalls {
    pub fn watch() -> Self {
        let longest = Arc::new(AtomicU64::new(0));
        let seen = Arc::downgrade(&longest);
        std::thread::spawn(move || {
            while let Some(longest) = seen.upgrade() {
                let began = Instant::now();
                std::thread::sleep(TURN);
                let late = began.elapsed().saturating_sub(TURN);
                longest.fetch_max(u64::try_from(late.as_millis()).unwrap(), Ordering::Relaxed);
            }
        });
        Self(longest)
    }

    pub fn longest(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}
