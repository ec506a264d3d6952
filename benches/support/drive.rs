//! A bridge in this process that takes what the far side plays.

use std::time::{Duration, Instant};

use ctibridge::bridge::Bridge;
use ctibridge::calls::record::CallKey;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::far::{Ask, Far, MARK, Played};
use crate::site;

/// Frames that are asked for in one go: two such fit into the feed's store, so that it is never overrun.
pub const CHUNK: usize = 8192;
const LIMIT: Duration = Duration::from_mins(1);

pub struct Drive {
    runtime: Runtime,
    bridge: Bridge,
    far: Far,
    _dir: TempDir,
}

impl Drive {
    /// With so many recordings at once, and the presentation in their frames or not.
    pub fn start(lanes: usize, presentation: bool) -> Self {
        let (runtime, dir, mut far) = (Runtime::new().unwrap(), TempDir::new().unwrap(), Far::start());
        let to = &far.addresses;
        let config = site::config(to.asterisk, &to.salesforce, &to.login, dir.path());
        let bridge = runtime.block_on(Bridge::start(config)).unwrap();
        far.ask(Ask::Begin { lanes, presentation });
        far.answer();
        Self { runtime, bridge, far, _dir: dir }
    }

    /// Asks so many times, once ahead of what the bridge has taken, and waits for the last Task. Tells how many frames there were.
    pub fn play(&mut self, ask: Ask, times: usize) -> usize {
        self.far.ask(ask);
        for nth in 1..=times {
            if nth < times {
                self.far.ask(ask);
            }
            let played = self.far.answer();
            self.runtime.block_on(taken(&self.bridge, &played));
        }
        self.runtime.block_on(until(|| self.bridge.journal().counts().waiting == 0));
        times * (CHUNK + MARK)
    }

    pub fn stop(self) {
        self.runtime.block_on(self.bridge.stop());
    }
}

async fn taken(bridge: &Bridge, played: &Played) {
    let key = CallKey::new("hq", "pbx1", played.mark.as_deref().unwrap());
    let began = Instant::now();
    while ended(bridge) < played.calls || bridge.journal().agents_of(key.as_str()).await.is_none() {
        assert!(began.elapsed() < LIMIT, "{:?}: {} calls were to end", bridge.journal().counts(), played.calls);
        sleep(Duration::from_millis(20)).await;
    }
}

fn ended(bridge: &Bridge) -> u64 {
    let counts = bridge.journal().counts();
    counts.waiting + counts.parked + counts.done
}

async fn until(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "what was waited for did not come");
        sleep(Duration::from_millis(10)).await;
    }
}
