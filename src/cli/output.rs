//! Printing: what comes from outside is escaped, and a reader that has gone is an error, not a panic.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::telemetry::Escaped;

/// A text of ours, as it is, on stdout.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Lines on stderr, each escaped; one that cannot be written is lost, since there is nowhere to say so.
pub(super) fn complain(text: &str) {
    let mut err = io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(err, "{}", Escaped(line));
    }
}

/// JSON, indented; characters that a terminal would act upon are escaped as JSON has it.
pub(super) fn print_json(value: &serde_json::Value) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    print(&json_text(&text))
}

/// JSON on one line.
pub(super) fn print_json_line(value: &serde_json::Value) -> io::Result<()> {
    print(&json_text(&value.to_string()))
}

/// DEL, C1 and direction marks may stand in JSON strings; U+2028 and the like, too.
fn json_text(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for char in json.chars() {
        if char != '\n' && Escaped(char.encode_utf8(&mut [0; 4])).to_string() != char.to_string() {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(char);
        }
    }
    text
}
