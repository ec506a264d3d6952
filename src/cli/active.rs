//! Waits for an app that was made a moment ago: Salesforce may need 20 minutes until it knows it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::output;
use crate::salesforce::Error;

const LIMIT: Duration = Duration::from_mins(20);
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Asks until Salesforce knows the app or the time is up; any other answer is the answer.
pub(super) async fn until_known<T, F>(wait: bool, mut ask: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let until = Instant::now() + LIMIT;
    let (mut pause, mut told) = (FIRST_WAIT, false);
    loop {
        let outcome = ask().await;
        let unknown = outcome.as_ref().is_err_and(Error::may_become_active);
        if !wait || !unknown || Instant::now() + pause > until {
            return outcome;
        }
        if !told {
            output::complain(
                "Salesforce does not know the app (`client_id`). An app that was just made may need 20 minutes to become \
                 active, so it is tried again for that long. Is it older? Then stop this with Ctrl-C and copy the consumer \
                 key anew.",
            );
            told = true;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_WAIT);
    }
}
