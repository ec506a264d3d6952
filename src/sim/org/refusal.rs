//! Why Salesforce refuses a row, a query or a search: its own code and words.

use super::Fields;

/// One refusal; how it is shown (`errorCode` or `statusCode`) is up to the resource that answers.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// Salesforce's code, such as `STRING_TOO_LONG`.
    pub code: &'static str,
    /// Its sentence, as real clients match on some of them.
    pub message: String,
    /// The fields it is about; empty when it is about none.
    pub fields: Vec<String>,
    /// What else the error shows where it is the whole answer: further members of the object.
    pub more: Option<Box<Fields>>,
}

impl Refusal {
    /// A refusal that is not about a field.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: Vec::new(), more: None }
    }

    /// A refusal that names the field it is about.
    pub(crate) fn of_field(code: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: vec![field.to_owned()], more: None }
    }

    /// What a request for something that is not there gets.
    pub(crate) fn not_found() -> Self {
        Self::new("NOT_FOUND", "The requested resource does not exist")
    }

    /// The HTTP status of this refusal when it is the whole answer.
    pub(crate) fn status(&self) -> u16 {
        match self.code {
            "NOT_FOUND" | "ENTITY_IS_DELETED" => 404,
            "INVALID_SESSION_ID" => 401,
            "REQUEST_LIMIT_EXCEEDED" | "API_DISABLED_FOR_ORG" | "INSUFFICIENT_ACCESS_OR_READONLY" => 403,
            "METHOD_NOT_ALLOWED" => 405,
            "UNSUPPORTED_API_VERSION" => 410,
            "URI_TOO_LONG" => 414,
            "SERVER_UNAVAILABLE" | "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE" => 503,
            _ => 400,
        }
    }
}
