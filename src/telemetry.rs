//! Logging: text, JSON or journald, at a level that can be changed while running, and without lines forged by callers' names.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};

use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// A line for people, on stderr.
    #[default]
    Text,
    /// A JSON object per line, on stderr.
    Json,
    /// Straight to systemd's journal, with fields.
    Journald,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the journal cannot be reached ({0}); use --log-format text")]
    Journal(#[source] io::Error),
    #[error("logging is already set up")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Changes the level while the program runs.
#[derive(Debug, Clone)]
pub struct LevelHandle(reload::Handle<Targets, Registry>);

impl LevelHandle {
    /// From now on, lines of this level and above are written.
    pub fn set(&self, level: LevelFilter) {
        if self.0.reload(targets(level)).is_err() {
            tracing::warn!("the log level cannot be changed: logging has ended");
        }
    }
}

/// Sets up logging for the whole process.
///
/// # Errors
/// When the journal does not answer, or logging has been set up before.
pub fn init(level: LevelFilter, format: Format) -> Result<LevelHandle, TelemetryError> {
    let (filter, handle) = reload::Layer::new(targets(level));
    let output: Box<dyn Layer<_> + Send + Sync> = match format {
        Format::Text => text(),
        Format::Json => Box::new(tracing_subscriber::fmt::layer().json().with_writer(|| PlainJson(io::stderr()))),
        Format::Journald => {
            // The journal takes each field by its length and prints unprintable ones as blobs: no value can forge an entry.
            Box::new(tracing_journald::layer().map_err(TelemetryError::Journal)?)
        }
    };
    let subscriber = tracing_subscriber::registry().with(filter).with(output);
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(LevelHandle(handle))
}

/// Other crates' lines are never finer than WARN, since at DEBUG and TRACE some of them print headers and bodies.
fn targets(level: LevelFilter) -> Targets {
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target(env!("CARGO_CRATE_NAME"), level)
}

fn text<S>() -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let layer =
        tracing_subscriber::fmt::layer().with_writer(io::stderr).fmt_fields(debug_fn(write_field).delimited(" "));
    // At a terminal the default stands, which heeds NO_COLOR.
    if io::stderr().is_terminal() { Box::new(layer) } else { Box::new(layer.with_ansi(false)) }
}

/// As the default formatter, which escapes ANSI sequences in messages only and lets line breaks through, but with every
/// control character of every value escaped.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(Escaping(writer), "{value:?}"),
        name if name.starts_with("log.") => Ok(()),
        name => {
            write!(writer, "{}=", name.strip_prefix("r#").unwrap_or(name))?;
            write!(Escaping(writer), "{value:?}")
        }
    }
}

/// A text with nothing in it that could move a cursor, break a line or turn the direction of writing.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaping(f).write_str(self.0)
    }
}

struct Escaping<'a, W>(&'a mut W);

impl<W: fmt::Write> fmt::Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, char)| is_hidden(*char)) {
            self.0.write_str(rest.get(..at).unwrap_or_default())?;
            write!(self.0, "{}", hidden.escape_default())?;
            rest = rest.get(at + hidden.len_utf8()..).unwrap_or_default();
        }
        self.0.write_str(rest)
    }
}

/// Control characters, line and paragraph separators, and invisible characters that turn or hide text.
/// The joiners U+200C and U+200D stay: names in several scripts need them.
fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{FEFF}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// JSON strings may hold DEL, C1 and direction marks as they are; here they are escaped, too. Outside of strings JSON has none.
struct PlainJson<W>(W);

impl<W: Write> Write for PlainJson<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut plain = String::with_capacity(line.len());
        for char in String::from_utf8_lossy(line).chars() {
            if char != '\n' && is_hidden(char) {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    let _ = write!(plain, "\\u{unit:04x}");
                }
            } else {
                plain.push(char);
            }
        }
        self.0.write_all(plain.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const FORGED: &str = "Eve\r\n2026-01-01 ERROR all is lost \u{1b}[31m\u{7}\u{9b}1m \u{202e}txt.exe\u{2028}\0";

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn say_it_in_every_way() {
        let span = tracing::info_span!("call", caller = FORGED);
        let _entered = span.enter();
        let error = io::Error::other(FORGED);
        tracing::info!(name = FORGED, shown = %FORGED, debugged = ?FORGED, error = %error, source = &error as &dyn std::error::Error, "{FORGED}");
    }

    fn assert_one_plain_line(lines: &Lines) -> String {
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.trim_end_matches('\n').contains(is_hidden), "{text:?}");
        text
    }

    #[test]
    fn a_callers_name_cannot_forge_a_line_of_text() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .fmt_fields(debug_fn(write_field).delimited(" "));
        tracing::subscriber::with_default(Registry::default().with(layer), say_it_in_every_way);
        assert_one_plain_line(&lines);
    }

    #[test]
    fn a_callers_name_cannot_forge_a_line_of_json() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().json().with_writer(move || PlainJson(writer.clone()));
        tracing::subscriber::with_default(Registry::default().with(layer), say_it_in_every_way);
        let line: serde_json::Value = serde_json::from_str(&assert_one_plain_line(&lines)).unwrap();
        assert_eq!(line["fields"]["message"], FORGED);
    }

    #[test]
    fn names_of_people_stay_as_they_are() {
        let name = "Zoë O'Brien \"Ź\" नमस्ते می‌خواهم 👩‍💻";
        assert_eq!(Escaped(name).to_string(), name);
        assert_eq!(Escaped("a\nb\u{1b}").to_string(), "a\\nb\\u{1b}");
    }

    #[test]
    fn the_level_can_be_changed_and_others_stay_at_warn() {
        let finest = targets(LevelFilter::TRACE);
        assert!(finest.would_enable("ctibridge::feeds", &tracing::Level::TRACE));
        assert!(!finest.would_enable("hyper::proto", &tracing::Level::INFO));
        assert!(!targets(LevelFilter::ERROR).would_enable("hyper::proto", &tracing::Level::WARN));
    }
}
