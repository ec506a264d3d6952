//! What was checked, a line each, or all of it as JSON.

use serde_json::{Value as Json, json};

use crate::cli::output;
use crate::telemetry::Escaped;

/// How one thing is.
pub(super) enum Finding {
    Ok(String),
    /// It works, and could be better.
    Note(String),
    /// It does not work; the text says what to do.
    Failed(String),
}

/// Tells each line as it comes, or keeps it for the end.
pub(super) struct Report {
    json: bool,
    lines: Vec<Json>,
    failed: u32,
}

impl Report {
    pub fn new(json: bool) -> Self {
        Self { json, lines: Vec::new(), failed: 0 }
    }

    pub fn tell(&mut self, what: &str, finding: Finding) -> anyhow::Result<()> {
        let (result, text) = match finding {
            Finding::Ok(text) => ("ok", text),
            Finding::Note(text) => ("note", text),
            Finding::Failed(text) => {
                self.failed += 1;
                ("failed", text)
            }
        };
        if self.json {
            self.lines.push(json!({ "what": what, "result": result, "text": text }));
        } else {
            let result = if result == "failed" { "FAILED" } else { result };
            output::print(&format!("{result:7} {}: {}", Escaped(what), Escaped(&text)))?;
        }
        Ok(())
    }

    pub fn failed(&self) -> u32 {
        self.failed
    }

    pub fn into_lines(self) -> Vec<Json> {
        self.lines
    }
}

impl<E: std::fmt::Display> From<Result<String, E>> for Finding {
    fn from(outcome: Result<String, E>) -> Self {
        match outcome {
            Ok(fine) => Self::Ok(fine),
            Err(wrong) => Self::Failed(wrong.to_string()),
        }
    }
}
