//! Where in the settings something stands, and what is wrong or worth saying there.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::telemetry::Escaped;

/// A file with or without a line, or an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    source: Arc<str>,
    line: Option<usize>,
}

impl Place {
    pub(super) fn file(path: &Path) -> Self {
        Self::named(&path.to_string_lossy())
    }

    pub(super) fn named(source: &str) -> Self {
        Self { source: source.into(), line: None }
    }

    pub(super) fn at_line(&self, line: usize) -> Self {
        Self { source: Arc::clone(&self.source), line: Some(line) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", Escaped(&self.source)),
            None => Escaped(&self.source).fmt(f),
        }
    }
}

/// One thing that is wrong: `FILE:LINE: key: what; expected …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub place: Place,
    /// Dotted, `salesforce.client_id`; a feed's and an agent's keys carry its name, `feed.pbx1.url`. Empty for a whole file.
    pub key: String,
    pub what: String,
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(f, &self.place, &self.key)?;
        write!(f, "{}; expected {}", Escaped(&self.what), Escaped(&self.expected))
    }
}

/// One thing that works but should be known: `FILE:LINE: key: text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub place: Place,
    /// As in [`Problem::key`].
    pub key: String,
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(f, &self.place, &self.key)?;
        Escaped(&self.text).fmt(f)
    }
}

fn write_head(f: &mut fmt::Formatter<'_>, place: &Place, key: &str) -> fmt::Result {
    write!(f, "{place}: ")?;
    if key.is_empty() {
        return Ok(());
    }
    write!(f, "{}: ", Escaped(key))
}

/// Why settings cannot be used: all that is wrong, one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    pub problems: Vec<Problem>,
    pub warnings: Vec<Warning>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
