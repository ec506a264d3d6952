//! What to do about a refusal or a failure, in words for the operator.

use std::error::Error;

/// What to check when ARI answers a request with this status.
pub fn on_status(status: u16) -> &'static str {
    match status {
        400 => "the application's name is missing or not accepted; check `app`",
        401 => {
            "the user or the password is not accepted; check `username` and `password` against ari.conf"
        }
        403 => "the user may not do this; check the user's section in ari.conf",
        404 => {
            "no ARI there, or Asterisk is still starting; check `url`, `enabled` in http.conf and ari.conf, and that the res_ari modules are loaded"
        }
        503 => "Asterisk is still starting, or has as many HTTP sessions as http.conf allows",
        _ => "check that `url` is that of an Asterisk and not of something before it",
    }
}

/// An error with all that is behind it: libraries tell the cause only when they are asked for it.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
