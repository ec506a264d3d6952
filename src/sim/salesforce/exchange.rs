//! One request and its answer as plain data, so that the same code serves sockets and composite subrequests.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::sim::org::Refusal;

/// A request as the resources see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// Upper case.
    pub(crate) method: String,
    /// Path segments, percent-decoded, empty ones (trailing slashes) left out.
    pub(crate) segments: Vec<String>,
    /// Query parameters, decoded.
    pub(crate) query: Vec<(String, String)>,
    /// Header names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    /// A request for `target`, a path that may have a query.
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        Self {
            method: method.to_ascii_uppercase(),
            segments: segments.map(|segment| decode(segment, false)).collect(),
            query: pairs(query),
            ..Self::default()
        }
    }

    /// The path's segments as text slices, for matching.
    pub(crate) fn path(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    /// A query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// A header by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The form fields of the body, then those of the query.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        let mut form = pairs(&String::from_utf8_lossy(&self.body));
        form.extend(self.query.iter().cloned());
        form
    }

    /// The body as a JSON object.
    pub(crate) fn json(&self) -> Result<Map<String, Value>, Refusal> {
        let value =
            serde_json::from_slice(&self.body).map_err(|error| Refusal::new("JSON_PARSER_ERROR", error.to_string()))?;
        if let Value::Object(object) = value {
            return Ok(object);
        }
        Err(Refusal::new("JSON_PARSER_ERROR", "The HTTP entity body is required to be a JSON object"))
    }

    /// Whether the request may change rows.
    pub(crate) fn writes(&self) -> bool {
        let rows = self.segments.iter().any(|segment| segment == "sobjects");
        let composite = self.segments.iter().any(|segment| segment == "composite");
        let retrieves = composite && rows && self.method == "POST" && self.segments.len() > 5;
        let ingests = self.segments.iter().any(|segment| segment == "ingest");
        match self.method.as_str() {
            "PATCH" | "DELETE" => rows || ingests,
            "PUT" => ingests,
            "POST" if composite && !rows => subrequest_writes(&self.body),
            "POST" => rows && !retrieves,
            _ => false,
        }
    }
}

/// An answer before it is put on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// What an answer holds.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    /// A text with its content type.
    Text(&'static str, String),
}

impl Answer {
    pub(crate) fn json(status: u16, value: Value) -> Self {
        Self { status, headers: Vec::new(), body: Body::Json(value) }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Empty }
    }

    pub(crate) fn text(status: u16, kind: &'static str, text: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Text(kind, text.into()) }
    }

    pub(crate) fn with(mut self, header: &str, value: impl Into<String>) -> Self {
        self.headers.push((header.to_owned(), value.into()));
        self
    }

    /// A refusal as the whole answer: an array of one error.
    pub(crate) fn refusal(refusal: &Refusal) -> Self {
        Self::json(refusal.status(), json!([error(refusal)]))
    }

    /// The body as JSON, null where it is none.
    pub(crate) fn value(self) -> Value {
        match self.body {
            Body::Json(value) => value,
            Body::Empty => Value::Null,
            Body::Text(_, text) => text.into(),
        }
    }
}

/// A refusal as an element of an error array.
pub(crate) fn error(refusal: &Refusal) -> Value {
    let mut error = json!({"message": refusal.message, "errorCode": refusal.code});
    if let Some(map) = error.as_object_mut() {
        if !refusal.fields.is_empty() {
            map.insert("fields".to_owned(), refusal.fields.clone().into());
        }
        map.extend(refusal.more.as_deref().cloned().unwrap_or_default());
    }
    error
}

/// The value of the first pair of this name.
pub(crate) fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let pair = pairs.iter().find(|(key, _)| key == name);
    pair.map(|(_, value)| value.as_str())
}

/// Splits `a=1&b=2` and decodes both sides.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (decode(name, true), decode(value, true)))
        .collect()
}

/// Resolves `%XX`, and `+` as a space where that is the custom.
pub(crate) fn decode(text: &str, plus: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let value = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, value) {
            (b'%', Some(value)) => {
                bytes.push(value);
                rest = tail.get(2..).unwrap_or_default();
            }
            (b'+', _) if plus => bytes.push(b' '),
            _ => bytes.push(first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Escapes what is not unreserved (RFC 3986 section 2.3).
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn subrequest_writes(body: &[u8]) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let lists = ["compositeRequest", "batchRequests"];
    let requests = lists.iter().filter_map(|list| body.get(list)?.as_array());
    requests.flatten().any(|request| request.get("method").and_then(Value::as_str) != Some("GET"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_come_as_plus_or_escaped() {
        let ask = Ask::new("get", "/services/data/v60.0/query/?q=SELECT+Id%20FROM%20A&x=%2B");
        assert_eq!(ask.parameter("q"), Some("SELECT Id FROM A"));
        assert_eq!(ask.parameter("x"), Some("+"));
        assert_eq!(ask.path(), ["services", "data", "v60.0", "query"]);
    }

    #[test]
    fn a_plus_in_a_path_is_a_plus() {
        assert_eq!(Ask::new("GET", "/a+b/%2Fc").path(), ["a+b", "/c"]);
    }
}
