//! A hash table from a hash to places: 8,192 pages of lines. A line is as long as one of the processor's cache, and most look-ups
//! read just one. Pages grow one by one, so that no change waits for the whole table.
//!
//! The upper 13 bits of a hash choose the page, the next 16 are kept as a tag, which also chooses the line; whoever asks checks at
//! the place whether it is what he means.

use std::ops::Range;

const PAGE_BITS: u32 = 13;
const TAG_BITS: u32 = 16;
/// Bits of a hash that are of no matter.
const UNKEPT: u32 = u64::BITS - PAGE_BITS - TAG_BITS;
const SLOTS: usize = 10;
/// The most entries a line has on average.
const FILL: usize = 9;
/// No place: nothing begins at the last byte of all.
const EMPTY: u32 = u32::MAX;
/// What a heap block costs beside its content.
const BLOCK: usize = 16;

pub(super) struct Pages {
    pages: Box<[Page]>,
    len: usize,
}

#[derive(Clone, Default)]
struct Page {
    lines: Box<[Line]>,
    /// What found its line full, sorted.
    surplus: Vec<Entry>,
    len: usize,
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    tags: [u16; SLOTS],
    places: [u32; SLOTS],
    /// Which tags of this line stand in the surplus: two marks for each. A tag whose marks are not all here does not.
    beyond: u32,
}

/// A tag, then a place, so that entries sort as their bytes do.
type Entry = [u8; 6];

impl Default for Pages {
    fn default() -> Self {
        Self { pages: vec![Page::default(); 1 << PAGE_BITS].into(), len: 0 }
    }
}

impl Pages {
    /// A table of many entries at once: of hashes and places. What comes twice counts once.
    pub fn build(entries: impl Iterator<Item = (u64, u32)>) -> Self {
        // Sorted by page and tag, then place: memory is written in its order, not here and there.
        let mut entries: Vec<u64> = entries.map(|(hash, place)| hash >> UNKEPT << 32 | u64::from(place)).collect();
        entries.sort_unstable();
        entries.dedup();
        let mut table = Self { len: entries.len(), ..Self::default() };
        let page = |entry: u64| (entry >> (TAG_BITS + 32)) as usize;
        for entries in entries.chunk_by(|&one, &other| page(one) == page(other)) {
            let first = entries.first().map(|&entry| page(entry));
            if let Some(page) = first.and_then(|first| table.pages.get_mut(first)) {
                page.fill(entries.len().div_ceil(FILL), entries.iter().map(|&entry| tag_and_place(entry)));
            }
        }
        table
    }

    /// All places under a hash that is the same in 29 bits, in no order.
    pub fn get(&self, hash: u64) -> impl Iterator<Item = u32> {
        let tag = tag(hash);
        let (line, surplus) = self.pages.get(number(hash)).map_or((&Line::EMPTY, &[][..]), |page| page.with(tag));
        let (mut slots, mut surplus) = (line.slots_with(tag), surplus.iter());
        std::iter::from_fn(move || {
            while slots != 0 {
                let bit = slots.trailing_zeros() as usize;
                let place = line.places.get(bit % 16 * 4 + bit / 16);
                slots &= slots - 1;
                if let Some(&place) = place.filter(|place| **place != EMPTY) {
                    return Some(place);
                }
            }
            surplus.next().map(|&entry| parts(entry).1)
        })
    }

    pub fn insert(&mut self, hash: u64, place: u32) {
        if self.get(hash).any(|known| known == place) {
            return;
        }
        let Some(page) = self.pages.get_mut(number(hash)) else { return };
        page.insert(tag(hash), place);
        self.len += 1;
    }

    pub fn remove(&mut self, hash: u64, place: u32) {
        let Some(page) = self.pages.get_mut(number(hash)) else { return };
        self.len -= usize::from(page.remove(tag(hash), place));
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Memory, with the directory and what the heap takes for itself.
    pub fn bytes(&self) -> usize {
        self.pages.len() * size_of::<Page>() + self.pages.iter().map(Page::heap_bytes).sum::<usize>()
    }
}

impl Page {
    fn insert(&mut self, tag: u16, place: u32) {
        if self.len >= self.lines.len() * FILL {
            // Growth by a sixteenth wastes less memory than by a half, and a page is small.
            self.arrange(self.lines.len() + (self.lines.len() / 16).max(1));
        }
        self.len += 1;
        if self.put(tag, place) {
            return;
        }
        if self.surplus.len() == self.surplus.capacity() {
            self.surplus.reserve_exact((self.surplus.len() / 8).max(4));
        }
        let entry = entry(tag, place);
        let at = self.surplus.partition_point(|other| *other < entry);
        self.surplus.insert(at, entry);
    }

    /// Into its line. False when that is full: it then belongs into the surplus.
    fn put(&mut self, tag: u16, place: u32) -> bool {
        let home = home(tag, self.lines.len());
        let Some(line) = self.lines.get_mut(home) else { return false };
        let put = line.replace((0, EMPTY), (tag, place));
        line.beyond |= if put { 0 } else { marks(tag) };
        put
    }

    fn remove(&mut self, tag: u16, place: u32) -> bool {
        let home = home(tag, self.lines.len());
        let beside = self.surplus_of(home);
        let Some(line) = self.lines.get_mut(home) else { return false };
        // The first of the surplus moves up.
        let next = self.surplus.get(beside.clone()).and_then(<[Entry]>::first);
        if line.replace((tag, place), next.map_or((0, EMPTY), |&next| parts(next))) {
            self.surplus.drain(beside.start..beside.end.min(beside.start + 1));
        } else if let Ok(at) = self.surplus.binary_search(&entry(tag, place)) {
            self.surplus.remove(at);
        } else {
            return false;
        }
        let beside = self.surplus_of(home);
        let beside = self.surplus.get(beside).unwrap_or_default().iter();
        if let Some(line) = self.lines.get_mut(home) {
            line.beyond = beside.fold(0, |marked, &entry| marked | marks(parts(entry).0));
        }
        self.len -= 1;
        if self.lines.len() > 2 && self.len < self.lines.len() * FILL / 2 {
            self.arrange(self.len.div_ceil(FILL));
        }
        true
    }

    /// Distributes its entries anew to so many lines.
    fn arrange(&mut self, count: usize) {
        let old = std::mem::take(self);
        let beside = old.surplus.into_iter().map(parts);
        self.fill(count, old.lines.iter().flat_map(Line::entries).chain(beside));
    }

    /// Puts all entries into so many lines.
    fn fill(&mut self, count: usize, entries: impl Iterator<Item = (u16, u32)>) {
        self.lines = vec![Line::EMPTY; count].into();
        for (tag, place) in entries {
            self.len += 1;
            if !self.put(tag, place) {
                self.surplus.push(entry(tag, place));
            }
        }
        self.surplus.sort_unstable();
        self.surplus.shrink_to_fit();
    }

    /// The line of a tag, and what of the surplus has it.
    fn with(&self, tag: u16) -> (&Line, &[Entry]) {
        let line = self.lines.get(home(tag, self.lines.len())).unwrap_or(&Line::EMPTY);
        let surplus = if line.beyond & marks(tag) == marks(tag) { self.surplus_with(tag) } else { &[] };
        (line, surplus)
    }

    fn surplus_with(&self, tag: u16) -> &[Entry] {
        let from = self.surplus.partition_point(|&entry| parts(entry).0 < tag);
        let to = self.surplus.partition_point(|&entry| parts(entry).0 <= tag);
        self.surplus.get(from..to).unwrap_or_default()
    }

    fn surplus_of(&self, line: usize) -> Range<usize> {
        let home = |entry: Entry| home(parts(entry).0, self.lines.len());
        let from = self.surplus.partition_point(|&entry| home(entry) < line);
        let to = self.surplus.partition_point(|&entry| home(entry) <= line);
        from..to
    }

    fn heap_bytes(&self) -> usize {
        // A block that begins with a line of the cache leaves up to one before it.
        let lines = if self.lines.is_empty() { 0 } else { (self.lines.len() + 1) * size_of::<Line>() + BLOCK };
        let surplus = self.surplus.capacity() * size_of::<Entry>();
        lines + if surplus == 0 { 0 } else { surplus + BLOCK }
    }
}

impl Line {
    const EMPTY: Self = Self { tags: [0; SLOTS], places: [EMPTY; SLOTS], beyond: 0 };

    fn entries(&self) -> impl Iterator<Item = (u16, u32)> {
        self.tags.into_iter().zip(self.places).filter(|(_, place)| *place != EMPTY)
    }

    /// Bit `16 n + m` for slot `4 m + n` when it has this tag, used or not. Four are compared at once, and none is skipped: where to
    /// stop could not be guessed.
    fn slots_with(&self, tag: u16) -> u64 {
        const LOW: u64 = 0x7fff_7fff_7fff_7fff;
        let wanted = word([tag; 4]);
        let equal = |tags: [u16; 4]| {
            let differ = word(tags) ^ wanted;
            // The highest bit of each 16 that are all zero.
            !(((differ & LOW) + LOW) | differ | LOW)
        };
        let (fours, rest) = self.tags.as_chunks();
        let &[ninth, tenth] = rest else { return 0 };
        let last = equal([ninth, tenth, !tag, !tag]) >> 13;
        fours.iter().zip([15, 14]).fold(last, |slots, (&tags, shift)| slots | equal(tags) >> shift)
    }

    /// The first slot with this becomes that. False when there is none.
    fn replace(&mut self, this: (u16, u32), that: (u16, u32)) -> bool {
        let mut slots = self.tags.iter_mut().zip(&mut self.places);
        let slot = slots.find(|(tag, place)| (**tag, **place) == this);
        if let Some((tag, place)) = slot {
            (*tag, *place) = that;
            return true;
        }
        false
    }
}

/// Every bit of the word decides about every bit of the hash (the finisher of `SplitMix64`).
pub(super) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn number(hash: u64) -> usize {
    (hash >> (64 - PAGE_BITS)) as usize
}

#[expect(clippy::cast_possible_truncation, reason = "16 bits are meant")]
fn tag(hash: u64) -> u16 {
    (hash >> UNKEPT) as u16
}

/// Of what [`Pages::build`] sorts.
#[expect(clippy::cast_possible_truncation, reason = "16 and 32 bits are meant")]
fn tag_and_place(entry: u64) -> (u16, u32) {
    ((entry >> 32) as u16, entry as u32)
}

fn word([first, second, third, fourth]: [u16; 4]) -> u64 {
    u64::from(first) | u64::from(second) << 16 | u64::from(third) << 32 | u64::from(fourth) << 48
}

/// The line of a tag: of all tags, each has an equal share, in order.
fn home(tag: u16, lines: usize) -> usize {
    (usize::from(tag) * lines) >> 16
}

fn marks(tag: u16) -> u32 {
    1 << (tag & 31) | 1 << (tag >> 5 & 31)
}

fn entry(tag: u16, place: u32) -> Entry {
    let ([high, low], [a, b, c, d]) = (tag.to_be_bytes(), place.to_be_bytes());
    [high, low, a, b, c, d]
}

fn parts([high, low, place @ ..]: Entry) -> (u16, u32) {
    (u16::from_be_bytes([high, low]), u32::from_be_bytes(place))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// So many entries in one page, by hashes of which each is shared by some.
    fn hash(random: &mut fastrand::Rng, hashes: u64) -> u64 {
        // Only bits that count, so that two that differ have other tags.
        mix(random.u64(0..hashes)) >> 48 << UNKEPT
    }

    #[test]
    fn it_holds_what_was_put_in_and_not_taken_out() {
        let mut random = fastrand::Rng::with_seed(8);
        for (hashes, places) in [(30, 3), (2_000, 4), (20_000, 2), (3, 4_000)] {
            let (mut pages, mut model) = (Pages::default(), BTreeSet::new());
            for round in 0..40_000 {
                let (hash, place) = (hash(&mut random, hashes), random.u32(0..places));
                // Grows first, and then shrinks.
                if random.u32(0..40_000) > round {
                    pages.insert(hash, place);
                    model.insert((hash, place));
                } else {
                    pages.remove(hash, place);
                    model.remove(&(hash, place));
                }
                if round % 10_000 == 5_000 {
                    assert_holds(&pages, &model);
                }
            }
            assert_holds(&pages, &model);
        }
    }

    fn assert_holds(pages: &Pages, model: &BTreeSet<(u64, u32)>) {
        let mut wanted: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
        for &(hash, place) in model {
            wanted.entry(hash).or_default().insert(place);
        }
        let built = Pages::build(model.iter().chain(model.iter().take(9)).copied());
        assert_eq!((pages.len(), built.len()), (model.len(), model.len()));
        for (hash, wanted) in wanted {
            for table in [pages, &built] {
                let places: Vec<u32> = table.get(hash).collect();
                assert_eq!(places.len(), wanted.len());
                assert_eq!(places.into_iter().collect::<BTreeSet<_>>(), wanted);
            }
        }
    }

    #[test]
    fn what_is_not_in_it_costs_hardly_a_false_place() {
        let mut pages = Pages::default();
        (0..200_000).for_each(|word| pages.insert(mix(word), 1));
        let found: usize = (200_000..400_000).map(|word| pages.get(mix(word)).count()).sum();
        assert!(found < 200, "{found}");
    }

    #[test]
    fn memory_is_given_back() {
        let mut pages = Pages::default();
        let empty = pages.bytes();
        (0..100_000).for_each(|word| pages.insert(mix(word), 7));
        assert!(pages.bytes() - empty < 24 * 100_000, "{}", pages.bytes());
        (0..100_000).for_each(|word| pages.remove(mix(word), 7));
        assert_eq!(pages.len(), 0);
        assert!(pages.bytes() - empty < empty * 8, "{}", pages.bytes());
    }
}
