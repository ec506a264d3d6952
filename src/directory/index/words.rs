//! What many records have in common, each kept once: objects and their fields, beginnings of ids, owners, accounts.

use std::collections::BTreeMap;

use super::card::{Kin, Packed};
use super::id::Id;
use super::pages::{Pages, mix};

/// The most objects and the most fields of one; a number in a field beyond stands under the last one.
const MAX: usize = 255;

#[derive(Default)]
pub(super) struct Words {
    pub objects: Vec<Object>,
    pub kins: Vec<Kin>,
    owners: Vec<Id>,
    owner_numbers: BTreeMap<Id, u32>,
    accounts: Vec<Account>,
    account_numbers: Pages,
}

#[derive(Default)]
pub(super) struct Object {
    pub name: String,
    pub fields: Vec<String>,
}

pub(super) struct Account {
    pub id: Id,
    /// Empty: not known.
    pub name: Box<str>,
}

impl Words {
    /// From what was saved.
    pub fn new(objects: Vec<Object>, kins: Vec<Kin>, owners: Vec<Id>, accounts: Vec<Account>) -> Self {
        let owner_numbers = owners.iter().copied().zip(0..).collect();
        let account_numbers = Pages::build(accounts.iter().map(|account| hash(account.id.words())).zip(0..));
        Self { objects, kins, owners, owner_numbers, accounts, account_numbers }
    }

    /// The object's number; `None` when there are too many.
    pub fn object(&mut self, name: &str) -> Option<u8> {
        let known = self.objects.iter().position(|object| object.name == name);
        let number = known.unwrap_or(self.objects.len());
        if known.is_none() && number < MAX {
            self.objects.push(Object { name: name.to_owned(), fields: Vec::new() });
        }
        u8::try_from(number).ok().filter(|_| number < MAX)
    }

    pub fn field(&mut self, object: u8, name: &str) -> u8 {
        let Some(Object { fields, .. }) = self.objects.get_mut(usize::from(object)) else { return 0 };
        let known = fields.iter().position(|field| field == name);
        if known.is_none() && fields.len() < MAX {
            fields.push(name.to_owned());
        }
        u8::try_from(known.unwrap_or(fields.len() - 1)).unwrap_or_default()
    }

    pub fn pack(&mut self, object: u8, id: Id) -> Packed {
        let (head, tail) = id.split();
        let kin = Kin { object, head };
        let known = self.kins.iter().position(|known| *known == kin);
        let number = known.unwrap_or(self.kins.len());
        match u8::try_from(number) {
            Ok(number) if usize::from(number) < MAX => {
                if known.is_none() {
                    self.kins.push(kin);
                }
                Packed::Kin(number, tail)
            }
            Ok(_) | Err(_) => Packed::Whole { object, id: id.0 },
        }
    }

    pub fn owner(&mut self, id: Id) -> u32 {
        let Self { owners, owner_numbers, .. } = self;
        *owner_numbers.entry(id).or_insert_with(|| {
            owners.push(id);
            u32::try_from(owners.len() - 1).unwrap_or(u32::MAX)
        })
    }

    pub fn owner_id(&self, number: u32) -> Option<Id> {
        self.owners.get(number as usize).copied()
    }

    pub fn owners(&self) -> &[Id] {
        &self.owners
    }

    pub fn account(&mut self, id: Id) -> u32 {
        if let Some(number) = self.number_of_account(&id) {
            return number;
        }
        let number = u32::try_from(self.accounts.len()).unwrap_or(u32::MAX);
        self.accounts.push(Account { id, name: Box::default() });
        self.account_numbers.insert(hash(id.words()), number);
        number
    }

    /// The name of an account that some record has.
    pub fn rename(&mut self, id: &Id, name: &str) {
        let Some(number) = self.number_of_account(id) else { return };
        if let Some(account) = self.accounts.get_mut(number as usize)
            && &*account.name != name
        {
            account.name = name.into();
        }
    }

    pub fn account_at(&self, number: u32) -> Option<&Account> {
        self.accounts.get(number as usize)
    }

    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    fn number_of_account(&self, id: &Id) -> Option<u32> {
        let mut numbers = self.account_numbers.get(hash(id.words()));
        numbers.find(|&number| self.account_at(number).is_some_and(|account| account.id == *id))
    }

    pub fn bytes(&self) -> usize {
        let names: usize = self.accounts.iter().map(|account| account.name.len() + 16).sum();
        let accounts = self.accounts.capacity() * size_of::<Account>() + names + self.account_numbers.bytes();
        accounts + self.owners.len() * 2 * size_of::<(Id, u32)>()
    }
}

/// Of the words of an id.
pub(super) fn hash((head, tail): (u64, u64)) -> u64 {
    mix(tail ^ mix(head))
}
