//! How long to wait before the next try: exponential, with full jitter, never longer than a cap.

use std::time::Duration;

/// Waits that grow from `first` to `cap` and are spread at random, so that many who lost the same peer do not come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    tries: u32,
}

impl Backoff {
    #[must_use]
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, tries: 0 }
    }

    /// The wait before the next try: at least half a step, so that a dead peer is not hammered, and at most a whole one.
    pub fn next_wait(&mut self) -> Duration {
        let step = self.first.saturating_mul(2_u32.saturating_pow(self.tries)).min(self.cap);
        self.tries = self.tries.saturating_add(1);
        step.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// It worked: begin anew.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_begin_anew() {
        let (first, cap) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, cap);
        for step in [100_u64, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let wait = backoff.next_wait();
            assert!(
                wait <= Duration::from_millis(step) && wait >= Duration::from_millis(step / 2),
                "{wait:?} of {step} ms"
            );
        }
        backoff.reset();
        assert!(backoff.next_wait() <= first);
    }
}
