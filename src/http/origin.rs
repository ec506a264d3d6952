//! Whether a request that changes something comes from our own page and not from another site in the same browser.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use super::problem::Problem;

/// Refuses what a browser says comes from another site.
///
/// Browsers send `Origin` with all that changes state. A client that sends neither `Origin` nor `Sec-Fetch-Site` is none, and other
/// sites cannot use its cookie.
///
/// # Errors
/// When the request comes from another site.
pub(super) fn check(headers: &HeaderMap, public_url: &str) -> Result<(), Problem> {
    let ours = match text(headers, ORIGIN.as_str()) {
        Some(origin) => is_ours(origin, headers, public_url),
        None => matches!(text(headers, "sec-fetch-site"), None | Some("same-origin" | "none")),
    };
    ours.then_some(()).ok_or_else(|| {
        Problem::forbidden(
            "The request comes from another site. Use the agent page itself, or set http.public_url to the address in the browser.",
        )
    })
}

fn is_ours(origin: &str, headers: &HeaderMap, public_url: &str) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let by_host = authority.is_some() && authority == text(headers, HOST.as_str());
    by_host || origin_of(public_url).is_some_and(|public| public == origin)
}

/// Scheme and authority of an address (RFC 6454 section 6.2).
fn origin_of(url: &str) -> Option<&str> {
    let start = url.find("://")? + 3;
    let rest = url.get(start..)?;
    let end = rest.find('/').map_or(url.len(), |slash| start + slash);
    url.get(..end)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "127.0.0.1:8460".parse().unwrap());
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        check(&headers, "https://cti.example.com/x").is_ok()
    }

    #[test]
    fn only_our_own_page_and_programs_may_change_something() {
        assert!(allowed(&[("origin", "http://127.0.0.1:8460")]));
        assert!(allowed(&[("origin", "https://cti.example.com")]));
        assert!(allowed(&[]));
        assert!(allowed(&[("sec-fetch-site", "same-origin")]));
        assert!(!allowed(&[("origin", "https://evil.example")]));
        assert!(!allowed(&[("origin", "https://cti.example.com.evil.example")]));
        assert!(!allowed(&[("origin", "null")]));
        assert!(!allowed(&[("origin", "http://127.0.0.1:9999")]));
        assert!(!allowed(&[("sec-fetch-site", "cross-site")]));
        assert!(!allowed(&[("sec-fetch-site", "same-site")]));
    }
}
