//! CSV as bulk jobs write and read it (RFC 4180, with a choice of delimiter and line ending).

use serde_json::{Map, Value};

use super::text;
use crate::sim::org::Refusal;

const DELIMITERS: [(&str, char); 6] =
    [("COMMA", ','), ("BACKQUOTE", '`'), ("CARET", '^'), ("PIPE", '|'), ("SEMICOLON", ';'), ("TAB", '\t')];
const ENDINGS: [(&str, &str); 2] = [("LF", "\n"), ("CRLF", "\r\n")];

/// How the rows of a job are delimited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    delimiter: (&'static str, char),
    ending: (&'static str, &'static str),
}

impl Format {
    /// What a job's creation asks for.
    pub(super) fn of(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let refuse = |what: &str| Refusal::new("INVALIDJOB", format!("Unknown {what}"));
        if !matches!(text(body, "contentType"), "" | "CSV") {
            return Err(refuse("contentType"));
        }
        let (delimiter, ending) = (text(body, "columnDelimiter"), text(body, "lineEnding"));
        let delimiter = DELIMITERS.into_iter().find(|(name, _)| *name == delimiter || delimiter.is_empty());
        let ending = ENDINGS.into_iter().find(|(name, _)| *name == ending || ending.is_empty());
        Ok(Self {
            delimiter: delimiter.ok_or_else(|| refuse("columnDelimiter"))?,
            ending: ending.ok_or_else(|| refuse("lineEnding"))?,
        })
    }

    /// The names of the delimiter and of the line ending.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        (self.delimiter.0, self.ending.0)
    }

    /// Adds a row; every cell is quoted.
    pub(super) fn write(self, into: &mut String, cells: impl Iterator<Item = impl AsRef<str>>) {
        for (number, cell) in cells.enumerate() {
            if number > 0 {
                into.push(self.delimiter.1);
            }
            into.push('"');
            for character in cell.as_ref().chars() {
                into.push(character);
                if character == '"' {
                    into.push('"');
                }
            }
            into.push('"');
        }
        into.push_str(self.ending.1);
    }

    /// The rows of a text; quoted cells may hold delimiters, line ends and doubled quotes.
    pub(super) fn read(self, source: &str) -> Result<Vec<Vec<String>>, Refusal> {
        let mut rows = Vec::new();
        let (mut row, mut cell) = (Vec::new(), String::new());
        let (mut quoted, mut began) = (false, false);
        let mut characters = source.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '"' if quoted && characters.peek() == Some(&'"') => {
                    characters.next();
                    cell.push('"');
                }
                '"' if quoted => quoted = false,
                '"' if cell.is_empty() => (quoted, began) = (true, true),
                _ if quoted => cell.push(character),
                '\r' if characters.peek() == Some(&'\n') => {}
                '\n' => {
                    if began || !cell.is_empty() || !row.is_empty() {
                        row.push(std::mem::take(&mut cell));
                        rows.push(std::mem::take(&mut row));
                    }
                    began = false;
                }
                _ if character == self.delimiter.1 => {
                    row.push(std::mem::take(&mut cell));
                    began = true;
                }
                _ => cell.push(character),
            }
        }
        if quoted {
            return Err(Refusal::new("INVALIDBATCH", "A quoted cell has no end"));
        }
        if began || !cell.is_empty() || !row.is_empty() {
            row.push(cell);
            rows.push(row);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comma() -> Format {
        Format::of(&Map::new()).expect("a format")
    }

    #[test]
    fn what_is_written_is_read_again() {
        let rows = [vec!["Id", "Name"], vec!["1", "say \"hi\",\nthen go"], vec!["", ""]];
        let mut text = String::new();
        for row in &rows {
            comma().write(&mut text, row.iter());
        }
        assert!(text.starts_with("\"Id\",\"Name\"\n\"1\",\"say \"\"hi\"\",\nthen go\"\n\"\",\"\"\n"), "{text}");
        assert_eq!(comma().read(&text).expect("rows"), rows);
    }

    #[test]
    fn plain_cells_and_both_line_ends_are_read() {
        let read = comma().read("a,b\r\n1,\n\n,2").expect("rows");
        assert_eq!(read, [vec!["a", "b"], vec!["1", ""], vec!["", "2"]]);
        assert!(comma().read("a\n\"b").is_err());
    }

    #[test]
    fn delimiters_have_names() {
        let body = serde_json::json!({"columnDelimiter": "PIPE", "lineEnding": "CRLF"});
        let format = Format::of(body.as_object().expect("an object")).expect("a format");
        assert_eq!(format.read("a|b\r\n").expect("rows"), [["a", "b"]]);
        let body = serde_json::json!({"columnDelimiter": "DOT"});
        assert!(Format::of(body.as_object().expect("an object")).is_err());
    }
}
