//! The content of an index: cards, and the tables that find them by number and by id.

use super::super::answer::Match;
use super::super::rank::Candidate;
use super::super::reading::{Fit, Wanted};
use super::Memory;
use super::card::{self, Card, Details, Number, Packed};
use super::entry::{Entry, Record};
use super::id::Id;
use super::key::Key;
use super::pages::{Pages, mix};
use super::shelf::Shelf;
use super::words::{Words, hash};

/// The most candidates of one number. Of more, the best by fit and then by id.
const MAX_CANDIDATES: usize = 1_000;

#[derive(Default)]
pub(super) struct Store {
    pub shelf: Shelf,
    pub words: Words,
    numbers: Pages,
    ids: Pages,
    pub counts: Counts,
    /// The chunk that is being emptied, and how far that is.
    emptying: Option<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub possible_only: u64,
    pub junk: u64,
}

/// A record that has a number, by its best field.
struct Hit {
    place: u32,
    fit: Fit,
    /// Which of the record's numbers.
    nth: usize,
    field: u8,
}

impl Store {
    /// From what was saved. `None` when the shelf is not made of whole cards.
    pub fn new(shelf: Shelf, words: Words) -> Option<Self> {
        let mut store = Self { shelf, words, ..Self::default() };
        let (numbers, ids) = std::thread::scope(|scope| {
            let ids = scope.spawn(|| store.table_of_ids());
            (store.table_of_numbers(), ids.join())
        });
        (store.numbers, store.counts) = numbers;
        store.ids = ids.ok()??;
        Some(store)
    }

    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Put(record) => self.put(&record),
            Entry::Gone(id) => self.remove(&id),
            Entry::Renamed { account, name } => self.words.rename(&account, &name),
        }
    }

    fn put(&mut self, record: &Record) {
        if record.object == "Account" {
            self.words.rename(&record.id, &record.name);
        }
        if record.is_empty() {
            return self.remove(&record.id);
        }
        let Some(card) = self.card(record) else { return };
        if self.place(&record.id).is_some_and(|place| self.card_at(place) == Some(&card)) {
            return;
        }
        self.remove(&record.id);
        if let Some(place) = self.shelf.add(&card) {
            self.enter(place, &card, record.id);
        }
    }

    fn card(&mut self, record: &Record) -> Option<Vec<u8>> {
        let words = &mut self.words;
        let object = words.object(&record.object)?;
        let account = record.account_id.map(|id| words.account(id));
        if let (Some(id), Some(name)) = (&record.account_id, &record.account) {
            words.rename(id, name);
        }
        let details = Details {
            account,
            owner: record.owner.map(|id| words.owner(id)),
            // Its object is of no matter; it is a contact.
            person: record.person.map(|id| words.pack(object, id)),
            company: record.account.as_ref().filter(|_| account.is_none()).map(String::as_bytes),
            name: record.name.as_bytes(),
        };
        let numbers: Vec<Number<'_>> = record
            .numbers
            .iter()
            .map(|number| Number {
                key: number.key,
                field: words.field(object, &number.field),
                extension: number.extension.as_ref().map(String::as_bytes),
            })
            .collect();
        Some(card::write(words.pack(object, record.id), record.junk, &numbers, &details))
    }

    fn enter(&mut self, place: u32, card: &[u8], id: Id) {
        let Some(card) = Card::read(card) else { return };
        for number in card.numbers() {
            self.numbers.insert(mix(number.key.bits()), place);
            self.counts.possible_only += u64::from(number.key.is_digits());
        }
        self.counts.junk += u64::from(card.junk);
        self.ids.insert(hash(id.words()), place);
    }

    fn remove(&mut self, id: &Id) {
        if let Some(place) = self.place(id) {
            self.take_out(place, id);
        }
    }

    fn take_out(&mut self, place: u32, id: &Id) {
        let Some((card, bytes)) = self.shelf.get(place) else { return };
        let Some(whole) = card.whole() else { return };
        let length = bytes.len() - whole.rest.len();
        for number in card.numbers() {
            self.numbers.remove(mix(number.key.bits()), place);
            self.counts.possible_only -= u64::from(number.key.is_digits());
        }
        self.counts.junk -= u64::from(card.junk);
        self.ids.remove(hash(id.words()), place);
        self.shelf.kill(place, length);
    }

    /// Empties chunks that are mostly dead, so many cards at a time.
    pub fn tidy(&mut self, cards: usize) {
        let next = || Some((self.shelf.next_worn()?, 0));
        let Some((chunk, from)) = self.emptying.take().or_else(next) else { return };
        let mut to = from;
        let mut living = Vec::new();
        for (place, card, bytes) in self.shelf.cards(chunk, from).take(cards) {
            to += bytes.len();
            if let Some(id) = card.id.id(&self.words.kins).filter(|_| !card.is_dead()) {
                living.push((place, id, bytes.to_vec()));
            }
        }
        if to == from {
            return self.shelf.release(chunk);
        }
        for (place, id, card) in living {
            let Some(other) = self.shelf.add(&card) else { return };
            self.take_out(place, &id);
            self.enter(other, &card, id);
        }
        self.emptying = Some((chunk, to));
    }

    fn place(&self, id: &Id) -> Option<u32> {
        self.ids.get(hash(id.words())).find(|&place| self.id(place).as_ref() == Some(id))
    }

    pub fn id(&self, place: u32) -> Option<Id> {
        self.shelf.get(place)?.0.id.id(&self.words.kins)
    }

    fn card_at(&self, place: u32) -> Option<&[u8]> {
        let (card, bytes) = self.shelf.get(place)?;
        bytes.get(..bytes.len() - card.whole()?.rest.len())
    }

    /// The records of an object in one chunk.
    pub fn ids_in(&self, chunk: usize, object: &str) -> Vec<Id> {
        let Some(wanted) = self.words.objects.iter().position(|known| known.name == object) else {
            return Vec::new();
        };
        let kins = &self.words.kins;
        let cards = self.shelf.cards(chunk, 0).map(|(_, card, _)| card).filter(|card| !card.is_dead());
        cards
            .filter(|card| card.id.object(kins).map(usize::from) == Some(wanted))
            .filter_map(|card| card.id.id(kins))
            .collect()
    }

    /// Calls for each record with this very number: with its place and card, and which of its numbers it is.
    pub fn each_with(&self, key: Key, mut each: impl FnMut((u32, &Card<'_>), usize, Number<'_>)) {
        for place in self.numbers.get(mix(key.bits())) {
            let Some((card, _)) = self.shelf.get(place) else { continue };
            for (nth, number) in card.numbers().enumerate().filter(|(_, number)| number.key == key) {
                each((place, &card), nth, number);
            }
        }
    }

    /// The records that have the number, in no order.
    pub fn candidates(&self, wanted: &Wanted<'_>, always: Option<&Id>) -> Vec<Candidate> {
        let mut hits = self.hits(wanted);
        // The best field of each record first, and of equal ones the first.
        hits.sort_unstable_by_key(|hit| (hit.place, hit.fit, hit.nth));
        hits.dedup_by_key(|hit| hit.place);
        if hits.len() > MAX_CANDIDATES {
            hits.sort_by_cached_key(|hit| {
                let id = self.id(hit.place);
                (id.as_ref() != always, hit.fit, id)
            });
            hits.truncate(MAX_CANDIDATES);
        }
        hits.iter().filter_map(|hit| self.candidate(hit)).collect()
    }

    fn hits(&self, wanted: &Wanted<'_>) -> Vec<Hit> {
        let mut hits = Vec::new();
        if let Some(key) = wanted.number().e164().and_then(Key::number) {
            let asked = wanted.number().extension();
            self.each_with(key, |(place, _), nth, number| {
                let stored = number.extension.and_then(|extension| std::str::from_utf8(extension).ok());
                hits.push(Hit { place, fit: Fit::of_extensions(asked, stored), nth, field: number.field });
            });
        }
        if self.counts.possible_only > 0 {
            for key in wanted.spellings().iter().filter_map(|digits| Key::digits(digits)) {
                self.each_with(key, |(place, _), nth, number| {
                    hits.push(Hit { place, fit: Fit::Digits, nth, field: number.field });
                });
            }
        }
        hits
    }

    fn candidate(&self, hit: &Hit) -> Option<Candidate> {
        let (card, _) = self.shelf.get(hit.place)?;
        let details = card.whole()?.details;
        let words = &self.words;
        let object = words.objects.get(usize::from(card.id.object(&words.kins)?))?;
        let record = |id: Packed| id.id(&words.kins)?.record();
        let account = details.account.and_then(|number| words.account_at(number));
        let company = details.company.map(text);
        let found = Match {
            object: object.name.clone(),
            id: record(card.id)?,
            name: text(details.name),
            account: account.map(|account| account.name.to_string()).filter(|name| !name.is_empty()).or(company),
            account_id: account.and_then(|account| account.id.record()),
            owner_id: details.owner.and_then(|number| words.owner_id(number)?.record()),
            person_contact_id: details.person.and_then(record),
            field: object.fields.get(usize::from(hit.field)).cloned().unwrap_or_default(),
            exactness: hit.fit.exactness(),
            group: 0,
            class: 0,
            reason: String::new(),
        };
        Some(Candidate { fit: hit.fit, found })
    }

    fn cards(&self) -> impl Iterator<Item = (u32, Card<'_>)> {
        let all = (0..self.shelf.chunks()).flat_map(|chunk| self.shelf.cards(chunk, 0));
        all.map(|(place, card, _)| (place, card)).filter(|(_, card)| !card.is_dead())
    }

    fn table_of_numbers(&self) -> (Pages, Counts) {
        let mut counts = Counts::default();
        let numbers = self.cards().flat_map(|(place, card)| {
            counts.junk += u64::from(card.junk);
            card.numbers().map(move |number| (place, number.key))
        });
        let mut possible_only = 0;
        let table = Pages::build(numbers.map(|(place, key)| {
            possible_only += u64::from(key.is_digits());
            (mix(key.bits()), place)
        }));
        (table, Counts { possible_only, ..counts })
    }

    /// `None` when the chunks are not made of whole cards.
    fn table_of_ids(&self) -> Option<Pages> {
        let mut length = 0;
        let cards = (0..self.shelf.chunks()).flat_map(|chunk| self.shelf.cards(chunk, 0));
        let table = Pages::build(cards.filter_map(|(place, card, bytes)| {
            length += bytes.len();
            Some((hash(card.id.words(&self.words.kins)?), place))
        }));
        (length == self.shelf.length()).then_some(table)
    }

    pub fn numbers(&self) -> usize {
        self.numbers.len()
    }

    pub fn records(&self) -> usize {
        self.ids.len()
    }

    pub fn bytes(&self) -> usize {
        self.shelf.bytes() + self.numbers.bytes() + self.ids.bytes() + self.words.bytes()
    }

    pub fn memory(&self) -> Memory {
        let ways = |(_, card): (u32, Card<'_>)| card.way_bytes();
        let ways: usize = self.cards().map(ways).sum();
        Memory {
            numbers: (self.numbers.bytes() + ways) as u64,
            ids: self.ids.bytes() as u64,
            details: (self.shelf.bytes() - ways + self.words.bytes()) as u64,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
