//! Whether a field's text is found by a word: by its phone digits, or word by word.

use super::{
    PhoneTokens,
    term::{Piece, Term},
};

/// A searched value: as phone digits, or as words.
pub(crate) enum Searched {
    /// Runs of digits without punctuation, split where letters stand between them.
    Phone(Vec<String>),
    Words(Vec<String>),
}

impl Searched {
    pub(crate) fn phone(text: &str) -> Self {
        let runs = text.split(char::is_alphabetic).map(digits);
        Self::Phone(runs.filter(|run| !run.is_empty()).collect())
    }

    pub(crate) fn words(text: &str) -> Self {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric());
        Self::Words(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }
}

/// Whether a record with these values is found.
pub(crate) fn is_found(term: &Term, values: &[Searched], tokens: PhoneTokens) -> bool {
    match term {
        Term::And(parts) => parts.iter().all(|part| is_found(part, values, tokens)),
        Term::Or(parts) => parts.iter().any(|part| is_found(part, values, tokens)),
        Term::Not(part) => !is_found(part, values, tokens),
        Term::Word(pieces) => values.iter().any(|value| match value {
            Searched::Phone(runs) => in_phone(pieces, runs, tokens),
            Searched::Words(words) => in_words(pieces, words),
        }),
    }
}

fn in_phone(pieces: &[Piece], runs: &[String], tokens: PhoneTokens) -> bool {
    let wanted: Vec<Piece> =
        pieces.iter().filter(|piece| !matches!(piece, Piece::Exactly(c) if !c.is_alphanumeric())).copied().collect();
    if wanted.is_empty() {
        return false;
    }
    runs.iter().any(|run| {
        let run: Vec<char> = run.chars().collect();
        match tokens {
            PhoneTokens::ExactDigits => fits(&run, &wanted),
            PhoneTokens::Suffix => (0..run.len()).any(|from| run.get(from..).is_some_and(|tail| fits(tail, &wanted))),
        }
    })
}

/// A phrase is found as its words in a row.
fn in_words(pieces: &[Piece], words: &[String]) -> bool {
    let wanted: Vec<Vec<Piece>> = pieces
        .split(|piece| matches!(piece, Piece::Exactly(c) if !c.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .map(lower)
        .collect();
    if wanted.is_empty() {
        return false;
    }
    words.windows(wanted.len()).any(|window| {
        window.iter().zip(&wanted).all(|(word, wanted)| {
            let word: Vec<char> = word.chars().collect();
            fits(&word, wanted)
        })
    })
}

fn lower(word: &[Piece]) -> Vec<Piece> {
    let lowered = word.iter().map(|piece| match piece {
        Piece::Exactly(c) => Piece::Exactly(c.to_lowercase().next().unwrap_or(*c)),
        Piece::Run | Piece::One => *piece,
    });
    lowered.collect()
}

fn fits(text: &[char], wanted: &[Piece]) -> bool {
    let Some((first, rest)) = wanted.split_first() else {
        return text.is_empty();
    };
    match (first, text.split_first()) {
        (Piece::Run, None) => fits(text, rest),
        (Piece::Run, Some((_, tail))) => fits(text, rest) || fits(tail, wanted),
        (Piece::One, Some((_, tail))) => fits(tail, rest),
        (Piece::Exactly(wanted), Some((found, tail))) => wanted == found && fits(tail, rest),
        (Piece::One | Piece::Exactly(_), None) => false,
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::term, *};

    fn finds(term: &str, phone: &str, tokens: PhoneTokens) -> bool {
        let term = term::read(term).expect("a search term");
        is_found(&term, &[Searched::phone(phone)], tokens)
    }

    #[test]
    fn exact_digits_find_the_whole_number_only() {
        let exact = PhoneTokens::ExactDigits;
        assert!(finds("4155551212", "(415) 555-1212", exact));
        assert!(finds("14155551212", "+1 415.555.1212", exact));
        assert!(finds("4155551212", "415 555 1212 x9", exact));
        assert!(!finds("4155551212", "+1 415 555 1212", exact));
        assert!(!finds("14155551212", "(415) 555-1212", exact));
        assert!(finds("4155*", "(415) 555-1212", exact));
    }

    #[test]
    fn suffixes_are_found_when_the_org_finds_them() {
        let suffix = PhoneTokens::Suffix;
        assert!(finds("4155551212", "+1 415 555 1212", suffix));
        assert!(finds("1212", "+1 415 555 1212", suffix));
        assert!(!finds("14155551212", "(415) 555-1212", suffix));
    }

    #[test]
    fn words_are_found_whole_and_phrases_in_order() {
        let names = [Searched::words("Dr. Anna-Maria Groß")];
        let found = |text: &str| {
            let term = term::read(text).expect("a search term");
            is_found(&term, &names, PhoneTokens::ExactDigits)
        };
        assert!(found("anna AND groß"));
        assert!(found("\"anna maria\""));
        assert!(found("gro*"));
        assert!(!found("gro"));
        assert!(!found("\"maria anna\""));
    }
}
