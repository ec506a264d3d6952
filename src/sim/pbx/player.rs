//! Plays many scripted calls at once, each in its own time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::asterisk::Asterisk;
use super::script::{Ids, Reel, Script, ScriptError};

/// The calls under way on one PBX. Dropping it leaves them where they are, as if the PBX had frozen.
#[derive(Debug)]
pub struct Player {
    asterisk: Arc<Asterisk>,
    ids: Ids,
    calls: JoinSet<()>,
}

impl Player {
    /// `seed` decides over Call-IDs and bridge ids only.
    #[must_use]
    pub fn new(asterisk: Arc<Asterisk>, seed: u64) -> Self {
        Self { asterisk, ids: Ids::new(seed), calls: JoinSet::new() }
    }

    /// Begins a call that starts after `delay`; its time stamps are those of the real clock.
    ///
    /// # Errors
    /// The script asks for something impossible.
    pub fn start(&mut self, script: &Script, delay: Duration) -> Result<(), ScriptError> {
        let start = Timestamp::now().checked_add(delay).unwrap_or_else(|_| Timestamp::now());
        let reel = script.reel(start, &self.ids)?;
        let asterisk = Arc::clone(&self.asterisk);
        let from = Instant::now() + delay;
        // Finished calls are let go here, so that an endless demo does not gather them.
        while self.calls.try_join_next().is_some() {}
        self.calls.spawn(async move { perform(&asterisk, &reel, from).await });
        Ok(())
    }

    /// How many calls are not over.
    #[must_use]
    pub fn under_way(&mut self) -> usize {
        while self.calls.try_join_next().is_some() {}
        self.calls.len()
    }

    /// Waits until all calls are over.
    pub async fn finish(&mut self) {
        while self.calls.join_next().await.is_some() {}
    }
}

/// Plays one call whose first frame is due at `from`.
pub async fn perform(asterisk: &Asterisk, reel: &Reel, from: Instant) {
    announce(asterisk, reel);
    for cue in &reel.cues {
        sleep_until(from + cue.at).await;
        asterisk.send(&cue.frame).await;
    }
}

/// Plays calls without waits, in the order in which their frames are due: for load.
pub async fn perform_at_once(asterisk: &Asterisk, reels: &[(Duration, Reel)]) {
    let mut cues = Vec::new();
    for (start, reel) in reels {
        announce(asterisk, reel);
        cues.extend(reel.cues.iter().map(|cue| (*start + cue.at, &cue.frame)));
    }
    // Stable, so that each call keeps the order of its own frames.
    cues.sort_by_key(|(at, _)| *at);
    for (_, frame) in cues {
        asterisk.send(frame).await;
    }
}

fn announce(asterisk: &Asterisk, reel: &Reel) {
    for variable in &reel.variables {
        asterisk.set_variable(&variable.channel, &variable.name, &variable.value);
    }
}
