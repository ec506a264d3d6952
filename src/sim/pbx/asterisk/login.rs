//! Who may come in: HTTP Basic, or `api_key=user:password` in the query.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Options;

/// Whether the request carries the right user and password in one of the two ways.
pub(super) fn is_known(options: &Options, headers: &HeaderMap, api_key: Option<&str>) -> bool {
    let expected = format!("{}:{}", options.username, options.password);
    basic(headers).as_deref() == Some(expected.as_str()) || api_key == Some(expected.as_str())
}

fn basic(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()
}
