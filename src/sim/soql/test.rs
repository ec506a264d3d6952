//! Conditions: checked against the kinds of their fields, then asked of rows.

use std::cmp::Ordering;

use jiff::{Timestamp, civil::Date};
use serde_json::Value;

use super::{
    Clock,
    bind::{Bound, bind},
    parse::{Condition, Literal, Operator, Path, Query},
    range,
    token::marked,
};
use crate::sim::org::{
    Fields, Org, Refusal, id,
    schema::{Kind, Object},
    time,
};

/// A condition whose fields are known and whose literals fit them.
#[derive(Debug)]
pub(crate) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Compare(Bound, Operator, Vec<Wanted>),
}

/// A literal in the form that rows are compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// From the first to before the second; a single moment has both alike.
    Moments(Timestamp, Timestamp),
    Days(Date, Date),
}

/// Prepares a condition for `object`.
pub(crate) fn prepare(
    org: &Org,
    object: &Object,
    condition: &Condition,
    source: &str,
    clock: &Clock,
) -> Result<Test, Refusal> {
    let inner = |condition: &Condition| prepare(org, object, condition, source, clock);
    Ok(match condition {
        Condition::And(parts) => Test::All(parts.iter().map(inner).collect::<Result<_, _>>()?),
        Condition::Or(parts) => Test::Any(parts.iter().map(inner).collect::<Result<_, _>>()?),
        Condition::Not(part) => Test::Not(Box::new(inner(part)?)),
        Condition::Compare(path, operator, literals) => {
            let bound = bind(org, object, path, source)?;
            let wanted = literals
                .iter()
                .map(|literal| fit(&bound, *operator, literal, path, source, clock))
                .collect::<Result<_, _>>()?;
            Test::Compare(bound, *operator, wanted)
        }
        Condition::SubQuery(path, negated, query) => {
            let bound = bind(org, object, path, source)?;
            let operator = if *negated { Operator::NotIn } else { Operator::In };
            Test::Compare(bound, operator, semi_join(org, query, clock)?)
        }
    })
}

/// The values of a sub-query's one field.
fn semi_join(org: &Org, query: &Query, clock: &Clock) -> Result<Vec<Wanted>, Refusal> {
    let found = super::run(org, query, clock, false)?;
    let records = found.page(org, 0, usize::MAX);
    let values = records.iter().flat_map(|record| {
        let fields = record.as_object().into_iter().flatten();
        fields.filter(|(name, _)| *name != "attributes").map(|(_, value)| value)
    });
    let texts = values.filter_map(Value::as_str);
    Ok(texts.map(|text| Wanted::Text(text.to_owned())).collect())
}

impl Test {
    /// Whether a row fulfils the condition.
    pub(crate) fn holds(&self, org: &Org, row: &Fields) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(org, row)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(org, row)),
            Self::Not(part) => !part.holds(org, row),
            Self::Compare(bound, operator, wanted) => {
                let value = bound.value(org, row);
                compare(&bound.leaf.kind, &value, *operator, wanted)
            }
        }
    }
}

fn compare(kind: &Kind, value: &Value, operator: Operator, wanted: &[Wanted]) -> bool {
    let any = |test: fn(Ordering) -> bool| wanted.iter().any(|wanted| order(kind, value, wanted).is_some_and(test));
    match operator {
        Operator::Equal | Operator::In => any(Ordering::is_eq),
        Operator::NotEqual | Operator::NotIn => !any(Ordering::is_eq),
        Operator::Less => any(Ordering::is_lt),
        Operator::LessOrEqual => any(Ordering::is_le),
        Operator::Greater => any(Ordering::is_gt),
        Operator::GreaterOrEqual => any(Ordering::is_ge),
        Operator::Like => wanted.iter().any(|wanted| is_like(value, wanted)),
    }
}

/// How a value stands to a literal; `None` where they cannot be compared, as with null.
fn order(kind: &Kind, value: &Value, wanted: &Wanted) -> Option<Ordering> {
    if value.is_null() {
        let is_empty = matches!(wanted, Wanted::Null) || *wanted == Wanted::Text(String::new());
        return is_empty.then_some(Ordering::Equal);
    }
    match wanted {
        Wanted::Null => None,
        Wanted::Bool(flag) => Some(value.as_bool()?.cmp(flag)),
        Wanted::Number(number) => value.as_f64()?.partial_cmp(number),
        Wanted::Text(text) => Some(order_text(kind, value.as_str()?, text)),
        Wanted::Moments(first, end) => Some(within(&time::read(value.as_str()?)?, first, end)),
        Wanted::Days(first, end) => Some(within(&time::read_date(value.as_str()?)?, first, end)),
    }
}

fn within<T: Ord>(value: &T, first: &T, end: &T) -> Ordering {
    if value < first {
        Ordering::Less
    } else if value == first || value < end {
        Ordering::Equal
    } else {
        Ordering::Greater
    }
}

/// Texts are compared without case, ids and case-sensitive external ids with it.
fn order_text(kind: &Kind, value: &str, wanted: &str) -> Ordering {
    match kind {
        Kind::Id | Kind::Ref { .. } => id::short(value).cmp(id::short(wanted)),
        Kind::External { .. } => value.cmp(wanted),
        Kind::Text(_)
        | Kind::Area(_)
        | Kind::Phone
        | Kind::Email
        | Kind::Url
        | Kind::Bool
        | Kind::Int
        | Kind::Double
        | Kind::Date
        | Kind::DateTime
        | Kind::Pick { .. } => value.to_lowercase().cmp(&wanted.to_lowercase()),
    }
}

fn is_like(value: &Value, wanted: &Wanted) -> bool {
    let (Some(value), Wanted::Text(pattern)) = (value.as_str(), wanted) else {
        return false;
    };
    let value: Vec<char> = value.to_lowercase().chars().collect();
    like(&value, &pattern_of(&pattern.to_lowercase()))
}

#[derive(Clone, Copy, PartialEq)]
enum Piece {
    Run,
    One,
    Exactly(char),
}

fn pattern_of(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        pieces.push(match character {
            '%' => Piece::Run,
            '_' => Piece::One,
            '\\' => Piece::Exactly(characters.next().unwrap_or('\\')),
            other => Piece::Exactly(other),
        });
    }
    pieces
}

/// Row by row over the pattern: `reached[i]` says whether the first `i` characters are matched so far.
fn like(value: &[char], pattern: &[Piece]) -> bool {
    let mut reached = vec![false; value.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for piece in pattern {
        let mut next = Vec::with_capacity(reached.len());
        let mut run = false;
        for (at, here) in reached.iter().enumerate() {
            run |= here;
            let before = at.checked_sub(1);
            let came = before.and_then(|b| reached.get(b)).copied().unwrap_or(false);
            let character = before.and_then(|b| value.get(b));
            next.push(match piece {
                Piece::Run => run,
                Piece::One => came,
                Piece::Exactly(wanted) => came && character == Some(wanted),
            });
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

/// The literal in the form that its field needs, or the refusal of one that does not fit.
fn fit(
    bound: &Bound,
    operator: Operator,
    literal: &Literal,
    path: &Path,
    source: &str,
    clock: &Clock,
) -> Result<Wanted, Refusal> {
    let kind = &bound.leaf.kind;
    let name = &bound.leaf.name;
    let refuse = |what: String| Refusal::new("INVALID_FIELD", marked(source, path.at, &what));
    if matches!(kind, Kind::Area(_)) {
        return Err(refuse(format!("field '{name}' can not be filtered in a query call")));
    }
    if operator == Operator::Like && !matches!(literal, Literal::Text(_)) {
        return Err(refuse(format!("invalid operator on {} field", word_for(kind))));
    }
    let fitted = match (kind, literal) {
        (_, Literal::Null) => Some(Wanted::Null),
        (Kind::Bool, Literal::Bool(flag)) => Some(Wanted::Bool(*flag)),
        (Kind::Int | Kind::Double, Literal::Number(number)) => Some(Wanted::Number(*number)),
        (Kind::Date, Literal::Moment(text)) if text.len() == 10 => {
            time::read_date(text).map(|day| Wanted::Days(day, day))
        }
        (Kind::Date, Literal::Range(word)) => {
            range::days(word, clock.today()).map(|(first, end)| Wanted::Days(first, end))
        }
        (Kind::DateTime, Literal::Moment(text)) => time::read(text).map(|moment| Wanted::Moments(moment, moment)),
        (Kind::DateTime, Literal::Range(word)) => range::days(word, clock.today())
            .and_then(|(first, end)| Some(Wanted::Moments(clock.midnight(first)?, clock.midnight(end)?))),
        (Kind::Id | Kind::Ref { .. }, Literal::Text(text)) => {
            return fit_id(name, text, operator);
        }
        (
            Kind::Text(_) | Kind::Phone | Kind::Email | Kind::Url | Kind::Pick { .. } | Kind::External { .. },
            Literal::Text(text),
        ) => Some(Wanted::Text(unescaped(text, operator))),
        (
            Kind::Id
            | Kind::Ref { .. }
            | Kind::Text(_)
            | Kind::Area(_)
            | Kind::Phone
            | Kind::Email
            | Kind::Url
            | Kind::Pick { .. }
            | Kind::External { .. }
            | Kind::Bool
            | Kind::Int
            | Kind::Double
            | Kind::Date
            | Kind::DateTime,
            Literal::Bool(_) | Literal::Number(_) | Literal::Text(_) | Literal::Moment(_) | Literal::Range(_),
        ) => None,
    };
    let expected = format!("value of filter criterion for field '{name}' must be of type {}", word_for(kind));
    fitted.ok_or_else(|| refuse(expected))
}

fn fit_id(name: &str, text: &str, operator: Operator) -> Result<Wanted, Refusal> {
    if operator == Operator::Like {
        return Err(Refusal::new("INVALID_FIELD", "invalid operator on id field"));
    }
    if text.is_empty() {
        return Ok(Wanted::Null);
    }
    let full = id::normal(text).ok_or_else(|| {
        let message = format!("invalid ID field: {text} ({name})");
        Refusal::new("INVALID_QUERY_FILTER_OPERATOR", message)
    })?;
    Ok(Wanted::Text(full))
}

/// Outside LIKE an escaped wildcard is the character itself.
fn unescaped(text: &str, operator: Operator) -> String {
    if operator == Operator::Like {
        return text.to_owned();
    }
    text.replace("\\%", "%").replace("\\_", "_")
}

fn word_for(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "boolean",
        Kind::Int => "int",
        Kind::Double => "double",
        Kind::Date => "date and should not be enclosed in quotes",
        Kind::DateTime => "dateTime and should not be enclosed in quotes",
        Kind::Id
        | Kind::Ref { .. }
        | Kind::Text(_)
        | Kind::Area(_)
        | Kind::Phone
        | Kind::Email
        | Kind::Url
        | Kind::Pick { .. }
        | Kind::External { .. } => "string and should be enclosed in quotes",
    }
}

impl Clock {
    fn today(&self) -> Date {
        self.now.to_zoned(self.zone.clone()).date()
    }

    fn midnight(&self, day: Date) -> Option<Timestamp> {
        Some(day.to_zoned(self.zone.clone()).ok()?.timestamp())
    }
}
