//! Text that strangers chose, made fit for a record: no control characters, and never longer than the field.

use std::iter::Peekable;
use std::str::Chars;

/// One line: line ends and tabs become spaces, other control characters and overrides of the writing direction go.
pub(super) fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ").trim().to_owned()
}

/// As [`one_line`], with the line ends and tabs kept.
pub(super) fn lines(text: &str) -> String {
    printable(text).trim().to_owned()
}

/// The longest beginning of at most `limit` UTF-16 units, which is how Salesforce's platform counts, in whole characters.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    let mut units = 0;
    let end = text.char_indices().find_map(|(index, character)| {
        units += character.len_utf16();
        (units > limit).then_some(index)
    });
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

fn printable(text: &str) -> String {
    let unified = text.replace("\r\n", "\n");
    let mut rest = unified.chars().peekable();
    let mut kept = String::with_capacity(unified.len());
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => skip_escape(&mut rest),
            '\r' | '\u{2028}' | '\u{2029}' => kept.push('\n'),
            '\n' | '\t' => kept.push(character),
            _ if character.is_control() || turns_direction(character) => {}
            _ => kept.push(character),
        }
    }
    kept
}

/// Embeddings, overrides and isolates (Unicode UAX 9), which can make a text read as another.
fn turns_direction(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A control sequence to its final byte (ECMA-48 section 5.4), or whatever one character follows the escape.
fn skip_escape(rest: &mut Peekable<Chars>) {
    if rest.next_if_eq(&'[').is_none() {
        rest.next_if(char::is_ascii_graphic);
        return;
    }
    while rest.next_if(|next| matches!(next, ' '..='?')).is_some() {}
    rest.next_if(|next| matches!(next, '@'..='~'));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_break_a_line_or_a_terminal_goes() {
        assert_eq!(one_line("Eve\r\nBcc: x\0\u{1b}[31mred\u{1b}[0m \u{202e}gnp\u{2069}\u{7}"), "Eve Bcc: xred gnp");
        assert_eq!(lines(" first\r\nsecond\u{b} "), "first\nsecond");
        assert_eq!(one_line("Jürgen \u{200f}שלום 🙂"), "Jürgen \u{200f}שלום 🙂");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut(&"ü".repeat(300), 255).chars().count(), 255);
        assert_eq!(cut("a🙂b", 2), "a");
        assert_eq!(cut("a🙂b", 3), "a🙂");
        assert_eq!(cut("short", 255), "short");
    }
}
