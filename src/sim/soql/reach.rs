//! Which rows a condition can hold for, so that only those are asked.

use std::ops::RangeInclusive;

use super::{
    bind::Bound,
    parse::{Operator, Order},
    test::{Test, Wanted},
};
use crate::sim::org::{Fields, Org, id};

/// Where to look for rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reach {
    /// These ids alone.
    Ids(Vec<String>),
    /// Those with this value in this external id field.
    External(String, String),
    /// Those stamped in these seconds, after the row of this id in the first of them.
    Stamps(RangeInclusive<i64>, String),
    /// Those with ids greater than this.
    After(String),
}

impl Reach {
    /// The narrowest place that holds every row of the answer; `all` if deleted rows are among them.
    pub(super) fn of(test: Option<&Test>, order: &[Order], all: bool) -> Self {
        let everything = Self::After(String::new());
        let Some(test) = test else {
            return if by_stamp(order) { Self::Stamps(i64::MIN..=i64::MAX, String::new()) } else { everything };
        };
        if let Some(exact) = exact(test, all) {
            return exact;
        }
        let (first, last) = span(test);
        if first != Place::LEAST || last != i64::MAX || by_stamp(order) {
            return Self::Stamps(first.second..=last, first.id);
        }
        greatest_id(test).map_or(everything, Self::After)
    }

    /// Whether its rows come in this order without sorting.
    pub(super) fn is_in(&self, order: &[Order]) -> bool {
        match self {
            Self::Stamps(..) => order.is_empty() || by_stamp(order),
            Self::After(_) => order.is_empty() || matches!(order, [key] if ascends(key, "Id")),
            Self::Ids(_) | Self::External(..) => order.is_empty(),
        }
    }

    /// The rows, deleted ones among them if `all`.
    pub(super) fn rows<'a>(
        &'a self,
        org: &'a Org,
        object: &'a str,
        all: bool,
    ) -> Box<dyn Iterator<Item = &'a std::sync::Arc<Fields>> + 'a> {
        let rows: Box<dyn Iterator<Item = _> + 'a> = match self {
            Self::Ids(ids) => Box::new(ids.iter().filter_map(|id| org.row(object, id))),
            Self::External(field, value) => {
                let ids = org.by_external_id(object, field, value).into_iter();
                Box::new(ids.filter_map(|id| org.row(object, &id)))
            }
            Self::Stamps(seconds, after) => Box::new(org.stamped(object, seconds.clone(), after)),
            Self::After(id) => Box::new(org.rows_after(object, id)),
        };
        Box::new(rows.filter(move |row| all || !row.is_deleted()).map(|row| &row.fields))
    }
}

/// A place in the order of stamps and ids: what comes after it is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    second: i64,
    id: String,
}

impl Place {
    const LEAST: Self = Self { second: i64::MIN, id: String::new() };

    fn of(second: i64, id: &str) -> Self {
        Self { second, id: id.to_owned() }
    }
}

/// After which place the rows of a test lie, and up to which second.
fn span(test: &Test) -> (Place, i64) {
    match test {
        Test::All(parts) => {
            let spans = parts.iter().map(span);
            let widest = (Place::LEAST, i64::MAX);
            let (first, last) = spans.fold(widest, |(first, last), next| (first.max(next.0), last.min(next.1)));
            match greatest_id(test).filter(|_| first.second == last && first.id.is_empty()) {
                Some(id) => (Place::of(last, &id), last),
                None => (first, last),
            }
        }
        Test::Any(parts) => {
            let spans = parts.iter().map(span);
            let spans = spans.reduce(|(first, last), next| (first.min(next.0), last.max(next.1)));
            spans.unwrap_or((Place::LEAST, i64::MAX))
        }
        Test::Compare(bound, operator, wanted) if is_own(bound, "SystemModstamp") => stamps(*operator, wanted),
        Test::Compare(..) | Test::Not(_) => (Place::LEAST, i64::MAX),
    }
}

fn stamps(operator: Operator, wanted: &[Wanted]) -> (Place, i64) {
    let everything = (Place::LEAST, i64::MAX);
    let [Wanted::Moments(from, to)] = wanted else {
        return everything;
    };
    let (first, last) = (from.as_second(), to.as_second());
    match operator {
        Operator::Equal => (Place::of(first, ""), last),
        Operator::Greater | Operator::GreaterOrEqual => (Place::of(first, ""), i64::MAX),
        Operator::Less | Operator::LessOrEqual => (Place::LEAST, last),
        Operator::NotEqual | Operator::Like | Operator::In | Operator::NotIn => everything,
    }
}

/// The id that every row of a test has to follow.
fn greatest_id(test: &Test) -> Option<String> {
    match test {
        Test::All(parts) => parts.iter().filter_map(greatest_id).max(),
        Test::Compare(bound, Operator::Greater, wanted) if is_own(bound, "Id") => match wanted.as_slice() {
            [Wanted::Text(id)] => Some(id.clone()),
            _ => None,
        },
        Test::Compare(..) | Test::Any(_) | Test::Not(_) => None,
    }
}

/// The few rows that a test names by a key, if it does. Deleted rows are not known by external ids, nor are empty ones.
fn exact(test: &Test, all: bool) -> Option<Reach> {
    match test {
        Test::All(parts) => parts.iter().find_map(|part| exact(part, all)),
        Test::Compare(bound, Operator::Equal | Operator::In, wanted) if is_own(bound, "Id") => {
            let mut ids: Vec<String> = wanted.iter().filter_map(text).filter_map(id::normal).collect();
            ids.sort_unstable();
            ids.dedup();
            Some(Reach::Ids(ids))
        }
        Test::Compare(bound, Operator::Equal, wanted) if !all && bound.is_external() => match wanted.as_slice() {
            [Wanted::Text(value)] if !value.is_empty() => Some(Reach::External(bound.leaf.name.clone(), value.clone())),
            _ => None,
        },
        Test::Compare(..) | Test::Any(_) | Test::Not(_) => None,
    }
}

fn text(wanted: &Wanted) -> Option<&str> {
    if let Wanted::Text(text) = wanted { Some(text) } else { None }
}

fn is_own(bound: &Bound, field: &str) -> bool {
    bound.links.is_empty() && bound.leaf.name == field
}

/// `ORDER BY SystemModstamp` or `ORDER BY SystemModstamp, Id`.
fn by_stamp(order: &[Order]) -> bool {
    match order {
        [stamp] => ascends(stamp, "SystemModstamp"),
        [stamp, id] => ascends(stamp, "SystemModstamp") && ascends(id, "Id"),
        _ => false,
    }
}

fn ascends(order: &Order, field: &str) -> bool {
    !order.descending && order.path.text.eq_ignore_ascii_case(field)
}
