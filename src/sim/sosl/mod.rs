//! SOSL: `FIND {…} IN … FIELDS RETURNING …` over the rows that the search index knows.

mod matching;
pub(crate) mod term;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::org::{
    Fields, Key, Org, Refusal, Row,
    describe::is_searchable,
    flag,
    schema::{Kind, Object},
};
use super::soql::{
    self, Clock, Shape,
    parse::{Item, Path, Query},
};
use matching::{Searched, is_found};
use term::Term;

/// How the org's index cuts phone numbers; what real orgs do is not settled, so both can be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhoneTokens {
    /// A term finds a number whose digits it is, all of them.
    #[default]
    ExactDigits,
    /// A term also finds a number that ends in it.
    Suffix,
}

/// Which fields are searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scope {
    All,
    Name,
    Email,
    Phone,
}

/// A search, read.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub(crate) term: Term,
    pub(crate) scope: Scope,
    /// One per object; empty: every searchable object, ids only.
    pub(crate) returning: Vec<Query>,
    pub(crate) limit: usize,
}

/// The index that a search runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Index {
    pub(crate) tokens: PhoneTokens,
    pub(crate) lag: SignedDuration,
}

/// More rows than this are never answered.
const MOST: usize = 2000;

/// Reads a search.
pub(crate) fn read(text: &str) -> Result<Search, Refusal> {
    let text = text.trim();
    let rest = keyword(text, "FIND").ok_or_else(|| refuse("unexpected token: expecting 'FIND'"))?;
    let (braced, rest) = braces(rest)?;
    let term = term::read(braced)?;
    let (scope, rest) = scope(rest)?;
    let (returning, rest) = returning(rest)?;
    let (limit, rest) = limit(skip_options(rest))?;
    if !rest.trim().is_empty() {
        return Err(refuse(&format!("unexpected token: '{}'", first_word(rest))));
    }
    Ok(Search { term, scope, returning, limit })
}

/// Runs a search and answers its records, object by object.
pub(crate) fn run(org: &Org, search: &Search, index: Index, clock: &Clock) -> Result<Vec<Value>, Refusal> {
    let everywhere;
    let queries = if search.returning.is_empty() {
        everywhere =
            org.objects().filter(|object| is_searchable(&object.name)).map(|object| ids_of(&object.name)).collect();
        &everywhere
    } else {
        &search.returning
    };
    let mut records = Vec::new();
    for query in queries {
        records.extend(run_one(org, search, query, index, clock)?);
    }
    records.truncate(search.limit.min(MOST));
    // What the user may not see is left out only after the cut, so that it can crowd out what he may.
    records.retain(|record| {
        let url = record.pointer("/attributes/url").and_then(Value::as_str).unwrap_or_default();
        org.shows(&clock.user, url.rsplit('/').next().unwrap_or_default())
    });
    Ok(records)
}

/// The query that selects ids alone.
pub(crate) fn ids_of(object: &str) -> Query {
    Query {
        items: vec![Item::Field(Path { text: "Id".to_owned(), at: 0 })],
        object: object.to_owned(),
        ..Query::default()
    }
}

/// What a search that cannot be read gets.
pub(crate) fn refuse(what: &str) -> Refusal {
    Refusal::new("MALFORMED_SEARCH", what)
}

fn run_one(org: &Org, search: &Search, query: &Query, index: Index, clock: &Clock) -> Result<Vec<Value>, Refusal> {
    let object = org.known(&query.object)?;
    let test = soql::condition(org, &object, query, clock)?;
    let sorting = soql::Sorting::of(org, &object, query)?;
    let rows = candidates(org, search, &object, index.tokens).filter(|row| {
        !row.is_deleted()
            && indexed(row, index, clock.now).is_some_and(|known| finds(search, &object, known, index.tokens))
            && test.as_ref().is_none_or(|test| test.holds(org, &row.fields))
    });
    let mut rows: Vec<&Fields> = rows.map(|row| &*row.fields).collect();
    rows.sort_by(|a, b| sorting.compare(org, a, b));
    let shape = Shape::of(org, &object, query)?;
    Ok(sorting.cut(rows.into_iter()).map(|row| shape.record(org, row)).collect())
}

/// The rows that a search can find: those with the digits of a phone search, else all.
fn candidates<'a>(
    org: &'a Org,
    search: &Search,
    object: &'a Object,
    tokens: PhoneTokens,
) -> Box<dyn Iterator<Item = &'a Row> + 'a> {
    let numbers = if search.scope == Scope::Phone { search.term.numbers() } else { None };
    let Some(numbers) = numbers else {
        return Box::new(org.rows(&object.name));
    };
    let whole = tokens == PhoneTokens::ExactDigits;
    let ids = numbers.iter().flat_map(|digits| org.by_phone(&object.name, digits, whole));
    let ids: BTreeSet<Key> = ids.collect();
    Box::new(ids.into_iter().filter_map(|id| org.row(&object.name, &id)))
}

/// The version of a row that the index knows by now, if any.
fn indexed(row: &Row, index: Index, now: Timestamp) -> Option<&Fields> {
    let known = if now.duration_since(row.written) >= index.lag { Some(&row.fields) } else { row.before.as_ref() };
    known.map(|known| &**known).filter(|fields| !flag(fields, "IsDeleted"))
}

fn finds(search: &Search, object: &Object, row: &Fields, tokens: PhoneTokens) -> bool {
    let values: Vec<Searched> = object
        .fields
        .iter()
        .filter(|field| in_scope(search.scope, &field.name, &field.kind))
        .filter_map(|field| {
            let text = row.get(&field.name)?.as_str()?;
            Some(if field.kind == Kind::Phone { Searched::phone(text) } else { Searched::words(text) })
        })
        .collect();
    is_found(&search.term, &values, tokens)
}

/// Only typed phone fields are in the phone group; a number in a text field is not found there.
fn in_scope(scope: Scope, name: &str, kind: &Kind) -> bool {
    match scope {
        Scope::Phone => *kind == Kind::Phone,
        Scope::Email => *kind == Kind::Email,
        Scope::Name => matches!(name, "Name" | "FirstName" | "LastName" | "Subject" | "CaseNumber"),
        Scope::All => matches!(
            kind,
            Kind::Phone | Kind::Email | Kind::Text(_) | Kind::Area(_) | Kind::Url | Kind::External { .. }
        ),
    }
}

/// The text after a keyword, if it stands there.
fn keyword<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let text = text.trim_start();
    let rest = text.get(word.len()..)?;
    let is_word = text.get(..word.len())?.eq_ignore_ascii_case(word)
        && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    is_word.then_some(rest)
}

/// What is between the braces of FIND, where a backslash hides a brace, and what follows.
fn braces(text: &str) -> Result<(&str, &str), Refusal> {
    let missing = || refuse("No search term found. The search term must be enclosed in braces.");
    let inner = text.trim_start().strip_prefix('{').ok_or_else(missing)?;
    let mut escaped = false;
    for (at, character) in inner.char_indices() {
        if character == '}' && !escaped {
            let rest = inner.get(at + 1..).unwrap_or_default();
            return Ok((inner.get(..at).unwrap_or_default(), rest));
        }
        escaped = character == '\\' && !escaped;
    }
    Err(missing())
}

fn scope(text: &str) -> Result<(Scope, &str), Refusal> {
    let Some(rest) = keyword(text, "IN") else {
        return Ok((Scope::All, text));
    };
    let scopes = [
        ("ALL", Scope::All),
        ("NAME", Scope::Name),
        ("EMAIL", Scope::Email),
        ("PHONE", Scope::Phone),
        ("SIDEBAR", Scope::All),
    ];
    let found = scopes.iter().find_map(|(word, scope)| Some((*scope, keyword(keyword(rest, word)?, "FIELDS")?)));
    found.ok_or_else(|| refuse(&format!("unexpected token: '{}'", first_word(rest))))
}

fn returning(text: &str) -> Result<(Vec<Query>, &str), Refusal> {
    let Some(mut rest) = keyword(text, "RETURNING") else {
        return Ok((Vec::new(), text));
    };
    let mut queries = Vec::new();
    loop {
        let object = first_word(rest);
        if object.is_empty() {
            return Err(refuse("unexpected token: expecting an object after RETURNING"));
        }
        rest = rest.trim_start().get(object.len()..).unwrap_or_default();
        let (query, after) = one_object(object, rest)?;
        queries.push(query);
        match after.trim_start().strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok((queries, after)),
        }
    }
}

fn one_object<'a>(object: &str, rest: &'a str) -> Result<(Query, &'a str), Refusal> {
    let Some(inner) = rest.trim_start().strip_prefix('(') else {
        return Ok((ids_of(object), rest));
    };
    let end = closing(inner).ok_or_else(|| refuse("unexpected token: '<EOF>'"))?;
    let (inside, after) = inner.split_at_checked(end).unwrap_or((inner, ""));
    let query =
        soql::parse::returning(object, inside).map_err(|refusal| Refusal { code: "MALFORMED_SEARCH", ..refusal })?;
    Ok((query, after.get(1..).unwrap_or_default()))
}

/// Where the parenthesis that is already open closes, quoted texts left aside.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => return Some(at),
            ')' if !quoted => depth -= 1,
            _ => {}
        }
    }
    None
}

/// `WITH …` and `UPDATE …` change nothing that we keep.
fn skip_options(text: &str) -> &str {
    let has_options = keyword(text, "WITH").is_some() || keyword(text, "UPDATE").is_some();
    if !has_options {
        return text;
    }
    let upper = text.to_ascii_uppercase();
    let limit = upper.find(" LIMIT ").unwrap_or(text.len());
    text.get(limit..).unwrap_or_default()
}

fn limit(text: &str) -> Result<(usize, &str), Refusal> {
    let Some(rest) = keyword(text, "LIMIT") else {
        return Ok((MOST, text));
    };
    let number = first_word(rest);
    let limit = number.parse().map_err(|_| refuse(&format!("unexpected token: '{number}'")))?;
    let after = rest.trim_start().get(number.len()..).unwrap_or_default();
    Ok((limit, after))
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::org::{Seed, Writer};
    use serde_json::json;

    fn org() -> Org {
        let mut org = Org::new(false);
        let seed = json!({
            "Contact": [
                {"LastName": "Kern", "Phone": "(415) 555-0123", "Account": {"Name": "Kern AG"}},
                {"LastName": "Moll", "MobilePhone": "+1 415 555 0123"},
                {"LastName": "Text", "Title": "4155550123"},
            ],
            "Lead": [{"LastName": "Lot", "Company": "Lot", "Phone": "415.555.0123", "IsConverted": true}],
        });
        let seed = Seed::from_value(seed).expect("a seed");
        org.fill(&seed, &Writer::of("", Timestamp::UNIX_EPOCH)).expect("a good seed");
        org
    }

    fn clock(now: Timestamp) -> Clock {
        Clock { now, zone: jiff::tz::TimeZone::UTC, user: String::new() }
    }

    fn search(text: &str, tokens: PhoneTokens) -> Vec<Value> {
        let index = Index { tokens, lag: SignedDuration::ZERO };
        let search = read(text).expect("a search");
        run(&org(), &search, index, &clock(Timestamp::now())).expect("records")
    }

    #[test]
    fn phones_are_found_in_phone_fields_only() {
        let find = "FIND {4155550123 OR 14155550123} IN PHONE FIELDS RETURNING \
                    Contact(Id, Name, Account.Name ORDER BY Name), Lead(Id WHERE IsConverted = false LIMIT 5) LIMIT 9";
        let found = search(find, PhoneTokens::ExactDigits);
        let names: Vec<_> = found.iter().filter_map(|r| r.get("Name")?.as_str()).collect();
        assert_eq!(names, ["Kern", "Moll"]);
        assert_eq!(found.len(), 2);
        assert_eq!(found.first().and_then(|r| r.pointer("/Account/Name")), Some(&json!("Kern AG")));
    }

    #[test]
    fn the_token_mode_decides_about_a_missing_country_code() {
        let find = "find {4155550123} in phone fields returning Contact";
        assert_eq!(search(find, PhoneTokens::ExactDigits).len(), 1);
        assert_eq!(search(find, PhoneTokens::Suffix).len(), 2);
    }

    #[test]
    fn rows_written_just_now_wait_for_the_index() {
        let index = Index { tokens: PhoneTokens::ExactDigits, lag: SignedDuration::from_secs(60) };
        let find = read("FIND {4155550123} RETURNING Contact").expect("a search");
        let at = |second: i64| clock(Timestamp::from_second(second).expect("a time"));
        assert_eq!(run(&org(), &find, index, &at(59)).expect("records").len(), 0);
        assert_eq!(run(&org(), &find, index, &at(60)).expect("records").len(), 2);
    }

    #[test]
    fn malformed_searches_are_refused() {
        for text in [
            "FIND 4155550123",
            "FIND {} RETURNING Contact",
            "FIND {ab} IN FAX FIELDS",
            "FIND {ab} RETURNING",
            "FIND {ab} RETURNING Contact(Id",
            "FIND {ab} RETURNING Contact(Id WHERE)",
            "FIND {ab} LIMIT x",
            "SELECT Id FROM Contact",
        ] {
            assert_eq!(read(text).expect_err(text).code, "MALFORMED_SEARCH", "{text}");
        }
    }
}
