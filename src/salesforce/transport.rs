//! The HTTP client, and what every answer is read with: a cap, a cause, a limit.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::config::Config;
use super::error::Error;
use super::problem::ConfigError;

const CONNECT: Duration = Duration::from_secs(5);
/// Shorter than any server's: a write on a connection that the server has just closed leaves its fate open.
const IDLE: Duration = Duration::from_secs(20);
/// The longest wait that a `Retry-After` may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Names this program to Salesforce's event logs and to proxies.
pub(super) const NAME: &str = concat!("ctibridge/", env!("CARGO_PKG_VERSION"));

/// Follows no redirect: a token belongs to the host that it was made for.
pub(super) fn client(config: &Config, loopback: bool) -> Result<reqwest::Client, ConfigError> {
    // Fails when a provider is there already, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut builder = reqwest::Client::builder()
        .user_agent(NAME)
        .connect_timeout(CONNECT)
        .timeout(config.request_timeout)
        .pool_idle_timeout(IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .gzip(true);
    if loopback {
        builder = builder.no_proxy();
    }
    if !config.ca_file.is_empty() {
        builder = builder.tls_certs_merge(authorities(&config.ca_file)?);
    }
    builder.build().map_err(|error| ConfigError::Tls(cause(&error)))
}

fn authorities(path: &str) -> Result<Vec<reqwest::Certificate>, ConfigError> {
    let pem = std::fs::read(path).map_err(|error| ConfigError::Ca(error.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| ConfigError::Ca(cause(&error)))?;
    if found.is_empty() {
        return Err(ConfigError::Ca("no certificate is in it".to_owned()));
    }
    Ok(found)
}

/// The innermost reason, without the address, which may carry what was searched for.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out".to_owned();
    }
    let mut source = error.source();
    let mut text = "the connection was lost".to_owned();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

/// Before the connection stood nothing was sent; after that, nobody knows.
pub(super) fn failed(error: &reqwest::Error) -> Error {
    let what = cause(error);
    if error.is_connect() || error.is_builder() { Error::Unreachable { what } } else { Error::NoAnswer { what } }
}

/// The body, up to a size, unpacked.
pub(super) async fn body(mut answer: reqwest::Response, cap: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
        if body.len() + chunk.len() > cap {
            return Err(Error::TooLarge { limit: "what is read of one answer" });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3); its date form is not used by Salesforce and not read.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// Used and allowed calls of the last 24 hours, of `Sforce-Limit-Info: api-usage=18/5000; per-app-api-usage=…`.
pub(super) fn api_usage(headers: &HeaderMap) -> Option<(u64, u64)> {
    let text = headers.get("sforce-limit-info")?.to_str().ok()?;
    let usage = text.split([';', ',']).find_map(|part| part.trim().strip_prefix("api-usage="))?;
    let (used, allowed) = usage.split_once('/')?;
    Some((used.trim().parse().ok()?, allowed.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_of_the_org_is_read_and_not_that_of_the_app() {
        let mut headers = HeaderMap::new();
        headers.insert("Sforce-Limit-Info", "per-app-api-usage=17/250(appName=x); api-usage=18/5000".parse().unwrap());
        assert_eq!(api_usage(&headers), Some((18, 5000)));
        assert_eq!(api_usage(&HeaderMap::new()), None);
    }

    #[test]
    fn a_wait_is_read_in_seconds_and_has_a_cap() {
        let of = |text: &str| {
            let headers = [(RETRY_AFTER, text.parse().unwrap())].into_iter().collect();
            retry_after(&headers)
        };
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("999999"), Some(LONGEST_WAIT));
        assert_eq!(of("soon"), None);
    }
}
