//! `/api/v1/salesforce/grant`: takes what a login brings home. Not built yet.

use super::auth::Caller;
use super::problem::Problem;

pub(super) async fn put(caller: Caller) -> Problem {
    match caller.must_be_admin() {
        Ok(()) => Problem::not_built(
            "Taking a grant over HTTP is not built yet. Stop the daemon, run `ctibridge login`, and start it again.",
        ),
        Err(problem) => problem,
    }
}
