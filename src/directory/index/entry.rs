//! A change as the index takes it in: its texts read, and cut to a length that an org cannot exceed.

use super::super::reading::{Held, held};
use super::super::row::{Change, Row};
use super::id::Id;
use super::key::Key;
use crate::phone::NumberPlan;

/// The longest name in bytes; Salesforce's have at most 255 characters.
const MAX_NAME: usize = 1_020;
/// The longest extension in bytes.
const MAX_EXTENSION: usize = 40;
/// The most numbers of one record.
const MAX_NUMBERS: usize = 255;

pub(super) enum Entry {
    Put(Record),
    Gone(Id),
    Renamed { account: Id, name: String },
}

pub(super) struct Record {
    pub object: String,
    pub id: Id,
    pub name: String,
    /// Name of the account, or the lead's company.
    pub account: Option<String>,
    pub account_id: Option<Id>,
    pub owner: Option<Id>,
    pub person: Option<Id>,
    /// Those that are the same and in a field further behind are left out.
    pub numbers: Vec<Numbered>,
    /// Filled phone fields that hold no number.
    pub junk: u8,
}

/// A number and the field that holds it.
#[derive(PartialEq, Eq)]
pub(super) struct Numbered {
    pub field: String,
    pub key: Key,
    pub extension: Option<String>,
}

impl Entry {
    pub fn read(plan: &NumberPlan, change: Change) -> Self {
        match change {
            Change::Put(row) => Self::Put(Record::read(plan, row)),
            Change::Gone(id) => Self::Gone(Id::of(&id)),
            Change::Renamed { account, name } => Self::Renamed { account: Id::of(&account), name: cut(name, MAX_NAME) },
        }
    }
}

impl Record {
    fn read(plan: &NumberPlan, row: Row) -> Self {
        let mut numbers: Vec<Numbered> = Vec::new();
        let mut junk: u8 = 0;
        for (field, text) in &row.phones {
            let held: Vec<_> = held(plan, text).into_iter().filter_map(key).collect();
            junk = junk.saturating_add(u8::from(held.is_empty()));
            for (key, extension) in held {
                let known = numbers.iter().any(|number| number.key == key && number.extension == extension);
                if !known && numbers.len() < MAX_NUMBERS {
                    numbers.push(Numbered { field: field.clone(), key, extension });
                }
            }
        }
        Self {
            object: row.object,
            id: Id::of(&row.id),
            name: cut(row.name, MAX_NAME),
            account: row.account.map(|name| cut(name, MAX_NAME)),
            account_id: row.account_id.as_ref().map(Id::of),
            owner: row.owner_id.as_ref().map(Id::of),
            person: row.person_contact_id.as_ref().map(Id::of),
            numbers,
            junk,
        }
    }

    /// It has no phone field that is filled.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.junk == 0
    }
}

fn key(held: Held) -> Option<(Key, Option<String>)> {
    match held {
        Held::Number { e164, extension } => {
            Some((Key::number(&e164)?, extension.map(|extension| cut(extension, MAX_EXTENSION))))
        }
        Held::Digits(digits) => Some((Key::digits(&digits)?, None)),
    }
}

fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}
