//! What to do about a refusal or a failure, in words for the operator.

use std::error::Error;

use crate::feeds::tls;

/// What to check when ARI answers a request with this status.
pub fn on_status(status: u16) -> &'static str {
    match status {
        400 => "the application's name is missing or not accepted; check `app`",
        401 => "the user or the password is not accepted; check `username` and `password` against ari.conf",
        403 => "the user may not do this; check the user's section in ari.conf",
        404 => {
            "no ARI there, or Asterisk is still starting; check `url`, `enabled` in http.conf and ari.conf, and that the res_ari modules are loaded"
        }
        503 => "Asterisk is still starting, or has as many HTTP sessions as http.conf allows",
        _ => "check that `url` is that of an Asterisk and not of something before it",
    }
}

/// What went wrong when no answer came at all, and what to check.
pub fn on_failure(error: &(dyn Error + 'static)) -> String {
    let advice = if tls::is_distrust(error) {
        "set `ca_file` to the authority that signed its certificate (not to the certificate itself), and use a host name in `url` that the certificate holds"
    } else {
        "check `url`, that Asterisk runs and that http.conf has it listen there"
    };
    format!("{}; {advice}", told(error))
}

/// An error with all that is behind it: some libraries tell the cause only when they are asked for it.
fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in tls::causes(error).skip(1) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
