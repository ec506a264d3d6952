//! The content of an index as bytes: the words first, then the cards, chunk by chunk. The tables are made anew.

use std::io::{self, Read, Write};

use super::Index;
use super::bytes::{Rest, put_length, put_text};
use super::card::Kin;
use super::id::Id;
use super::shelf::{CHUNK, Shelf};
use super::store::Store;
use super::words::{Account, Object, Words};
use crate::phone::NumberPlan;

/// The most bytes of words: some ten million accounts.
const MAX_WORDS: u32 = 1 << 30;

/// Why bytes are no index.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum Unreadable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not made of whole cards")]
    Torn,
    #[error("its numbers were read by another number plan")]
    OtherPlan,
}

/// Of an index that was saved.
pub(in super::super) struct Content {
    shelf: Shelf,
    objects: Vec<Object>,
    kins: Vec<Kin>,
    owners: Vec<Id>,
    accounts: Vec<Account>,
}

impl Index {
    /// Writes all that is in it. Look-ups go on; changes wait.
    pub(in super::super) fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let _turn = self.turn();
        let words = words_to_bytes(&name(&self.0.plan), &self.read().words);
        put_block(out, &words)?;
        let chunks = self.read().shelf.chunks();
        for chunk in 0..chunks {
            let mut living = Vec::new();
            for (_, _, card) in self.read().shelf.cards(chunk, 0).filter(|(_, card, _)| !card.is_dead()) {
                living.extend_from_slice(card);
            }
            if !living.is_empty() {
                put_block(out, &living)?;
            }
        }
        put_block(out, &[])
    }
}

impl Content {
    pub(in super::super) fn read(plan: &NumberPlan, from: &mut impl Read) -> Result<Self, Unreadable> {
        let words = block(from, MAX_WORDS)?;
        let mut rest = Rest(&words);
        if rest.string().ok_or(Unreadable::Torn)? != name(plan) {
            return Err(Unreadable::OtherPlan);
        }
        let mut content = Self::of_words(&mut rest).ok_or(Unreadable::Torn)?;
        loop {
            let chunk = block(from, u32::MAX)?;
            if chunk.is_empty() {
                return Ok(content);
            }
            if !content.shelf.restore(chunk) {
                return Err(Unreadable::Torn);
            }
        }
    }

    fn of_words(rest: &mut Rest<'_>) -> Option<Self> {
        let content = Self {
            shelf: Shelf::default(),
            objects: many(rest, |rest| Some(Object { name: rest.string()?, fields: many(rest, Rest::string)? }))?,
            kins: many(rest, |rest| Some(Kin { object: rest.byte()?, head: rest.array()? }))?,
            owners: many(rest, |rest| rest.array().map(Id))?,
            accounts: many(rest, |rest| Some(Account { id: Id(rest.array()?), name: rest.string()?.into() }))?,
        };
        rest.0.is_empty().then_some(content)
    }

    /// Makes the tables: takes most of the time.
    pub(super) fn store(self) -> Result<Store, Unreadable> {
        let words = Words::new(self.objects, self.kins, self.owners, self.accounts);
        Store::new(self.shelf, words).ok_or(Unreadable::Torn)
    }
}

/// What the reading of a phone field depends on.
fn name(plan: &NumberPlan) -> String {
    format!("{plan:?}")
}

fn put_block(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(bytes)
}

fn block(from: &mut impl Read, most: u32) -> Result<Vec<u8>, Unreadable> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > most {
        return Err(Unreadable::Torn);
    }
    let mut bytes = Vec::with_capacity(CHUNK.min(length as usize));
    from.take(u64::from(length)).read_to_end(&mut bytes)?;
    if bytes.len() == length as usize { Ok(bytes) } else { Err(Unreadable::Torn) }
}

fn words_to_bytes(plan: &str, words: &Words) -> Vec<u8> {
    let mut out = Vec::new();
    put_text(&mut out, plan.as_bytes());
    let count = |out: &mut Vec<u8>, count: usize| put_length(out, u32::try_from(count).unwrap_or(u32::MAX));
    count(&mut out, words.objects.len());
    for object in &words.objects {
        put_text(&mut out, object.name.as_bytes());
        count(&mut out, object.fields.len());
        object.fields.iter().for_each(|field| put_text(&mut out, field.as_bytes()));
    }
    count(&mut out, words.kins.len());
    for kin in &words.kins {
        out.push(kin.object);
        out.extend(kin.head);
    }
    count(&mut out, words.owners().len());
    words.owners().iter().for_each(|owner| out.extend(owner.0));
    count(&mut out, words.accounts().len());
    for account in words.accounts() {
        out.extend(account.id.0);
        put_text(&mut out, account.name.as_bytes());
    }
    out
}

fn many<'a, T>(rest: &mut Rest<'a>, one: impl Fn(&mut Rest<'a>) -> Option<T>) -> Option<Vec<T>> {
    let count = rest.length()?;
    (0..count).map(|_| one(rest)).collect()
}
