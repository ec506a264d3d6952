//! A record as the index keeps it: some 40 bytes that hold its id, its numbers and its name, one behind the other.
//!
//! ```text
//! flags(1) id(8, or 17) [junk(1)] number(8..)* [account(1..5)] [owner(1..5)] [person(8, or 17)] [company] name
//! number: head(1) [field(1)] key(7 or 8) [extension]      texts and extensions: length(1..3) bytes
//! ```

use super::bytes::{Rest, put_length, put_text};
use super::id::{HEAD, Id, head_word};
use super::key::Key;

/// Bits of the first byte.
const DEAD: u8 = 1;
const ACCOUNT: u8 = 1 << 1;
const OWNER: u8 = 1 << 2;
const PERSON: u8 = 1 << 3;
const COMPANY: u8 = 1 << 4;
const JUNK: u8 = 1 << 5;
const NO_NUMBERS: u8 = 1 << 6;

/// Bits of a number's head; the lower five are the field.
const LAST: u8 = 1 << 7;
const WIDE: u8 = 1 << 6;
const EXTENSION: u8 = 1 << 5;
/// The field stands in the next byte.
const FAR_FIELD: u8 = 31;

/// An id whose head is none of the known ones is written out.
const WHOLE: u8 = u8::MAX;

/// Bytes of a card before its id.
const FLAGS: usize = 1;

/// What of an id is the same for many records: the object, and how the id begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kin {
    pub object: u8,
    pub head: [u8; HEAD],
}

/// An id with its object, as it stands in a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    /// Number of the kin, and the rest of the id.
    Kin(u8, u64),
    Whole {
        object: u8,
        id: [u8; 15],
    },
}

impl Packed {
    /// `None` when it names a kin that is not there.
    pub fn id(self, kins: &[Kin]) -> Option<Id> {
        Some(match self {
            Self::Kin(kin, tail) => Id::join(kins.get(usize::from(kin))?.head, tail),
            Self::Whole { id, .. } => Id(id),
        })
    }

    /// See [`Id::words`].
    pub fn words(self, kins: &[Kin]) -> Option<(u64, u64)> {
        Some(match self {
            Self::Kin(kin, tail) => (head_word(kins.get(usize::from(kin))?.head), tail),
            Self::Whole { id, .. } => Id(id).words(),
        })
    }

    pub fn object(self, kins: &[Kin]) -> Option<u8> {
        Some(match self {
            Self::Kin(kin, _) => kins.get(usize::from(kin))?.object,
            Self::Whole { object, .. } => object,
        })
    }
}

/// A number of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number<'a> {
    pub key: Key,
    /// Which of the object's fields.
    pub field: u8,
    pub extension: Option<&'a [u8]>,
}

/// What is behind the numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Details<'a> {
    pub account: Option<u32>,
    pub owner: Option<u32>,
    pub person: Option<Packed>,
    /// A lead's.
    pub company: Option<&'a [u8]>,
    pub name: &'a [u8],
}

/// Writes a card.
pub(super) fn write(id: Packed, junk: u8, numbers: &[Number<'_>], details: &Details<'_>) -> Vec<u8> {
    let mut flags = 0;
    for (bit, set) in [
        (ACCOUNT, details.account.is_some()),
        (OWNER, details.owner.is_some()),
        (PERSON, details.person.is_some()),
        (COMPANY, details.company.is_some()),
        (JUNK, junk > 0),
        (NO_NUMBERS, numbers.is_empty()),
    ] {
        flags |= if set { bit } else { 0 };
    }
    let mut card = vec![flags];
    write_id(&mut card, id);
    if junk > 0 {
        card.push(junk);
    }
    for (nth, number) in numbers.iter().enumerate() {
        write_number(&mut card, number, nth + 1 == numbers.len());
    }
    for index in [details.account, details.owner].into_iter().flatten() {
        put_length(&mut card, index);
    }
    if let Some(person) = details.person {
        write_id(&mut card, person);
    }
    for text in details.company.into_iter().chain([details.name]) {
        put_text(&mut card, text);
    }
    card
}

fn write_id(card: &mut Vec<u8>, id: Packed) {
    match id {
        Packed::Kin(kin, tail) => {
            card.push(kin);
            card.extend(tail.to_be_bytes().iter().skip(1));
        }
        Packed::Whole { object, id } => {
            card.extend([WHOLE, object]);
            card.extend(id);
        }
    }
}

fn write_number(card: &mut Vec<u8>, number: &Number<'_>, last: bool) {
    let [first, rest @ ..] = number.key.bits().to_be_bytes();
    let mut head = number.field.min(FAR_FIELD);
    for (bit, set) in [(LAST, last), (WIDE, first != 0), (EXTENSION, number.extension.is_some())] {
        head |= if set { bit } else { 0 };
    }
    card.push(head);
    if number.field >= FAR_FIELD {
        card.push(number.field);
    }
    if first != 0 {
        card.push(first);
    }
    card.extend(rest);
    if let Some(extension) = number.extension {
        put_text(card, extension);
    }
}

/// Marks a card as one that is no more.
pub(super) fn kill(card: &mut [u8]) {
    if let Some(flags) = card.first_mut() {
        *flags |= DEAD;
    }
}

/// A card at the beginning of some bytes.
#[derive(Clone, Copy)]
pub(super) struct Card<'a> {
    flags: u8,
    pub id: Packed,
    pub junk: u8,
    id_bytes: usize,
    behind: &'a [u8],
}

/// All that follows the head of a card.
pub(super) struct Whole<'a> {
    pub details: Details<'a>,
    /// What is behind the card.
    pub rest: &'a [u8],
}

impl<'a> Card<'a> {
    /// `None` when these bytes are no card.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let flags = rest.byte()?;
        let before = rest.0.len();
        let id = read_id(&mut rest)?;
        let id_bytes = before - rest.0.len();
        let junk = if flags & JUNK == 0 { 0 } else { rest.byte()? };
        Some(Self { flags, id, junk, id_bytes, behind: rest.0 })
    }

    pub fn is_dead(&self) -> bool {
        self.flags & DEAD != 0
    }

    pub fn numbers(&self) -> Numbers<'a> {
        Numbers { rest: Rest(self.behind), more: self.flags & NO_NUMBERS == 0 }
    }

    /// The bytes of the id and the numbers, of which the way from a number to an id is made.
    pub fn way_bytes(&self) -> usize {
        let mut numbers = self.numbers();
        while numbers.next().is_some() {}
        FLAGS + self.id_bytes + self.behind.len() - numbers.rest.0.len()
    }

    pub fn whole(&self) -> Option<Whole<'a>> {
        let mut numbers = self.numbers();
        while numbers.more {
            numbers.next()?;
        }
        let mut rest = numbers.rest;
        let has = |bit| self.flags & bit != 0;
        let account = if has(ACCOUNT) { Some(rest.length()?) } else { None };
        let owner = if has(OWNER) { Some(rest.length()?) } else { None };
        let person = if has(PERSON) { Some(read_id(&mut rest)?) } else { None };
        let company = if has(COMPANY) { Some(rest.text()?) } else { None };
        let name = rest.text()?;
        Some(Whole { details: Details { account, owner, person, company, name }, rest: rest.0 })
    }
}

/// The numbers of a card.
pub(super) struct Numbers<'a> {
    rest: Rest<'a>,
    more: bool,
}

impl<'a> Iterator for Numbers<'a> {
    type Item = Number<'a>;

    fn next(&mut self) -> Option<Number<'a>> {
        if !self.more {
            return None;
        }
        let head = self.rest.byte()?;
        self.more = head & LAST == 0;
        let field = match head & FAR_FIELD {
            FAR_FIELD => self.rest.byte()?,
            field => field,
        };
        let first = if head & WIDE == 0 { 0 } else { self.rest.byte()? };
        let key = Key::from_bits(u64::from(first) << 56 | seven(&mut self.rest)?);
        let extension = if head & EXTENSION == 0 { None } else { Some(self.rest.text()?) };
        Some(Number { key, field, extension })
    }
}

fn read_id(rest: &mut Rest<'_>) -> Option<Packed> {
    Some(match rest.byte()? {
        WHOLE => Packed::Whole { object: rest.byte()?, id: rest.array()? },
        kin => Packed::Kin(kin, seven(rest)?),
    })
}

fn seven(rest: &mut Rest<'_>) -> Option<u64> {
    let ([high, mid, low], rest): ([u8; 3], [u8; 4]) = (rest.array()?, rest.array()?);
    Some(u64::from(u32::from_be_bytes([0, high, mid, low])) << 32 | u64::from(u32::from_be_bytes(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let long = vec![b'x'; 300];
        let numbers = [
            Number { key: Key::number("+4930231250444").unwrap(), field: 0, extension: None },
            Number { key: Key::digits("0114930231250444").unwrap(), field: 30, extension: None },
            Number { key: Key::number("+14155551212").unwrap(), field: 31, extension: Some(b"9") },
            Number { key: Key::number("+99999999999999999").unwrap(), field: 200, extension: Some(b"12345") },
        ];
        let whole = Packed::Whole { object: 7, id: *b"003xx000004TmiQ" };
        for id in [Packed::Kin(0, 1), Packed::Kin(254, (1 << 54) - 1), whole] {
            for count in 0..=numbers.len() {
                for details in [
                    Details { name: b"Erika", ..Details::default() },
                    Details {
                        account: Some(70_000),
                        owner: Some(127),
                        person: Some(whole),
                        company: Some(&long),
                        name: b"",
                    },
                ] {
                    let numbers = &numbers[..count];
                    let junk = u8::from(count == 2);
                    let mut bytes = write(id, junk, numbers, &details);
                    bytes.extend(b"next");
                    let card = Card::read(&bytes).unwrap();
                    assert!(!card.is_dead());
                    assert_eq!((card.id, card.junk), (id, junk));
                    assert_eq!(card.numbers().collect::<Vec<_>>(), numbers);
                    let read = card.whole().unwrap();
                    assert_eq!((read.details, read.rest), (details, &b"next"[..]));
                    kill(&mut bytes);
                    assert!(Card::read(&bytes).unwrap().is_dead());
                }
            }
        }
    }

    #[test]
    fn bytes_that_are_no_card_are_refused() {
        let numbers = [Number { key: Key::number("+4930231250444").unwrap(), field: 0, extension: Some(b"9") }];
        let card = write(Packed::Kin(0, 1), 1, &numbers, &Details { name: b"Erika", ..Details::default() });
        for end in 0..card.len() {
            assert!(Card::read(&card[..end]).and_then(|card| card.whole()).is_none(), "{end}");
        }
        assert!(Card::read(&card).unwrap().whole().unwrap().rest.is_empty());
    }
}
