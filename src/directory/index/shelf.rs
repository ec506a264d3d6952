//! The cards, in chunks that are filled one after the other; one that is half dead is emptied into the open one.

use super::card::{self, Card};

/// A place is the number of its chunk and 16 bits within it: 4 GiB of cards, some hundred million records.
pub(super) const CHUNK: usize = 1 << 16;

#[derive(Default)]
pub(super) struct Shelf {
    chunks: Vec<Chunk>,
    open: usize,
    /// Chunks without bytes, to be filled anew.
    free: Vec<usize>,
    /// Chunks that are more than half dead.
    worn: Vec<usize>,
}

#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    dead: usize,
}

impl Shelf {
    /// The card at a place, and all bytes behind its beginning.
    pub fn get(&self, place: u32) -> Option<(Card<'_>, &[u8])> {
        let bytes = self.chunks.get(chunk_of(place))?.bytes.get(position_in(place)..)?;
        Some((Card::read(bytes)?, bytes))
    }

    /// `None` when the shelf is full.
    pub fn add(&mut self, card: &[u8]) -> Option<u32> {
        let fits = |chunk: &Chunk| chunk.bytes.capacity() > 0 && chunk.bytes.len() + card.len() <= CHUNK;
        if !self.chunks.get(self.open).is_some_and(fits) {
            self.open_another()?;
        }
        let chunk = self.chunks.get_mut(self.open)?;
        let position = u32::try_from(chunk.bytes.len()).ok()?;
        chunk.bytes.extend_from_slice(card);
        Some(u32::try_from(self.open).ok()? << 16 | position)
    }

    fn open_another(&mut self) -> Option<()> {
        let full = self.open;
        let next = self.free.pop().unwrap_or(self.chunks.len());
        if next >= 1 << 16 {
            return None;
        }
        if next == self.chunks.len() {
            self.chunks.push(Chunk::default());
        }
        self.chunks.get_mut(next)?.bytes.reserve_exact(CHUNK);
        self.open = next;
        if full != next && self.chunks.get(full).is_some_and(is_worn) {
            self.worn.push(full);
        }
        Some(())
    }

    /// Marks the card at a place, so many bytes long, as dead.
    pub fn kill(&mut self, place: u32, length: usize) {
        let number = chunk_of(place);
        let Some(chunk) = self.chunks.get_mut(number) else { return };
        card::kill(chunk.bytes.get_mut(position_in(place)..).unwrap_or_default());
        let was_worn = is_worn(chunk);
        chunk.dead += length;
        if !was_worn && is_worn(chunk) && number != self.open {
            self.worn.push(number);
        }
    }

    /// A chunk to be emptied.
    pub fn next_worn(&mut self) -> Option<usize> {
        self.worn.pop()
    }

    /// Gives the memory of an emptied chunk back.
    pub fn release(&mut self, number: usize) {
        if let Some(chunk) = self.chunks.get_mut(number) {
            *chunk = Chunk::default();
            self.free.push(number);
        }
    }

    /// The cards of a chunk from a position on, with their places and lengths, dead ones too.
    pub fn cards(&self, number: usize, position: usize) -> impl Iterator<Item = (u32, Card<'_>, &[u8])> {
        let all = self.chunks.get(number).map_or(&[][..], |chunk| chunk.bytes.as_slice());
        let mut rest = all.get(position..).unwrap_or_default();
        std::iter::from_fn(move || {
            let card = Card::read(rest)?;
            let behind = card.whole()?.rest;
            let place = place(number, all.len() - rest.len())?;
            let bytes = rest.get(..rest.len() - behind.len())?;
            rest = behind;
            Some((place, card, bytes))
        })
    }

    /// How many chunks there are, empty ones too.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// The bytes of all cards, dead ones too.
    pub fn length(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes.len()).sum()
    }

    /// Takes a chunk that was saved. False when there is no room for it.
    pub fn restore(&mut self, bytes: Vec<u8>) -> bool {
        let length = bytes.len();
        let number = self.chunks.len();
        self.chunks.push(Chunk { bytes, dead: 0 });
        self.open = number;
        number < 1 << 16 && length <= CHUNK
    }

    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| size_of::<Chunk>() + chunk.bytes.capacity()).sum()
    }
}

fn is_worn(chunk: &Chunk) -> bool {
    chunk.dead > CHUNK / 2
}

fn place(chunk: usize, position: usize) -> Option<u32> {
    Some(u32::try_from(chunk).ok()? << 16 | u32::try_from(position).ok()?)
}

fn chunk_of(place: u32) -> usize {
    (place >> 16) as usize
}

fn position_in(place: u32) -> usize {
    (place & 0xffff) as usize
}
