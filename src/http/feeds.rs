//! `/api/v1/feeds/{name}/events`: the door for phone systems that send webhooks. Not built yet.

use super::auth::Caller;
use super::problem::Problem;

pub(super) async fn post(caller: Caller) -> Problem {
    match caller.must_be_admin() {
        Ok(()) => {
            Problem::not_built("Feeds by webhook are not built yet. Use a feed kind that connects to the phone system.")
        }
        Err(problem) => problem,
    }
}
