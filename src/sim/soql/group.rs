//! `GROUP BY`, and what is computed of several rows: one record for each group, one for all rows where none is asked for.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use serde_json::{Map, Value, json};

use super::{
    bind::{Bound, bind},
    by_value, mixed,
    parse::{Computed, Item, Literal, Operator, Path, Query},
    token,
};
use crate::sim::org::{
    Fields, Org, Refusal,
    schema::{Kind, Object},
};

/// A group: what its rows have in common, and the rows.
struct Group {
    keys: Vec<Value>,
    rows: Vec<Arc<Fields>>,
}

/// Something of a group that is shown, compared or ordered by.
enum Part {
    /// The group's key of this number.
    Key(usize, Bound),
    Computed(String, Bound),
}

struct Groups<'a> {
    org: &'a Org,
    object: &'a Object,
    query: &'a Query,
    keys: Vec<Bound>,
}

/// The records of a query that groups or computes.
pub(super) fn records(org: &Org, object: &Object, query: &Query, rows: &[Arc<Fields>]) -> Result<Vec<Value>, Refusal> {
    let keys = query.group.iter().map(|path| bind(org, object, path, &query.source));
    let groups = Groups { org, object, query, keys: keys.collect::<Result<_, _>>()? };
    let columns = groups.columns()?;
    let having = query
        .having
        .iter()
        .map(|(computed, operator, literal)| Ok((groups.computed(computed)?, *operator, groups.number(literal)?)));
    let having = having.collect::<Result<Vec<_>, Refusal>>()?;
    let order = query.order.iter().map(|order| {
        let computed = Computed { function: order.function.clone(), path: order.path.clone() };
        let part = if order.function.is_empty() { groups.key(&order.path)? } else { groups.computed(&computed)? };
        Ok((part, (order.descending, order.nulls_last)))
    });
    let order = order.collect::<Result<Vec<_>, Refusal>>()?;

    let mut found = groups.of(rows);
    found.retain(|group| {
        having.iter().all(|(part, operator, wanted)| holds(&groups.value(part, group), *operator, *wanted))
    });
    found.sort_by(|a, b| {
        let by_part =
            order.iter().map(|(part, how)| by_value(kind(part), &groups.value(part, a), &groups.value(part, b), *how));
        by_part.fold(Ordering::Equal, Ordering::then)
    });
    let found = found.iter().skip(query.offset).take(query.limit.unwrap_or(usize::MAX));
    Ok(found.map(|group| groups.record(&columns, group)).collect())
}

impl Groups<'_> {
    fn of(&self, rows: &[Arc<Fields>]) -> Vec<Group> {
        if self.keys.is_empty() {
            return vec![Group { keys: Vec::new(), rows: rows.to_vec() }];
        }
        let (mut groups, mut places): (Vec<Group>, HashMap<String, usize>) = (Vec::new(), HashMap::new());
        for row in rows {
            let keys: Vec<Value> = self.keys.iter().map(|key| key.value(self.org, row).into_owned()).collect();
            let place = *places.entry(json!(keys).to_string()).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.rows.push(row.clone()),
                None => groups.push(Group { keys, rows: vec![row.clone()] }),
            }
        }
        groups
    }

    /// The names under which a record shows its parts.
    fn columns(&self) -> Result<Vec<(String, Part)>, Refusal> {
        let (mut columns, mut unnamed) = (Vec::new(), 0);
        for item in &self.query.items {
            match item {
                Item::Field(path) => {
                    let part = self.key(path)?;
                    let Part::Key(_, bound) = &part else { continue };
                    columns.push((bound.leaf.name.clone(), part));
                }
                Item::Aggregate(computed, alias) => {
                    let name = alias.clone().unwrap_or_else(|| format!("expr{unnamed}"));
                    unnamed += usize::from(alias.is_none());
                    columns.push((name, self.computed(computed)?));
                }
                Item::CountAll | Item::Everything | Item::Children(_) => return Err(mixed(self.query)),
            }
        }
        Ok(columns)
    }

    fn key(&self, path: &Path) -> Result<Part, Refusal> {
        let place = self.query.group.iter().position(|key| key.text.eq_ignore_ascii_case(&path.text));
        let known = place.and_then(|place| Some(Part::Key(place, self.keys.get(place)?.clone())));
        known.ok_or_else(|| {
            let what = format!("Field must be grouped or aggregated: {}", path.text);
            token::malformed(&self.query.source, path.at, &what)
        })
    }

    fn computed(&self, computed: &Computed) -> Result<Part, Refusal> {
        let bound = bind(self.org, self.object, &computed.path, &self.query.source)?;
        Ok(Part::Computed(computed.function.clone(), bound))
    }

    fn number(&self, literal: &Literal) -> Result<f64, Refusal> {
        if let Literal::Number(number) = literal {
            return Ok(*number);
        }
        Err(token::malformed(&self.query.source, 0, "HAVING compares with numbers here"))
    }

    fn record(&self, columns: &[(String, Part)], group: &Group) -> Value {
        let mut record = Map::new();
        record.insert("attributes".to_owned(), json!({"type": "AggregateResult"}));
        record.extend(columns.iter().map(|(name, part)| (name.clone(), self.value(part, group))));
        record.into()
    }

    fn value(&self, part: &Part, group: &Group) -> Value {
        match part {
            Part::Key(place, _) => group.keys.get(*place).cloned().unwrap_or_default(),
            Part::Computed(function, bound) => compute(self.org, function, bound, &group.rows),
        }
    }
}

fn compute(org: &Org, function: &str, bound: &Bound, rows: &[Arc<Fields>]) -> Value {
    let mut values: Vec<Value> = rows.iter().map(|row| bound.value(org, row).into_owned()).collect();
    values.retain(|value| !value.is_null());
    let sum = || values.iter().filter_map(Value::as_f64).sum::<f64>();
    match function {
        "COUNT" => values.len().into(),
        "SUM" if !values.is_empty() => whole(sum()),
        "AVG" if !values.is_empty() => {
            let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
            (sum() / f64::from(count)).into()
        }
        "SUM" | "AVG" => Value::Null,
        _ => {
            values.sort_by(|a, b| by_value(&bound.leaf.kind, a, b, (false, false)));
            match function {
                "MIN" => values.first().cloned().unwrap_or_default(),
                "MAX" => values.last().cloned().unwrap_or_default(),
                _ => {
                    values.dedup();
                    values.len().into()
                }
            }
        }
    }
}

/// A sum of whole numbers is shown as one.
fn whole(sum: f64) -> Value {
    format!("{sum:.0}").parse::<i64>().ok().filter(|_| sum.fract() == 0.0).map_or_else(|| sum.into(), Value::from)
}

fn kind(part: &Part) -> &Kind {
    match part {
        Part::Key(_, bound) | Part::Computed(_, bound) => &bound.leaf.kind,
    }
}

fn holds(value: &Value, operator: Operator, wanted: f64) -> bool {
    let Some(value) = value.as_f64() else {
        return false;
    };
    let order = value.total_cmp(&wanted);
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
        Operator::Like | Operator::In | Operator::NotIn => false,
    }
}
