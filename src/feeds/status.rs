//! How a feed is, to be read by whoever tells the world: `/readyz` and the metrics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not been up since the start.
    Connecting,
    Up,
    /// It was up, is not, and is tried again.
    Lost,
}

/// What is known of a feed at one moment. Counters run from the start of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedStatus {
    pub name: Arc<str>,
    pub state: State,
    /// When the state began, by the clock of this machine.
    pub since: Timestamp,
    /// Why it is not up, in words for the operator, as far as that is known.
    pub reason: Option<String>,
    /// Frames read, of any kind.
    pub frames: u64,
    /// Frames of a kind that is not used.
    pub unknown: u64,
    /// Frames that could not be understood.
    pub bad: u64,
    /// Connections given up, or packets of a mirror dropped, because what is behind the reader was too slow.
    pub overruns: u64,
    /// Packets thrown away unread: from somebody who may not send, with a wrong key, or more than could be taken.
    pub dropped: u64,
    pub been_up: bool,
}

/// Shared between the feed, which writes, and its readers.
#[derive(Debug, Clone)]
pub struct StatusHandle(Arc<Mutex<FeedStatus>>);

impl StatusHandle {
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(Mutex::new(FeedStatus {
            name: name.into(),
            state: State::Connecting,
            since: Timestamp::now(),
            reason: None,
            frames: 0,
            unknown: 0,
            bad: 0,
            overruns: 0,
            dropped: 0,
            been_up: false,
        })))
    }

    #[must_use]
    pub fn get(&self) -> FeedStatus {
        self.lock().clone()
    }

    pub(super) fn up(&self) {
        let mut status = self.lock();
        status.enter(State::Up);
        status.reason = None;
        status.been_up = true;
    }

    /// A connection, or a try at one, has ended. Tells whether the feed had been up.
    pub(super) fn lost(&self, reason: &str) -> bool {
        let mut status = self.lock();
        let was_up = status.state == State::Up;
        if was_up {
            status.enter(State::Lost);
        }
        status.reason = Some(reason.to_owned());
        was_up
    }

    pub(super) fn count_frame(&self) {
        self.lock().frames += 1;
    }

    pub(super) fn count_unknown(&self) {
        self.lock().unknown += 1;
    }

    pub(super) fn count_bad(&self) {
        self.lock().bad += 1;
    }

    pub(super) fn count_overrun(&self) {
        self.lock().overruns += 1;
    }

    pub(super) fn count_dropped(&self) {
        self.lock().dropped += 1;
    }

    /// Packets that nobody has looked into.
    pub(super) fn count_unread(&self, packets: u64) {
        let mut status = self.lock();
        status.frames += packets;
        status.dropped += packets;
    }

    fn lock(&self) -> MutexGuard<'_, FeedStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FeedStatus {
    fn enter(&mut self, state: State) {
        self.state = state;
        self.since = Timestamp::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_try_does_not_move_the_moment_of_the_loss() {
        let status = StatusHandle::new("pbx1");
        assert!(!status.lost("refused"));
        assert_eq!(status.get().state, State::Connecting);

        status.up();
        assert_eq!(status.get().reason, None);
        assert!(status.lost("reset"));
        let lost = status.get();
        assert!(!status.lost("refused"));
        let later = status.get();

        assert_eq!((later.state, later.since), (State::Lost, lost.since));
        assert_eq!(later.reason.as_deref(), Some("refused"));
        assert!(later.been_up);
    }
}
