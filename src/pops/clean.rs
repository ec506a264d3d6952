//! Text from outside made safe to show: no control characters, no terminal codes, no reversed writing, no length without end.

/// Takes out what a screen, a terminal or a stream could be fooled with and keeps at most `most` characters.
///
/// Line breaks and tabs become spaces; terminal codes (ECMA-48 section 5.4), other control characters and the marks that turn the
/// direction of writing (Unicode UAX #9 section 2) go.
pub fn clean(text: &str, most: usize) -> String {
    let mut cleaned = String::new();
    let mut characters = text.chars();
    let mut length = 0;
    while length < most {
        let Some(character) = characters.next() else {
            break;
        };
        if character == '\u{1b}' {
            skip_terminal_code(&mut characters);
        } else if let Some(safe) = safe(character) {
            cleaned.push(safe);
            length += 1;
        }
    }
    cleaned.trim().to_owned()
}

/// As [`clean`], and nothing where nothing is left.
pub(super) fn clean_or_none(text: Option<&str>, most: usize) -> Option<String> {
    text.map(|text| clean(text, most)).filter(|text| !text.is_empty())
}

fn safe(character: char) -> Option<char> {
    match character {
        '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        other if other.is_control() || is_unseen(other) => None,
        other => Some(other),
    }
}

/// Marks without a shape that turn the direction of writing or hide text.
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Behind an escape: `[`, parameters, and the final byte that ends a control sequence.
fn skip_terminal_code(characters: &mut std::str::Chars<'_>) {
    let mut ahead = characters.clone();
    if ahead.next() != Some('[') {
        return;
    }
    while let Some(character) = ahead.next() {
        match character {
            '\u{20}'..='\u{3f}' => {}
            '\u{40}'..='\u{7e}' => {
                *characters = ahead;
                return;
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_breaks_a_line_or_turns_it_round_is_left() {
        assert_eq!(clean("Eve\r\ndata: x\0\u{7}", 80), "Eve  data: x");
        assert_eq!(clean("\u{1b}[31;1mred\u{1b}[0m \u{1b}x", 80), "red x");
        assert_eq!(clean("\u{202e}drowssap\u{2066}!", 80), "drowssap!");
        assert_eq!(clean("cut \u{1b}[99", 80), "cut [99");
    }

    #[test]
    fn ordinary_names_stay_and_long_ones_end() {
        assert_eq!(clean("Jürgen O'Neill <b> 山田", 80), "Jürgen O'Neill <b> 山田");
        assert_eq!(clean(&"é".repeat(10_000), 200).chars().count(), 200);
    }
}
