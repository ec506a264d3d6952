//! Reads what Salesforce says when it says no: the status, and JSON that may not be JSON.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::error::{Error, Refusal};
use super::transport;

/// An answer as it came.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// One error: `errorCode` everywhere but in batches, where it is `statusCode`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wire {
    message: Option<String>,
    #[serde(alias = "statusCode")]
    #[serde(rename = "errorCode")]
    code: Option<String>,
    fields: Option<Vec<String>>,
}

/// 401 answers that a new session would not change (jsforce keeps the same list, since it once went round in circles).
const NOT_THE_SESSION: [&str; 2] =
    ["This session is not valid for use with the REST API", "Connected app is not attached to Agent"];

impl Answer {
    /// The body of a success, or why it is none.
    pub fn judge(self) -> Result<Vec<u8>, Error> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.error()) }
    }

    /// Why it is no success.
    pub fn error(&self) -> Error {
        match self.status.as_u16() {
            408 | 429 | 500..=599 => self.unavailable(),
            400..=499 => self.refused(),
            status => Error::Garbage { status, what: "the host sends the call elsewhere; check `salesforce.endpoint`" },
        }
    }

    /// Whether the session has ended and a new one may help.
    pub fn wants_new_session(&self) -> bool {
        let text = String::from_utf8_lossy(&self.body);
        self.status == StatusCode::UNAUTHORIZED && !NOT_THE_SESSION.iter().any(|words| text.contains(words))
    }

    fn unavailable(&self) -> Error {
        let status = self.status.as_u16();
        let code = first(&self.body).and_then(|wire| wire.code);
        if let Some("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE") = code.as_deref() {
            return self.refused();
        }
        let said_so = code.as_deref() == Some("SERVER_UNAVAILABLE");
        Error::Unavailable {
            status,
            after: transport::retry_after(&self.headers),
            maybe_done: status != 429 && !said_so,
        }
    }

    fn refused(&self) -> Error {
        let status = self.status.as_u16();
        let Some(wire) = first(&self.body) else {
            return Error::Garbage { status, what: "an error in JSON was expected" };
        };
        let refusal = wire.refusal(status);
        if refusal.code != "REQUEST_LIMIT_EXCEEDED" {
            return Error::Refused(refusal);
        }
        if refusal.message.starts_with("Concurrent") { Error::Busy } else { Error::Quota }
    }
}

impl Wire {
    pub fn refusal(self, status: u16) -> Refusal {
        Refusal {
            status,
            code: plain(&self.code.unwrap_or_default()),
            fields: self.fields.unwrap_or_default().iter().map(|field| plain(field)).collect(),
            message: self.message.unwrap_or_default(),
        }
    }
}

/// The first error of a list, or the only one.
fn first(body: &[u8]) -> Option<Wire> {
    let list = serde_json::from_slice::<Vec<Wire>>(body);
    let one = || serde_json::from_slice::<Wire>(body).ok();
    list.map_or_else(|_| one(), |list| list.into_iter().next()).filter(|wire| wire.code.is_some())
}

/// A part of a composite call that is no success.
pub(super) fn of_part(status: u16, body: &serde_json::Value) -> Error {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(body).unwrap_or_default();
    Answer { status, headers: HeaderMap::new(), body }.error()
}

/// A code or a name as it may stand in a log.
fn plain(text: &str) -> String {
    text.chars().filter(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.')).take(80).collect()
}

/// A body that must be this; what is not is no answer of Salesforce.
pub(super) fn parse<T: serde::de::DeserializeOwned>(body: &[u8], what: &'static str) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|_| Error::Garbage { status: 200, what })
}

#[cfg(test)]
mod tests {
    use super::super::error::Retry;
    use super::*;

    fn error(status: u16, body: &str) -> Error {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        }
        .judge()
        .unwrap_err()
    }

    #[test]
    fn a_refusal_is_read_from_a_list_and_from_a_bare_object() {
        for body in [
            r#"[{"message":"No such column","errorCode":"INVALID_FIELD","fields":["X__c"]}]"#,
            r#"{"message":"No such column","errorCode":"INVALID_FIELD"}"#,
        ] {
            let error = error(400, body);
            assert_eq!(error.code(), Some("INVALID_FIELD"));
            assert_eq!(error.message(), Some("No such column"));
        }
    }

    #[test]
    fn a_page_is_garbage_and_not_a_refusal() {
        let page = error(404, "<html>Down for maintenance</html>");
        assert!(matches!(page, Error::Garbage { status: 404, .. }));
        let gateway = error(502, "<html>Bad Gateway</html>");
        assert_eq!(gateway.retry(), Retry::Soon);
        assert!(gateway.fate_unknown());
        let moved = error(302, "");
        assert!(moved.to_string().contains("endpoint"));
    }

    #[test]
    fn a_busy_server_that_says_so_has_done_nothing() {
        let busy = r#"[{"message":"server too busy","errorCode":"SERVER_UNAVAILABLE"}]"#;
        assert!(!error(503, busy).fate_unknown());
        let unknown = r#"[{"message":"ErrorId: 1","errorCode":"UNKNOWN_EXCEPTION"}]"#;
        assert!(error(500, unknown).fate_unknown());
    }

    #[test]
    fn the_limits_of_a_day_and_of_a_moment_differ() {
        let body = |message: &str| format!(r#"[{{"message":"{message}","errorCode":"REQUEST_LIMIT_EXCEEDED"}}]"#);
        let day = error(403, &body("TotalRequests Limit exceeded."));
        assert_eq!(day.retry(), Retry::Quota);
        let moment = error(403, &body("ConcurrentPerOrgLongTxn Limit exceeded."));
        assert!(matches!(moment.retry(), Retry::After(_)));
    }
}
