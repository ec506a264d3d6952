//! The search expression between the braces of FIND: words, phrases, wildcards, AND, OR, AND NOT, parentheses.

use super::refuse;
use crate::sim::org::Refusal;

/// What is searched for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Term {
    /// One word or quoted phrase, its escapes resolved.
    Word(Vec<Piece>),
    And(Vec<Term>),
    Or(Vec<Term>),
    Not(Box<Term>),
}

/// A part of a word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Piece {
    Exactly(char),
    /// `*`
    Run,
    /// `?`
    One,
}

impl Term {
    /// The numbers of which a record must have one, where the search is for numbers without wildcards.
    pub(crate) fn numbers(&self) -> Option<Vec<String>> {
        match self {
            Self::Word(pieces) => {
                let digits = pieces.iter().map(|piece| match piece {
                    Piece::Exactly(c) if c.is_ascii_digit() => Some(*c),
                    Piece::Exactly(_) | Piece::Run | Piece::One => None,
                });
                digits.collect::<Option<String>>().map(|number| vec![number])
            }
            Self::Or(parts) => {
                let all = parts.iter().map(Self::numbers).collect::<Option<Vec<_>>>()?;
                Some(all.concat())
            }
            Self::And(parts) => parts.iter().find_map(Self::numbers),
            Self::Not(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(Vec<Piece>),
    And,
    Or,
    Not,
    Open,
    Close,
}

/// Characters that mean something in a search and must be escaped to be themselves.
const RESERVED: &str = "&|!(){}[]^\"~*?:\\'+-";

const DEEPEST: usize = 50;

/// Reads a search expression.
pub(crate) fn read(text: &str) -> Result<Term, Refusal> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Err(refuse("No search term found. The search term must be enclosed in braces."));
    }
    let mut reader = Reader { tokens, next: 0, depth: 0 };
    let term = reader.any()?;
    if reader.next < reader.tokens.len() {
        return Err(refuse("unexpected token in search term"));
    }
    long_enough(&term)?;
    Ok(term)
}

/// Salesforce refuses a search of which a term has fewer than two characters.
fn long_enough(term: &Term) -> Result<(), Refusal> {
    match term {
        Term::Word(pieces) if pieces.len() < 2 => {
            Err(Refusal::new("INVALID_SEARCH", "search term must be longer than one character: "))
        }
        Term::Word(_) => Ok(()),
        Term::And(parts) | Term::Or(parts) => parts.iter().try_for_each(long_enough),
        Term::Not(part) => long_enough(part),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '"' => phrase(rest)?,
            _ => word(rest)?,
        };
        found.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(found)
}

/// A quoted phrase; wildcards act in it as outside.
fn phrase(rest: &str) -> Result<(Token, usize), Refusal> {
    let mut pieces = Vec::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((Token::Word(pieces), at + 1)),
            '\\' => pieces.push(Piece::Exactly(characters.next().map_or('\\', |(_, next)| next))),
            '*' => pieces.push(Piece::Run),
            '?' => pieces.push(Piece::One),
            other => pieces.push(Piece::Exactly(other)),
        }
    }
    Err(refuse("search term has an opening quote without a closing one"))
}

fn word(rest: &str) -> Result<(Token, usize), Refusal> {
    let mut pieces = Vec::new();
    let mut length = rest.len();
    let mut plain = true;
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        if character.is_whitespace() || matches!(character, '(' | ')') {
            length = at;
            break;
        }
        match character {
            '\\' => {
                plain = false;
                let (_, next) = characters.next().ok_or_else(|| refuse("search term ends in a backslash"))?;
                pieces.push(Piece::Exactly(next));
            }
            '*' | '?' if pieces.is_empty() => {
                return Err(refuse("a wildcard cannot begin a search term"));
            }
            '*' => pieces.push(Piece::Run),
            '?' => pieces.push(Piece::One),
            reserved if RESERVED.contains(reserved) => {
                return Err(refuse(&format!("line 1:{at} unexpected token: '{reserved}'")));
            }
            other => pieces.push(Piece::Exactly(other)),
        }
    }
    let text = rest.get(..length).unwrap_or_default();
    Ok((keyword(text, plain).unwrap_or(Token::Word(pieces)), length))
}

fn keyword(text: &str, plain: bool) -> Option<Token> {
    let upper = text.to_ascii_uppercase();
    match upper.as_str() {
        "AND" if plain => Some(Token::And),
        "OR" if plain => Some(Token::Or),
        "NOT" if plain => Some(Token::Not),
        _ => None,
    }
}

struct Reader {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Reader {
    fn any(&mut self) -> Result<Term, Refusal> {
        let mut parts = vec![self.all()?];
        while self.take(&Token::Or) {
            parts.push(self.all()?);
        }
        Ok(joined(parts, Term::Or))
    }

    /// Words side by side must all be there, as with AND.
    fn all(&mut self) -> Result<Term, Refusal> {
        let mut parts = vec![self.one()?];
        loop {
            let and = self.take(&Token::And);
            if self.take(&Token::Not) {
                parts.push(Term::Not(Box::new(self.one()?)));
            } else if and || self.at_operand() {
                parts.push(self.one()?);
            } else {
                return Ok(joined(parts, Term::And));
            }
        }
    }

    fn one(&mut self) -> Result<Term, Refusal> {
        if self.take(&Token::Open) {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(refuse("search term is nested too deeply"));
            }
            let inner = self.any()?;
            self.depth -= 1;
            if self.take(&Token::Close) {
                return Ok(inner);
            }
            return Err(refuse("search term has an opening parenthesis without a closing one"));
        }
        if let Some(Token::Word(pieces)) = self.tokens.get(self.next) {
            let word = Term::Word(pieces.clone());
            self.next += 1;
            return Ok(word);
        }
        Err(refuse("a search term is missing"))
    }

    fn at_operand(&self) -> bool {
        matches!(self.tokens.get(self.next), Some(Token::Word(_) | Token::Open))
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.tokens.get(self.next) == Some(token);
        self.next += usize::from(found);
        found
    }
}

fn joined(mut parts: Vec<Term>, join: fn(Vec<Term>) -> Term) -> Term {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            join(parts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Term {
        Term::Word(text.chars().map(Piece::Exactly).collect())
    }

    #[test]
    fn operators_bind_as_documented() {
        assert_eq!(read("ab OR cd AND ef"), Ok(Term::Or(vec![word("ab"), Term::And(vec![word("cd"), word("ef")])])));
        assert_eq!(read("(ab OR cd) ef"), Ok(Term::And(vec![Term::Or(vec![word("ab"), word("cd")]), word("ef")])));
        assert_eq!(read("ab AND NOT cd"), Ok(Term::And(vec![word("ab"), Term::Not(Box::new(word("cd")))])));
    }

    #[test]
    fn escapes_make_reserved_characters_plain() {
        assert_eq!(read("\\+49\\-30"), Ok(word("+49-30")));
        assert_eq!(read("\"+49 30\""), Ok(word("+49 30")));
    }

    #[test]
    fn what_connectors_get_wrong_is_refused() {
        for text in ["+14155551212", "415-555", "*555", "(ab", "ab)", "\"ab", "", "OR ab"] {
            let code = read(text).expect_err(text).code;
            assert_eq!(code, "MALFORMED_SEARCH", "{text}");
        }
        assert_eq!(read("a").expect_err("short").code, "INVALID_SEARCH");
    }
}
