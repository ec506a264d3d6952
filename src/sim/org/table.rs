//! The rows of one object, and the indexes by which queries and searches find them without reading all.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::RangeInclusive,
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    Fields, flag,
    schema::{Kind, Object},
    text,
};

/// An id that rows and indexes share.
pub(crate) type Key = Arc<str>;

/// A stored row and what the search index still knows of it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) fields: Arc<Fields>,
    /// The version before the last write, for a search index that lags.
    pub(crate) before: Option<Arc<Fields>>,
    pub(crate) written: Timestamp,
    /// The second of its `SystemModstamp`.
    pub(crate) stamp: i64,
}

impl Row {
    pub(crate) fn is_deleted(&self) -> bool {
        flag(&self.fields, "IsDeleted")
    }
}

/// All rows of an object.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: BTreeMap<Key, Row>,
    live: usize,
    stamps: BTreeSet<(i64, Key)>,
    /// (field, value) of external id fields of rows that are not deleted, to the rows' ids.
    externals: HashMap<(String, String), Vec<Key>>,
    /// The digits of phone fields from the last to the first, of both versions that a search may know.
    phones: BTreeSet<(String, Key)>,
}

impl Table {
    pub(crate) fn row(&self, id: &str) -> Option<&Row> {
        self.rows.get(id)
    }

    /// All rows in the order of their ids.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// The rows whose ids are greater than `after`, in their order.
    pub(crate) fn rows_after(&self, after: &str) -> impl Iterator<Item = &Row> {
        let bounds = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        self.rows.range::<str, _>(bounds).map(|(_, row)| row)
    }

    /// How many rows are not deleted.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// The rows stamped in these seconds, after the row `after` of the first second, in the order of stamp and id.
    pub(crate) fn stamped(&self, seconds: RangeInclusive<i64>, after: &str) -> impl Iterator<Item = &Row> {
        let (first, last) = seconds.into_inner();
        let from = (first, Key::from(after));
        let to = if last < first { from.clone() } else { (last, Key::from("~")) };
        let ids = self.stamps.range((std::ops::Bound::Excluded(from), std::ops::Bound::Included(to)));
        ids.filter_map(|(_, id)| self.rows.get(id))
    }

    /// Ids of the live rows whose external id field has this value.
    pub(crate) fn external(&self, field: &str, value: &str) -> &[Key] {
        self.externals.get(&(field.to_owned(), value.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Ids of rows with a phone number that ends in `digits`, or that has no others.
    pub(crate) fn phones(&self, digits: &str, whole: bool) -> impl Iterator<Item = &Key> {
        let reversed: String = digits.chars().rev().collect();
        let found = self.phones.range((reversed.clone(), Key::from(""))..);
        found
            .take_while(move |(number, _)| if whole { *number == reversed } else { number.starts_with(&reversed) })
            .map(|(_, id)| id)
    }

    /// Puts a row in place, or takes it away, and answers what was there.
    pub(crate) fn put(&mut self, object: &Object, id: &str, row: Option<Row>) -> Option<Row> {
        let old = self.rows.remove(id);
        let key = Key::from(id);
        if let Some(old) = &old {
            self.forget(object, &key, old);
        }
        if let Some(row) = row {
            self.learn(object, &key, &row);
            self.rows.insert(key, row);
        }
        old
    }

    fn learn(&mut self, object: &Object, id: &Key, row: &Row) {
        self.live += usize::from(!row.is_deleted());
        self.stamps.insert((row.stamp, id.clone()));
        for external in externals(object, row) {
            self.externals.entry(external).or_default().push(id.clone());
        }
        self.phones.extend(numbers(object, row).map(|number| (number, id.clone())));
    }

    fn forget(&mut self, object: &Object, id: &Key, row: &Row) {
        self.live -= usize::from(!row.is_deleted());
        self.stamps.remove(&(row.stamp, id.clone()));
        for external in externals(object, row) {
            if let Some(ids) = self.externals.get_mut(&external) {
                ids.retain(|known| known != id);
                if ids.is_empty() {
                    self.externals.remove(&external);
                }
            }
        }
        for number in numbers(object, row) {
            self.phones.remove(&(number, id.clone()));
        }
    }
}

fn externals<'a>(object: &'a Object, row: &'a Row) -> impl Iterator<Item = (String, String)> + 'a {
    let fields = object.fields.iter().filter(|_| !row.is_deleted());
    fields
        .filter(|field| matches!(field.kind, Kind::External { .. }))
        .filter_map(|field| Some((field.name.clone(), text(&row.fields, &field.name)?.to_owned())))
}

/// Runs of digits in the phone fields, reversed, split where letters stand between them.
fn numbers<'a>(object: &'a Object, row: &'a Row) -> impl Iterator<Item = String> + 'a {
    let versions = [Some(&row.fields), row.before.as_ref()];
    let phones = object.fields.iter().filter(|field| field.kind == Kind::Phone);
    let values = phones.flat_map(move |field| versions.map(|version| text(version?, &field.name)));
    values
        .flatten()
        .flat_map(|number| number.split(char::is_alphabetic))
        .map(|run| run.chars().filter(char::is_ascii_digit).rev().collect::<String>())
        .filter(|run| !run.is_empty())
}
