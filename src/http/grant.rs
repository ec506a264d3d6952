//! `/api/v1/salesforce/grant`: takes what a login brings home. Not built yet.

use super::auth::Caller;
use super::problem::Problem;

pub(super) async fn put(caller: Caller) -> Problem {
    match caller.must_be_admin() {
        Ok(()) => Problem::not_built(
            "Taking a grant is not built yet. Use the flow client-credentials, which needs no login.",
        ),
        Err(problem) => problem,
    }
}
