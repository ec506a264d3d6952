//! Questions to the PBX about single channels, asked beside the stream of events so that none of them delays it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument;

use super::Limits;
use super::rest::Rest;

/// What the PBX says of the presentation of a channel's caller. `None`: it did not say, or not in time.
pub struct Answer {
    pub channel: String,
    pub presentation: Option<String>,
}

pub struct Asks {
    rest: Arc<Rest>,
    turns: Arc<Semaphore>,
    limit: Duration,
    /// Each lives no longer than `limit`, which bounds their number.
    tasks: JoinSet<Answer>,
}

impl Asks {
    pub fn new(rest: Arc<Rest>, limits: &Limits) -> Self {
        Self { rest, turns: Arc::new(Semaphore::new(limits.asks)), limit: limits.ask, tasks: JoinSet::new() }
    }

    pub fn presentation(&mut self, channel: String) {
        let (rest, turns, limit) = (self.rest.clone(), self.turns.clone(), self.limit);
        let ask = async move {
            let answer = timeout(limit, in_turn(&rest, &turns, &channel)).await;
            Answer { presentation: answer.ok().flatten(), channel }
        };
        self.tasks.spawn(ask.in_current_span());
    }

    /// The next answer; waits while nothing is asked.
    pub async fn next(&mut self) -> Answer {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(answer)) => return answer,
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

async fn in_turn(rest: &Rest, turns: &Semaphore, channel: &str) -> Option<String> {
    let _turn = turns.acquire().await.ok()?;
    rest.presentation(channel)
        .await
        .inspect_err(|error| tracing::debug!(%error, "the presentation of a caller is not known"))
        .ok()
}
