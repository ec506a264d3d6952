//! Reads CSV (RFC 4180) as it comes in pieces: the answers of the Bulk API are too large to be held.
//!
//! A push reader of its own, since the libraries read from something that blocks, or need as much code around them.

/// The longest record that is taken.
const MAX_RECORD: usize = 1024 * 1024;

/// A record that is too long to be one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record is longer than {MAX_RECORD} bytes")]
pub(super) struct TooLong;

/// Where in a record the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// A field begins.
    #[default]
    Start,
    Plain,
    Quoted,
    /// After a quote within quotes: the end of the field, or half of a doubled quote.
    Quote,
}

/// Takes bytes, gives records.
#[derive(Debug, Default)]
pub(super) struct Reader {
    place: Place,
    field: Vec<u8>,
    record: Vec<String>,
    length: usize,
}

impl Reader {
    /// The records that end within these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<String>>, TooLong> {
        let mut records = Vec::new();
        for &byte in bytes {
            self.length += 1;
            if self.length > MAX_RECORD {
                return Err(TooLong);
            }
            self.place = match (self.place, byte) {
                (Place::Start, b'"') => Place::Quoted,
                (Place::Quoted, b'"') => Place::Quote,
                (Place::Quote, b'"') | (Place::Quoted, _) => self.keep(byte),
                (Place::Start | Place::Plain | Place::Quote, b',') => self.end_field(),
                (Place::Start | Place::Plain | Place::Quote, b'\n') => {
                    records.extend(self.end_record());
                    Place::Start
                }
                (place @ (Place::Start | Place::Plain | Place::Quote), b'\r') => place,
                (Place::Start | Place::Plain | Place::Quote, _) => {
                    self.field.push(byte);
                    Place::Plain
                }
            };
        }
        Ok(records)
    }

    /// The last record, where no line ends it. None within quotes: then the end is missing.
    pub fn finish(mut self) -> Option<Vec<String>> {
        if self.place == Place::Quoted { None } else { self.end_record() }
    }

    /// Whether the bytes so far end within a record.
    pub fn is_within(&self) -> bool {
        self.length > 0
    }

    fn keep(&mut self, byte: u8) -> Place {
        self.field.push(byte);
        Place::Quoted
    }

    fn end_field(&mut self) -> Place {
        self.record.push(String::from_utf8_lossy(&self.field).into_owned());
        self.field.clear();
        Place::Start
    }

    /// An empty line is no record.
    fn end_record(&mut self) -> Option<Vec<String>> {
        self.length = 0;
        if self.place == Place::Start && self.record.is_empty() {
            return None;
        }
        self.end_field();
        Some(std::mem::take(&mut self.record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\"Id\",\"Name\"\n\"1\",\"Müller, \"\"Max\"\"\nSohn\"\r\n\n2,plain\n\"3\",\"\"\n4,";

    #[test]
    fn records_are_the_same_wherever_the_pieces_are_cut() {
        let expected =
            [vec!["Id", "Name"], vec!["1", "Müller, \"Max\"\nSohn"], vec!["2", "plain"], vec!["3", ""], vec!["4", ""]];
        for size in 1..=TEXT.len() {
            let mut reader = Reader::default();
            let mut records = Vec::new();
            for piece in TEXT.as_bytes().chunks(size) {
                records.extend(reader.push(piece).unwrap());
            }
            records.extend(reader.finish());
            assert_eq!(records, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_end_within_quotes_is_no_record_and_a_record_has_an_end() {
        let mut reader = Reader::default();
        assert!(reader.push(b"\"a\",\"b").unwrap().is_empty());
        assert!(reader.is_within());
        assert_eq!(reader.finish(), None);
        assert_eq!(Reader::default().push(&vec![b'x'; MAX_RECORD + 1]), Err(TooLong));
    }
}
