//! Splits a query into words, texts, numbers, moments and signs, each with where it stands.

use crate::sim::org::Refusal;

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A name, keyword or date literal; may hold dots, and a colon before digits.
    Word(String),
    /// A quoted text, its escapes resolved; `\%` and `\_` keep their backslash for LIKE.
    Text(String),
    Number(f64),
    /// A date or a moment, not yet read.
    Moment(String),
    Sign(&'static str),
}

/// A token and the character that it begins at.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) at: usize,
}

const SIGNS: [&str; 11] = ["!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", ",", "*"];

/// All tokens of `source`.
pub(crate) fn tokens(source: &str) -> Result<Vec<Placed>, Refusal> {
    let characters: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        if character.is_whitespace() {
            at += 1;
            continue;
        }
        let rest = characters.get(at..).unwrap_or_default();
        let (token, length) = one(rest).ok_or_else(|| bad(source, at))?;
        found.push(Placed { token, at });
        at += length;
    }
    Ok(found)
}

/// What a query that cannot be read gets, with the place marked by a caret.
pub(crate) fn malformed(source: &str, at: usize, what: &str) -> Refusal {
    Refusal::new("MALFORMED_QUERY", marked(source, at, what))
}

/// A message with the query, a caret under the place, and the row and column.
pub(crate) fn marked(source: &str, at: usize, what: &str) -> String {
    let start = at.saturating_sub(40);
    let shown: String = source.chars().skip(start).take(80).collect();
    let caret = " ".repeat(at - start);
    format!("\n{shown}\n{caret}^\nERROR at Row:1:Column:{}\n{what}", at + 1)
}

fn bad(source: &str, at: usize) -> Refusal {
    let character = source.chars().nth(at).unwrap_or(' ');
    malformed(source, at, &format!("unexpected token: '{character}'"))
}

fn one(rest: &[char]) -> Option<(Token, usize)> {
    let first = *rest.first()?;
    if first == '\'' {
        return quoted(rest);
    }
    if first.is_ascii_digit() || (matches!(first, '-' | '+' | '.') && rest.get(1)?.is_ascii_digit()) {
        return numeric(rest);
    }
    if first.is_alphabetic() || first == '_' {
        return Some(word(rest));
    }
    let sign = SIGNS.iter().find(|sign| sign.chars().eq(rest.iter().take(sign.len()).copied()))?;
    Some((Token::Sign(sign), sign.len()))
}

fn quoted(rest: &[char]) -> Option<(Token, usize)> {
    let mut text = String::new();
    let mut at = 1;
    loop {
        match rest.get(at)? {
            '\'' => return Some((Token::Text(text), at + 1)),
            '\\' => {
                text.push_str(&escaped(*rest.get(at + 1)?)?);
                at += 2;
            }
            other => {
                text.push(*other);
                at += 1;
            }
        }
    }
}

fn escaped(character: char) -> Option<String> {
    Some(match character {
        'n' | 'N' => "\n".to_owned(),
        'r' | 'R' => "\r".to_owned(),
        't' | 'T' => "\t".to_owned(),
        'b' | 'B' => "\u{8}".to_owned(),
        'f' | 'F' => "\u{c}".to_owned(),
        '\'' | '"' | '\\' => character.to_string(),
        '_' | '%' => format!("\\{character}"),
        _ => return None,
    })
}

fn numeric(rest: &[char]) -> Option<(Token, usize)> {
    let run: String =
        rest.iter().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | ':')).collect();
    let length = run.chars().count();
    let is_moment = run.get(4..5) == Some("-") && run.len() >= 10;
    if is_moment {
        return Some((Token::Moment(run), length));
    }
    run.parse().ok().map(|number| (Token::Number(number), length))
}

fn word(rest: &[char]) -> (Token, usize) {
    let mut length = 0;
    while let Some(&character) = rest.get(length) {
        let is_count = character == ':' && rest.get(length + 1).is_some_and(char::is_ascii_digit);
        if !(character.is_alphanumeric() || matches!(character, '_' | '.') || is_count) {
            break;
        }
        length += 1;
    }
    let name = rest.iter().take(length).collect();
    (Token::Word(name), length)
}
